//! The client against the simulator: what two people read out of the same facts must fit together.

use std::sync::Arc;

use fitbridge_http::UrlGuard;
use fitbridge_igpsport::{Client, Endpoints, FileHost, Region, Resolution, RideId, Token, probe_regions};
use fitbridge_simulator::{self as sim, Config, NewMember, RideBatch, Simulator};

fn client(sim: &Simulator, region: Region) -> Client {
    let url = match region {
        Region::Global => sim.igpsport_url(sim::Region::Global),
        Region::China => sim.igpsport_url(sim::Region::China),
    };
    Client::new(Endpoints::with_api(region, url.parse().unwrap()).unwrap()).unwrap()
}

fn files(sim: &Simulator) -> FileHost {
    let trusted: Vec<String> = sim.trusted_hosts().split(',').map(str::to_owned).collect();
    FileHost::new(Arc::new(UrlGuard::new(&trusted).unwrap())).unwrap()
}

#[tokio::test]
async fn all_rides_arrive_byte_for_byte_whatever_the_service_does_unusually() {
    let sim = Simulator::start_blocking(Config::seeded(3)).unwrap();
    let world = sim.world();
    let rider = world.add_member(NewMember::default()).unwrap();
    let rides = world.add_rides(sim::Region::Global, rider, &RideBatch::small(45)).unwrap();
    let token = Token::parse(&world.token(sim::Region::Global, rider).unwrap()).unwrap();
    let changes: [fn(&mut sim::Toggles); 4] = [
        |_| {},
        |toggles| {
            toggles.ride_id_as_text = true;
            toggles.raw_control_characters = true;
            toggles.gzip_json = true;
            toggles.dates = sim::DateStyle::Full;
        },
        |toggles| {
            toggles.detail_url = sim::UrlShape::Absent;
            toggles.download_url = sim::DownloadUrlShape::Object;
            toggles.dates = sim::DateStyle::Null;
            toggles.sparse_rows = true;
        },
        |toggles| {
            toggles.detail_url = sim::UrlShape::Empty;
            toggles.download_url = sim::DownloadUrlShape::Text;
            toggles.member_claim = sim::MemberClaim::SubOnly;
            toggles.beyond_end = sim::BeyondEnd::RepeatLast;
        },
    ];
    let (client, files) = (client(&sim, Region::Global), files(&sim));
    for change in changes {
        world.set_toggles(sim::Region::Global, change);
        let mut walk = client.list_all(&token);
        let mut ids = Vec::new();
        while let Some(page) = walk.next().await.unwrap() {
            ids.extend(page.rows.into_iter().map(|row| row.ride_id));
        }
        assert_eq!((ids.len(), walk.summary().undecodable, walk.summary().pages), (rides.len(), 0, 3));
        for id in ids.into_iter().step_by(9) {
            let Resolution::Ready { location, .. } = client.resolve(&token, id).await.unwrap() else {
                panic!("ride {id} has no file");
            };
            let file = files.fetch(&location).await.unwrap();
            let original = world.ride_bytes(sim::Region::Global, sim::RideId(i64::try_from(id.0).unwrap())).unwrap();
            assert_eq!(file.bytes, original);
        }
    }
    assert_eq!(world.bearer_at_file_host(), 0);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let sim = Simulator::start_blocking(Config::seeded(4)).unwrap();
    let world = sim.world();
    let rider = world.add_member(NewMember::default()).unwrap();
    let text = world.token(sim::Region::Global, rider).unwrap();
    let token = Token::parse(&text).unwrap();
    let client = client(&sim, Region::Global);
    let set = |change: fn(&mut sim::Toggles)| world.set_toggles(sim::Region::Global, change);

    assert_eq!(client.detail(&token, RideId(1)).await.unwrap_err().code(), "ride_gone");
    let signing: [fn(&mut sim::Toggles); 4] = [
        |toggles| toggles.signing_failure = sim::SigningFailure::Forbidden403,
        |toggles| toggles.signing_failure = sim::SigningFailure::Unauthorized401,
        |toggles| toggles.signing_failure = sim::SigningFailure::Ok200,
        |toggles| toggles.signing_failure = sim::SigningFailure::ServerError500,
    ];
    set(|toggles| toggles.signing_required = true);
    for style in signing {
        set(style);
        assert_eq!(client.probe(&token).await.unwrap_err().code(), "signature_required");
    }
    set(|toggles| toggles.signing_required = false);
    for (outage, code) in [
        (sim::Outage::Unavailable, "provider_away"),
        (sim::Outage::Firewall, "provider_waf_page"),
        (sim::Outage::Reset, "provider_interrupted"),
        (sim::Outage::RefuseEverybody, "token_refused"),
    ] {
        world.set_toggles(sim::Region::Global, |toggles| toggles.outage = outage);
        assert_eq!(client.probe(&token).await.unwrap_err().code(), code);
    }
    set(|toggles| toggles.outage = sim::Outage::None);
    client.probe(&token).await.unwrap();
    assert!(world.revoke_token(&text));
    let refusals: [fn(&mut sim::Toggles); 5] = [
        |toggles| toggles.auth_failure = sim::AuthFailure::Envelope401,
        |toggles| toggles.auth_failure = sim::AuthFailure::Empty401,
        |toggles| toggles.auth_failure = sim::AuthFailure::Html401,
        |toggles| toggles.auth_failure = sim::AuthFailure::Ok200,
        |toggles| toggles.auth_failure = sim::AuthFailure::Forbidden403,
    ];
    for style in refusals {
        set(style);
        assert_eq!(client.probe(&token).await.unwrap_err().code(), "token_refused");
    }
    client.reachable().await.unwrap();
}

#[tokio::test]
async fn the_same_number_in_the_other_region_is_told_as_another_person() {
    let sim = Simulator::start_blocking(Config::seeded(5)).unwrap();
    let world = sim.world();
    let me = world.add_member(NewMember { nickname: "Me".into(), ..NewMember::default() }).unwrap();
    let stranger = NewMember {
        region: sim::Region::China,
        member_id: Some(me),
        nickname: "Stranger".into(),
        ..NewMember::default()
    };
    world.add_member(stranger).unwrap();
    let token = Token::parse(&world.token(sim::Region::Global, me).unwrap()).unwrap();
    let (global, china) = (client(&sim, Region::Global), client(&sim, Region::China));
    let answers = probe_regions(&[&global, &china], &token).await;
    let names: Vec<_> = answers.iter().map(|(_, account)| account.as_ref().unwrap().nickname.as_deref()).collect();
    assert_eq!(names, [Some("Me"), Some("Stranger")]);
}
