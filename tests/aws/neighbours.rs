//! One rider's trouble is nobody else's.

use std::time::Duration;

use axum::body::Bytes;
use fitbridge_core::domain::{ActivityState, DeliveryState};
use fitbridge_simulator::{Fault, FaultRule, FileSpec, NewRide, Region, Role};

use crate::{
    queue::event,
    riders::Rider,
    runtime::{Answer, Function},
    service::Service,
};

/// Files that are no rides, one way or another.
fn hostile(service: &Service, rider: &Rider) {
    let zip_bomb = [b"PK\x03\x04".as_slice(), &[0; 4096]].concat();
    let endless = [14, 0x20, 0, 0, 0xff, 0xff, 0xff, 0x7f, b'.', b'F', b'I', b'T', 0, 0, 0x40];
    for bytes in [b"<html>not yours</html>".to_vec(), zip_bomb, endless.to_vec(), vec![0xff; 70_000]] {
        let ride = NewRide { file: FileSpec::Bytes(Bytes::from(bytes)), ..NewRide::at(service.world().now()) };
        service.world().add_ride(Region::Global, rider.member, &ride).expect("a ride");
    }
}

/// The rides of a rider that are at both sinks.
async fn delivered(service: &Service, rider: &Rider) -> usize {
    let deliveries = service.deliveries(rider).await;
    deliveries.iter().filter(|delivery| matches!(delivery.state, DeliveryState::Delivered { .. })).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_tokens_hostile_files_and_slow_ones_delay_no_other_rider() {
    let Some(service) = Service::start(&[]).await else { return };
    let riders = service.add_riders(5, 2).await;
    let [revoked, attacker, slow, healthy, other] = &riders[..] else { panic!("five riders") };
    service.world().revoke_tokens(Region::Global, revoked.member);
    hostile(&service, attacker);
    for ride in service.world().rides(Region::Global, slow.member) {
        let rule = FaultRule::new(Fault::Stall).on(Role::Files).path(&ride.file_path);
        service.world().add_fault(rule);
    }
    let second = Function::new("sink", service.environment.clone()).await;
    service.tick().await.done();

    // Lambda has another process for other batches while one works on the slow files.
    let (mut with_slow, mut others) = (Vec::new(), Vec::new());
    loop {
        let batch = service.receive().await;
        if batch.is_empty() {
            break;
        }
        for message in batch {
            let is_slow = |body: &str| body.contains(slow.user.as_str()) && body.contains("\"fetch\"");
            let is_slow = message.body().is_some_and(is_slow);
            if is_slow { with_slow.push(message) } else { others.push(message) }
        }
    }
    assert_eq!(with_slow.len(), 2, "the slow rider's rides are handed over");
    let slow_event = event(&with_slow);
    let meanwhile = async {
        for batch in others.chunks(10) {
            let answer = second.invoke(&event(batch)).await;
            service.settle(batch, &answer).await;
        }
        for _ in 0..400 {
            let batch = service.receive().await;
            if !batch.is_empty() {
                let answer = second.invoke(&event(&batch)).await;
                service.settle(&batch, &answer).await;
            }
            if delivered(&service, healthy).await == 4 && delivered(&service, other).await == 4 {
                return delivered(&service, slow).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the others wait for the slow one");
    };
    let (answer, slow_ones) = tokio::join!(service.sink.invoke(&slow_event), meanwhile);
    assert_eq!(slow_ones, 0, "the slow rider's files were still on their way");
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
    service.settle(&with_slow, &answer).await;

    service.world().clear_faults();
    service.run_until_quiet().await;
    service.assert_at_intervals(&[slow.clone(), healthy.clone(), other.clone()]);
    assert_eq!(delivered(&service, attacker).await, 4, "its good rides too");
    let states: Vec<_> = service.rides(attacker).await.into_iter().map(|ride| ride.state).collect();
    let refused = states
        .iter()
        .filter(|state| matches!(state, ActivityState::Rejected { .. } | ActivityState::DeadLetter { .. }));
    assert_eq!(refused.count(), 4, "{states:?}");
    assert!(service.rides(revoked).await.is_empty());
    for said in [service.poller.said(), service.sink.said(), second.said()] {
        assert!(!said.contains("panicked"), "{said}");
    }
}
