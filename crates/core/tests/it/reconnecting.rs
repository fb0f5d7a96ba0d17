//! Connections that are renewed, removed and made again while work is under way.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, DeliveryState, RemoteAccount, RideId},
    engine::{Poll, connect::Wish, secrets::SourceSecret},
    ports::{
        Access, Key, ListPage, Login, Outcome, Resolution, SealedKey, Source, SourceError, SourceIdentity, TokenFacts,
        Vault,
    },
    testkit::{FailingLedger, FakeSource, Reply, SinkCall},
};
use secrecy::SecretString;

use crate::world::World;

#[tokio::test]
async fn a_refused_key_pauses_the_sink_blocks_its_rides_and_reconnecting_delivers_them() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let other = world.connect_sink(&engine, "other", None).await;
    world.work(&engine).await;
    engine.poll(&source.user, &source.id).await.unwrap();
    let reauth = Outcome::NeedsReauth(Failure::from(Code::SinkReconnect));
    world.sink.reply_next(Reply::Say(reauth));
    world.drain(&engine).await;
    world.quiet(&engine).await;
    let (paused, well) = if world.at(&other).len() == 3 { (&sink, &other) } else { (&other, &sink) };
    assert_eq!((world.at(well), world.at(paused).len()), (world.files_of(1..4), 0));
    assert!(world.connection(&engine, &paused.id).await.doc.paused().is_some());
    let blocked = world.deliveries(&engine, paused).await;
    assert!(blocked.iter().all(|delivery| matches!(delivery.state, DeliveryState::Blocked { .. })), "{blocked:?}");
    // New rides wait as well, and no call is made.
    world.source.upload_many(&world.account, 4..5);
    world.sink.take_calls();
    world.poll(&engine, &source).await;
    let calls = world.sink.take_calls();
    let to = |call: &SinkCall| matches!(call, SinkCall::Deliver { account, .. } if *account == paused.account);
    assert!(!calls.iter().any(to), "{calls:?}");
    world.connect_sink(&engine, paused.account.account.as_str(), None).await;
    world.work(&engine).await;
    assert_eq!((world.at(well), world.at(paused)), (world.files_of(1..5), world.files_of(1..5)));
}

#[tokio::test]
async fn a_sink_that_was_removed_and_made_again_gets_what_it_lacks_and_nothing_twice() {
    let mut world = World::new();
    world.sink = fitbridge_core::testkit::FakeSink::forgetful();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload_many(&world.account, 4..6);
    engine.poll(&source.user, &source.id).await.unwrap();
    engine.disconnect(&world.user, "s").await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..4), "nothing goes to a removed sink");
    let again = world.connect_sink(&engine, "s", None).await;
    assert_eq!(again.id, sink.id);
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..6));
}

#[tokio::test]
async fn a_source_that_was_removed_and_made_again_sends_nothing_twice() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    // Removed while rides are found but not fetched.
    engine.poll(&source.user, &source.id).await.unwrap();
    engine.disconnect(&world.user, "igpsport").await.unwrap();
    let key = SealedKey { user: world.user.clone(), connection: source.id.clone() };
    assert!(world.vault.open(&key).await.is_err(), "its secret is forgotten");
    world.source.take_calls();
    world.quiet(&engine).await;
    assert!(world.source.take_calls().is_empty());
    world.source.upload_many(&world.account, 4..5);
    world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of(1..5));
}

#[tokio::test]
async fn a_name_belongs_to_one_account() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let stranger = world.source.account("global", "2");
    let token = world.source.token(&stranger, None);
    let identity = world.source.identify(&token, None).await.unwrap().remove(0);
    let wish = Wish { user: world.user.clone(), name: "igpsport".into(), history: None };
    let secret = SourceSecret { token, login: None };
    let refused = engine.connect_source(&wish, &identity, &secret).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::NameTaken);
    let second = Wish { name: "second".into(), ..wish };
    engine.connect_source(&second, &identity, &secret).await.unwrap();
    assert_eq!(engine.find_connection(&world.user, "igpsport").await.unwrap().doc.id, source.id);
}

/// A source during whose next call something else happens.
#[derive(Debug)]
struct Meanwhile {
    source: FakeSource,
    then: Mutex<Option<tokio::sync::oneshot::Sender<tokio::sync::oneshot::Sender<()>>>>,
}

