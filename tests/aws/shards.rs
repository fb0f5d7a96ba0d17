//! More than one shard: each rider belongs to exactly one, and no shard waits for another.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fitbridge_core::{
    domain::Shard,
    ports::Key,
    store::{Cursor, Stored},
};
use fitbridge_simulator::Role;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    riders::Rider,
    runtime::{Answer, Function},
    service::Service,
};

const SHARDS: u16 = 3;

/// Who was polled since the journal was cleared, and how often.
pub(crate) fn polled(service: &Service) -> BTreeMap<String, usize> {
    let mut polls = BTreeMap::new();
    for entry in service.world().journal_since(0) {
        if (entry.role, entry.route) == (Role::IgpsportGlobal, "list") {
            let bearer = entry.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
            let (_, member) = service.world().token_owner(&bearer).expect("a token of the simulator's");
            *polls.entry(format!("{member:?}")).or_default() += 1;
        }
    }
    polls
}

/// The riders of a shard, each once.
fn once(riders: &[Rider], shard: Shard) -> BTreeMap<String, usize> {
    let of_it = riders.iter().filter(|rider| Shard::of(&rider.user, SHARDS) == shard);
    of_it.map(|rider| (format!("{:?}", rider.member), 1)).collect()
}

/// The URL of a host that takes connections and says nothing.
async fn black_hole() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    url
}

/// The last minute of each shard whose polls were made.
pub(crate) async fn done_minutes(service: &Service) -> Vec<i64> {
    let mut minutes = Vec::new();
    for shard in service.shards() {
        let cursor: Stored<Cursor> =
            service.engine.store().read(&Key::cursor(shard)).await.expect("a ledger").expect("a cursor");
        minutes.push(cursor.doc.done_minute);
    }
    minutes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rider_is_polled_by_its_shard_and_a_crash_of_one_delays_no_other() {
    let Some(service) = Service::start(&[("FITBRIDGE_SHARDS", "3")]).await else { return };
    let riders = service.add_riders(12, 1).await;
    let shards: BTreeSet<_> = riders.iter().map(|rider| Shard::of(&rider.user, SHARDS)).collect();
    assert_eq!(shards.len(), 3, "each shard has riders");
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);

    service.pass_minutes(1).await;
    for shard in service.shards() {
        service.world().clear_journal();
        service.tick_of(shard).await.done();
        assert_eq!(polled(&service), once(&riders, shard), "shard {}", shard.0);
    }

    // The second shard's tick hangs, and its process is killed; the others run meanwhile.
    for rider in &riders {
        service.new_rides(rider, 1);
    }
    service.pass_minutes(1).await;
    let before = done_minutes(&service).await;
    service.world().clear_journal();
    let hanging = Function::new("poller", service.with("FITBRIDGE_IGPSPORT_URL", &black_hole().await)).await;
    let third = Function::new("poller", service.environment.clone()).await;
    let [first, middle, last] = [0, 1, 2].map(|shard| json!({ "shard": shard }));
    let (died, one, two) = tokio::join!(
        hanging.invoke_and_kill_after(&middle, Duration::from_secs(3)),
        service.poller.invoke(&first),
        third.invoke(&last),
    );
    assert_eq!((died, one, two), (Answer::Died, Answer::Done(json!(null)), Answer::Done(json!(null))));
    let after = done_minutes(&service).await;
    assert!(after[0] > before[0] && after[2] > before[2], "{before:?} {after:?}");
    assert_eq!(after[1], before[1], "the dead tick's minutes are not done");
    // A throttled upload may take another tick; the second shard has none meanwhile.
    for _ in 0..5 {
        service.pump().await;
        service.end_leases().await;
        service.pass_minutes(1).await;
        for shard in [Shard(0), Shard(2)] {
            service.tick_of(shard).await.done();
        }
    }
    service.pump().await;
    let others: Vec<_> = riders.iter().filter(|rider| Shard::of(&rider.user, SHARDS) != Shard(1)).cloned().collect();
    service.assert_at_intervals(&others);

    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}
