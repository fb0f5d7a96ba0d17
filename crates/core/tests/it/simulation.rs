//! Random worlds: jobs lost, repeated and reordered, commits that fail, workers that die, sources, files
//! and sinks in every kind of trouble. When it is quiet again, every ride is at every sink exactly once.

use std::{sync::Arc, time::Duration};

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, RideId},
    engine::{Eagerness, Poll},
    ports::{ArchiveError, FileError, Job, Outcome, SourceError},
    testkit::{FailingLedger, FakeRide, FakeSink, Moment, Reply, SeededEntropy, SourceVerb},
};
use jiff::SignedDuration;

use crate::world::{SHARD, World};

struct Run {
    world: World,
    chance: SeededEntropy,
    ledgers: [FailingLedger; 2],
    engines: [Engine; 2],
    source: Connection,
    sinks: Vec<Connection>,
    jobs: Vec<Job>,
    next_ride: u64,
    uploaded: Vec<u64>,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let mut world = World::new();
        let chance = SeededEntropy::new(seed);
        if chance.next_u64().is_multiple_of(2) {
            world.sink = FakeSink::forgetful();
        }
        let first = 1 + chance.next_u64() % 45;
        world.source.upload_many(&world.account, 1000..1000 + first);
        let ledgers = [(); 2].map(|()| FailingLedger::new(Arc::new(world.ledger.clone())));
        let engines = [0, 1].map(|n| world.engine_over(Arc::new(ledgers[n].clone()), ["a", "b"][n]));
        let source = world.connect(&engines[0], None).await;
        let sinks = vec![world.connect_sink(&engines[0], "one", None).await];
        Self {
            world,
            chance,
            ledgers,
            engines,
            source,
            sinks,
            jobs: Vec::new(),
            next_ride: 2000,
            uploaded: (1000..1000 + first).collect(),
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.chance.next_u64() % bound
    }

    fn pick(&self, of: usize) -> usize {
        usize::try_from(self.below(u64::try_from(of).unwrap())).unwrap()
    }

    async fn step(&mut self) {
        let engine = self.pick(2);
        match self.below(20) {
            0 | 1 => {
                let _ = self.engines[engine].poll(&self.world.user, &self.source.id).await;
            }
            2 | 3 => drop(self.engines[engine].tick(SHARD).await),
            4 => drop(self.engines[engine].sweep(SHARD, Eagerness::Eager).await),
            5 => drop(self.world.clock.advance(SignedDuration::from_secs(1 << self.below(12)))),
            6 => self.upload(),
            7 => self.trouble_upstream(),
            8 => self.trouble_at_a_sink(),
            9 => self.trouble_here(engine),
            10 => self.reconnect().await,
            11 if self.sinks.len() < 2 => {
                self.ledgers.iter().for_each(FailingLedger::revive);
                self.sinks.push(self.world.connect_sink(&self.engines[0], "two", None).await);
            }
            _ => self.work(engine).await,
        }
        self.jobs.extend(self.world.queue.take());
        if self.ledgers[engine].is_down() && self.below(3) == 0 {
            self.ledgers[engine].revive();
        }
    }

    /// One job out of the queue: any of them, and perhaps it stays there, or is lost.
    async fn work(&mut self, engine: usize) {
        if self.jobs.is_empty() {
            return;
        }
        let index = self.pick(self.jobs.len());
        let job = match self.below(10) {
            0 => self.jobs[index].clone(),
            1 => return drop(self.jobs.swap_remove(index)),
            _ => self.jobs.swap_remove(index),
        };
        let _ = self.engines[engine].work(&job).await;
    }

    fn upload(&mut self) {
        self.next_ride += 1;
        // Some are late: their date is old.
        let id = if self.below(3) == 0 { self.next_ride - 1990 } else { self.next_ride };
        self.uploaded.push(id);
        let ride = FakeRide { twice: self.below(5) == 0, ..FakeRide::generated(id) };
        let page = u32::try_from(1 + self.below(2)).unwrap();
        if self.below(2) == 0 {
            self.world.source.upload_after_page(&self.world.account, page, ride);
        } else {
            self.world.source.upload(&self.world.account, ride);
        }
    }

    fn trouble_upstream(&self) {
        let away = SourceError::Away(Failure::new(Code::ProviderError, "500"));
        let throttled = SourceError::Throttled { retry_after: Some(Duration::from_secs(self.below(100))) };
        let refused = SourceError::Refused("401".into());
        let mut errors = vec![away, throttled, refused, SourceError::NotReady];
        let verb = [SourceVerb::List, SourceVerb::Resolve][self.pick(2)];
        self.world.source.fail_next(verb, errors.swap_remove(self.pick(if verb == SourceVerb::List { 3 } else { 4 })));
        let file = match self.below(2) {
            0 => FileError::Gone(Code::FileGone.into()),
            _ => FileError::Again { failure: Code::FileTimeout.into(), retry_after: None },
        };
        self.world.source.files().fail_next(&self.world.account, RideId(1000 + self.below(45)), file);
    }

