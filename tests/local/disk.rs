//! A disk that is full or read-only, a database that is locked or broken: said clearly, and nothing lost.

use std::path::Path;

use fitbridge_simulator::{Fault, FaultRule, FileSpec, NewRide, Region, RideBatch, Role};
use fitbridge_tests::{Bench, FailingDisk, Mount, Setup, end_leases, tree_of, wait_until};
use rusqlite::Connection;

#[test]
fn a_full_disk_is_told_and_with_room_everything_arrives() {
    let Some(disk) = Mount::of(900, "disk::a_full_disk_is_told_and_with_room_everything_arrives") else { return };
    let bench = Bench::with(Setup { home: Some(disk.home()), ..Setup::default() });
    let big = RideBatch { ride: NewRide { file: FileSpec::Standard, ..NewRide::default() }, ..RideBatch::small(12) };
    bench.world().add_rides(Region::Global, bench.member, &big).expect("rides");
    bench.connect_all();
    let full = bench.sync();
    assert!(matches!(full.code, Some(1 | 2)), "{full}");
    assert!(full.text().contains("disk is full") || full.text().contains("disk_full"), "{full}");
    assert!(!full.text().contains("panicked"), "{full}");
    bench.run(&["sync"]);
    disk.remount("size=64m");
    let summary = bench.sync().exits(0).summary();
    assert_eq!(summary["failed"], 0, "{summary}");
    bench.assert_exactly_once();
}