impl Meanwhile {
    async fn happen(&self) {
        let waiting = self.then.lock().unwrap().take();
        if let Some(waiting) = waiting {
            let (done, wait) = tokio::sync::oneshot::channel();
            waiting.send(done).unwrap();
            wait.await.unwrap();
        }
    }
}

#[async_trait]
impl Source for Meanwhile {
    async fn list_page(&self, access: Access<'_>, page: u32) -> Result<ListPage, SourceError> {
        let listed = self.source.list_page(access, page).await;
        self.happen().await;
        listed
    }
    async fn resolve(&self, access: Access<'_>, ride: RideId) -> Result<Resolution, SourceError> {
        let resolved = self.source.resolve(access, ride).await;
        self.happen().await;
        resolved
    }
    async fn reachable(&self, account: &RemoteAccount) -> Result<(), SourceError> {
        self.source.reachable(account).await
    }
    fn token_facts(&self, token: &SecretString) -> Result<TokenFacts, SourceError> {
        self.source.token_facts(token)
    }
    async fn identify(&self, token: &SecretString, realm: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError> {
        self.source.identify(token, realm).await
    }
    async fn log_in(&self, realm: &str, login: &Login) -> Result<SecretString, SourceError> {
        let answer = self.source.log_in(realm, login).await;
        self.happen().await;
        answer
    }
}

/// An engine whose next call to the source is under way until the test lets it go.
pub(crate) fn slow_engine(world: &World) -> (Engine, tokio::sync::oneshot::Receiver<tokio::sync::oneshot::Sender<()>>) {
    let (then, under_way) = tokio::sync::oneshot::channel();
    let mut ports = world.ports(Arc::new(world.ledger.clone()));
    ports.source = Arc::new(Meanwhile { source: world.source.clone(), then: Mutex::new(Some(then)) });
    let owner = fitbridge_core::domain::OwnerId::new("slow").unwrap();
    (Engine::new(ports, world.policy.clone(), owner), under_way)
}

fn wrong_member() -> SourceError {
    SourceError::WrongMember { expected: "1".into(), got: "2".into() }
}

async fn reconnect_during<T>(
    world: &World,
    engine: &Engine,
    under_way: tokio::sync::oneshot::Receiver<tokio::sync::oneshot::Sender<()>>,
    call: impl Future<Output = T>,
) -> (T, Connection) {
    let meanwhile = async {
        let go_on = under_way.await.unwrap();
        let source = world.connect(engine, None).await;
        engine.settle(&world.user, &source.id).await.unwrap();
        go_on.send(()).unwrap();
        source
    };
    tokio::join!(call, meanwhile)
}

#[tokio::test]
async fn the_old_tokens_failure_does_not_pause_the_new_one() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let (slow, under_way) = slow_engine(&world);
    world.source.fail_next(fitbridge_core::testkit::SourceVerb::List, wrong_member());
    let poll = slow.poll(&world.user, &source.id);
    let (poll, source) = reconnect_during(&world, &engine, under_way, poll).await;
    assert!(matches!(poll.unwrap(), Poll::Skipped(_)));
    assert!(world.connection(&engine, &source.id).await.doc.is_active());
}

#[tokio::test]
async fn a_ride_whose_source_was_renewed_under_way_is_not_left_waiting() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    world.queue.take();
    let sink = world.connect_sink(&engine, "s", None).await;
    let (slow, under_way) = slow_engine(&world);
    world.source.fail_next(fitbridge_core::testkit::SourceVerb::Resolve, wrong_member());
    let id = world.ride(&engine, &source, 1).await.id;
    let (resolved, _) = reconnect_during(&world, &engine, under_way, slow.resolve(&world.user, &id)).await;
    resolved.unwrap();
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn a_waiting_ride_that_somebody_writes_to_while_it_is_woken_is_woken_all_the_same() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.poll(&source.user, &source.id).await.unwrap();
    engine.disconnect(&world.user, "igpsport").await.unwrap();
    world.quiet(&engine).await;
    world.connect(&engine, None).await;
    let racing = FailingLedger::new(Arc::new(world.ledger.clone()));
    for ride in 1..4 {
        racing.lose_race(Key::activity(&world.user, &world.ride(&engine, &source, ride).await.id), 1);
    }
    world.engine_over(Arc::new(racing), "b").settle(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..4));
}