    fn trouble_at_a_sink(&self) {
        let lost = || Outcome::Unknown(Code::SinkUnknownOutcome.into());
        let retry_after = Some(Duration::from_secs(self.below(100)));
        self.world.sink.reply_next(match self.below(7) {
            0 => Reply::CommitThen(lost()),
            1 => Reply::Say(lost()),
            2 => Reply::Accept,
            3 => Reply::Say(Outcome::Throttled { retry_after }),
            4 => Reply::Say(Outcome::NeedsReauth(Code::SinkReconnect.into())),
            _ => Reply::Say(Outcome::Transient { failure: Code::SinkAway.into(), retry_after }),
        });
    }

    fn trouble_here(&self, engine: usize) {
        match self.below(5) {
            0 => self.ledgers[engine].fail_commit(1 + self.below(4), Moment::Before),
            1 => self.ledgers[engine].fail_commit(1 + self.below(4), Moment::After),
            2 => self.ledgers[engine].crash_at_call(1 + self.below(12)),
            3 => self.world.archive.refuse((self.below(2) == 0).then(|| ArchiveError::Unavailable("away".into()))),
            _ => self.world.vault.set_away(self.below(2) == 0),
        }
    }

    /// The rider mends what is paused, or just connects again.
    async fn reconnect(&mut self) {
        self.ledgers.iter().for_each(FailingLedger::revive);
        self.world.vault.set_away(false);
        self.source = self.world.connect(&self.engines[1], None).await;
        for sink in &mut self.sinks {
            if self.chance.next_u64().is_multiple_of(4) {
                self.engines[0].disconnect(&self.world.user, &sink.name).await.unwrap();
            }
            *sink = self.world.connect_sink(&self.engines[1], &sink.name, None).await;
        }
    }

    /// Everything works again, and time passes until nothing is left to do. The rider mends what is paused,
    /// and nothing else: what is not paused has to come right by itself.
    async fn heal(&mut self) {
        self.world.archive.refuse(None);
        self.world.vault.set_away(false);
        self.ledgers.iter().for_each(FailingLedger::revive);
        let engine = &self.engines[self.pick(2)];
        for _ in 0..12 {
            self.world.quiet(engine).await;
            for sink in &self.sinks {
                // Replies that were scripted but not used yet may pause it again.
                if self.world.connection(engine, &sink.id).await.doc.paused().is_some() {
                    self.world.connect_sink(engine, &sink.name, None).await;
                }
            }
            if self.world.connection(engine, &self.source.id).await.doc.paused().is_some() {
                self.world.connect(engine, None).await;
            }
            self.world.pass_minutes(61);
            engine.load_breakers().await.unwrap();
            let _ = self.world.poll(engine, &self.source).await;
        }
        // The daily walk finds what a shifting list hid.
        self.world.connect(engine, None).await;
        self.world.pass_minutes(24 * 60);
        for _ in 0..20 {
            self.world.pass_minutes(61);
            if self.world.poll(engine, &self.source).await == Poll::Idle {
                break;
            }
        }
        self.world.quiet(engine).await;
    }
}

async fn run(seed: u64) {
    let mut run = Run::new(seed).await;
    for _ in 0..150 {
        run.step().await;
    }
    run.heal().await;
    let (world, engine) = (&run.world, &run.engines[0]);
    let rides = world.rides(engine).await;
    let expected = world.files_of(rides.iter().map(|ride| ride.rider_id().parse::<u64>().unwrap()));
    for ride in &rides {
        assert_eq!(ride.state.name(), "fetched", "seed {seed}: {ride:?}");
    }
    let known: std::collections::BTreeSet<_> = rides.iter().map(|ride| ride.rider_id()).collect();
    for ride in run.uploaded.iter().filter(|ride| world.source.bytes(&world.account, RideId(**ride)).is_some()) {
        assert!(known.contains(&ride.to_string()), "seed {seed}: ride {ride} was not found");
    }
    for sink in &run.sinks {
        let open: Vec<_> = world.deliveries(engine, sink).await;
        let open: Vec<_> = open.iter().filter(|delivery| delivery.state.name() != "delivered").collect();
        assert!(open.is_empty(), "seed {seed}: {open:?}");
        assert_eq!(world.at(sink), expected, "seed {seed}: exactly once at {}", sink.name);
    }
}

#[tokio::test]
async fn after_any_trouble_every_ride_is_at_every_sink_exactly_once() {
    for seed in 0..20 {
        run(seed).await;
    }
}