#[test]
fn a_disk_that_fills_up_under_serve_stops_nothing_for_good() {
    let Some(disk) = Mount::of(900, "disk::a_disk_that_fills_up_under_serve_stops_nothing_for_good") else { return };
    let bench = Bench::with(Setup { home: Some(disk.home()), ..Setup::default() });
    let big = RideBatch { ride: NewRide { file: FileSpec::Standard, ..NewRide::default() }, ..RideBatch::small(12) };
    bench.world().add_rides(Region::Global, bench.member, &big).expect("rides");
    bench.connect_all();
    let mut serve = bench.start(&["--json", "serve"]);
    wait_until("the disk is full", || serve.said().contains("disk_full") || serve.said().contains("ledger_full"));
    assert!(serve.is_running(), "it waits for room");
    disk.remount("size=64m");
    // What the full ledger could not let go of comes due when its lease ends; a rider's own command does not
    // wait for the retries' times.
    end_leases(bench.home());
    bench.sync();
    wait_until("everything arrives", || bench.at_webhook().len() == 12 && bench.in_folder().len() == 12);
    serve.terminate();
    let served = serve.finish().exits(0);
    assert!(!served.text().contains("panicked"), "{served}");
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_file_that_finds_no_room_is_not_taken_and_later_is() {
    let Some(disk) = Mount::of(400, "disk::a_file_that_finds_no_room_is_not_taken_and_later_is") else { return };
    let bench = Bench::with(Setup { home: Some(disk.home()), ..Setup::default() });
    let ride = bench.add_ride(&NewRide { file: FileSpec::Standard, ..NewRide::default() });
    let file = bench.path("ride.fit");
    std::fs::write(&file, bench.world().ride_bytes(Region::Global, ride).expect("a file")).expect("written");
    bench.connect_folder().exits(0);
    let name = file.to_str().expect("a path of text");
    let filler = disk.path().join("filler");
    // Whatever room is left goes.
    let mut room = 400 * 1024;
    while room >= 4096 {
        let taken = std::fs::read(&filler).map_or(0, |bytes| bytes.len());
        if std::fs::write(&filler, vec![b'x'; taken + room]).is_err() {
            std::fs::write(&filler, vec![b'x'; taken]).expect("what was there before fits");
            room /= 2;
        }
    }
    let told = bench.run(&["import", name]);
    assert!(matches!(told.code, Some(1 | 2)), "{told}");
    assert!(told.text().contains("full") && told.text().contains("next:"), "{told}");
    assert!(bench.in_folder().is_empty());
    std::fs::remove_file(&filler).expect("there is room again");
    bench.run(&["import", name]).exits(0);
    assert_eq!(bench.in_folder(), [bench.sha_of(ride)]);
}

#[test]
fn a_full_folder_sink_is_told_and_with_room_gets_everything() {
    let Some(disk) = Mount::of(300, "disk::a_full_folder_sink_is_told_and_with_room_gets_everything") else { return };
    let bench = Bench::new(0);
    let big = RideBatch { ride: NewRide { file: FileSpec::Standard, ..NewRide::default() }, ..RideBatch::small(8) };
    bench.world().add_rides(Region::Global, bench.member, &big).expect("rides");
    bench.connect_source().exits(0);
    bench.connect_intervals().exits(0);
    let folder = disk.path().join("rides");
    std::fs::create_dir_all(&folder).expect("a folder");
    bench.run(&["connect", "folder", folder.to_str().expect("a path")]).exits(0);
    let full = bench.sync().exits(2);
    assert!(full.stdout.contains("folder_full"), "{full}");
    assert_eq!(full.summary()["deliveries"]["intervals"]["created"], 8, "the other sink goes on: {full}");
    let whole = |tree: fitbridge_tests::Tree| -> Vec<String> {
        let files = tree.iter().filter(|(name, _)| name.ends_with(".fit"));
        let mut found: Vec<_> = files.map(|(_, bytes)| fitbridge_tests::sha256(bytes)).collect();
        found.sort();
        found
    };
    assert!(whole(tree_of(&folder)).iter().all(|sha| bench.upstream().contains(sha)), "no half file");
    disk.remount("size=16m");
    bench.sync().exits(0);
    assert_eq!(whole(tree_of(&folder)), bench.upstream());
}

#[test]
fn a_home_that_may_not_be_written_is_told() {
    let Some(disk) = Mount::of(8_000, "disk::a_home_that_may_not_be_written_is_told") else { return };
    let bench = Bench::with(Setup { rides: 3, home: Some(disk.home()) });
    bench.connect_all();
    disk.remount("ro");
    let told = bench.sync().exits(1);
    assert!(told.text().contains("next:"), "{told}");
    assert!(told.text().contains("ledger_read_only"), "{told}");
    disk.remount("rw");
    bench.sync().exits(0);
    bench.assert_exactly_once();
    let file = bench.path("a file");
    std::fs::write(&file, "").expect("written");
    let nowhere = Bench::with(Setup { home: Some(file.join("home")), ..Setup::default() });
    nowhere.connect_source().exits(1).says("next:").says("a file");
}

#[test]
fn a_disk_that_fails_under_serve_is_told_and_after_its_repair_everything_arrives() {
    let Some(disk) = FailingDisk::of(32) else { return };
    let bench = Bench::with(Setup { rides: 5, home: Some(disk.home()) });
    bench.connect_all();
    let mut serve = bench.start(&["--json", "serve"]);
    wait_until("the first rides are there", || bench.in_folder().len() == 5 && bench.at_webhook().len() == 5);
    disk.fail();
    bench.add_rides(4);
    let told = bench.sync().exits(1);
    assert!(told.text().contains("ledger_read_only") && told.text().contains("next:"), "{told}");
    // Each minute brings a tick. With the file open, a disk that takes no more writes is an I/O error.
    wait_until("serve says it too", || {
        serve.said().contains("ledger_read_only") || serve.said().contains("ledger_unavailable")
    });
    assert!(serve.is_running(), "it waits for the disk");
    serve.terminate();
    let served = serve.finish();
    assert!(!served.text().contains("panicked"), "{served}");
    disk.repair();
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_locked_database_is_waited_for_and_then_told() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    bench.add_rides(2);
    let other = Connection::open(bench.home().join("ledger.sqlite")).expect("the ledger opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    bench.run(&["status"]).exits(0);
    let told = bench.sync();
    assert!(matches!(told.code, Some(1 | 2)), "{told}");
    assert!(told.text().contains("ledger_locked"), "{told}");
    other.execute_batch("ROLLBACK").expect("freed");
    drop(other);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_broken_database_is_told_and_left_as_it_is() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    let file = bench.home().join("ledger.sqlite");
    let whole = std::fs::read(&file).expect("the ledger");
    let mut torn = whole.clone();
    torn[..4096].fill(0x5a);
    let mut middle = whole.clone();
    let from = middle.len() / 3;
    middle[from..].fill(0xff);
    for (what, bytes) in [
        ("no database", b"this is no database, but a longer text of the rider".to_vec()),
        ("a torn head", torn),
        ("a cut file", whole[..whole.len() / 2].to_vec()),
        ("noise inside", middle),
    ] {
        write_alone(&file, &bytes);
        for arguments in [&["status"][..], &["sync"], &["serve"], &["list"]] {
            let told = bench.run(arguments);
            assert_eq!(told.code, Some(1), "{what}: {told}");
            assert!(told.text().contains("ledger_corrupt"), "{what}: {told}");
            assert!(!told.text().contains("panicked"), "{what}: {told}");
        }
        assert!(std::fs::read(&file).expect("the ledger") == bytes, "{what}: it was changed");
    }
    write_alone(&file, &whole);
    bench.add_rides(1);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

/// Puts back a database file without what SQLite keeps beside it.
fn write_alone(file: &Path, bytes: &[u8]) {
    for beside in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{beside}", file.display()));
    }
    std::fs::write(file, bytes).expect("written");
}

#[test]
fn a_ledger_that_fails_while_a_retry_works_is_told() {
    let bench = Bench::new(1);
    bench.connect_all();
    let refusal = Fault::Status { code: 422, retry_after: None };
    bench.world().add_fault(FaultRule::new(refusal).on(Role::Intervals).route("upload"));
    bench.sync().exits(2);
    bench.world().clear_faults();
    // It takes the rider's word, and not what a worker writes.
    let ledger = Connection::open(bench.home().join("ledger.sqlite")).expect("the ledger opens");
    let sql = "CREATE TRIGGER no_claim BEFORE UPDATE ON records WHEN NEW.path LIKE 'delivery/%' AND NEW.working = 1 \
               BEGIN SELECT RAISE(ABORT, 'the disk is tired'); END";
    ledger.execute_batch(sql).expect("a trigger");
    bench.run(&["retry", "--all"]).exits(1).says("the disk is tired");
    ledger.execute_batch("DROP TRIGGER no_claim").expect("no trigger");
    drop(ledger);
    end_leases(bench.home());
    bench.sync().exits(0);
    bench.assert_exactly_once();
}
