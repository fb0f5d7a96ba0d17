//! Virtual time and a scheduler of its own: one thread, and chance decides who runs next.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use fitbridge_core::testkit::SeededEntropy;
use jiff::Timestamp;

/// A task of the simulation.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One second, in the unit of all times here.
pub(crate) const SECOND: i64 = 1000;
/// One minute.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// One hour.
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Locks what only one thread ever uses.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Inner {
    now_ms: AtomicI64,
    chance: SeededEntropy,
    timers: Mutex<BTreeMap<(i64, u64), Waker>>,
    next_timer: AtomicU64,
    steps: AtomicU64,
}

/// Time, timers and chance of one world. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Clockwork(Arc<Inner>);

impl Clockwork {
    /// A world of that seed begins at that moment (ms since 1970).
    pub(crate) fn new(seed: u64, now_ms: i64) -> Self {
        Self(Arc::new(Inner {
            now_ms: AtomicI64::new(now_ms),
            chance: SeededEntropy::new(seed),
            timers: Mutex::default(),
            next_timer: AtomicU64::new(0),
            steps: AtomicU64::new(0),
        }))
    }

    /// How many steps were made.
    pub(crate) fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// The true time, ms since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.0.now_ms.load(Ordering::Relaxed)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        to_timestamp(self.now_ms())
    }

    /// The one source of chance.
    pub(crate) fn chance(&self) -> &SeededEntropy {
        &self.0.chance
    }

    /// A number below `bound` (at least 1).
    pub(crate) fn below(&self, bound: i64) -> i64 {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        i64::try_from(self.0.chance.next_u64() % bound).unwrap_or(0)
    }

    /// A number between two, both included.
    pub(crate) fn between(&self, least: i64, most: i64) -> i64 {
        least + self.below(most - least + 1)
    }

    /// True once in so many times.
    pub(crate) fn one_in(&self, times: i64) -> bool {
        self.below(times) == 0
    }

    /// One of several things.
    pub(crate) fn pick<'a, T>(&self, among: &'a [T]) -> Option<&'a T> {
        let length = i64::try_from(among.len()).unwrap_or(0);
        if length == 0 { None } else { among.get(usize::try_from(self.below(length)).unwrap_or(0)) }
    }

    /// Passes that much time; 0 only lets others run.
    pub(crate) fn sleep(&self, ms: i64) -> Sleep {
        Sleep { clockwork: self.clone(), until: self.now_ms() + ms.max(0), timer: None, yielded: ms > 0 }
    }

    /// Runs all tasks until `done` says so, none is left, or so many steps were made. `false` when it
    /// did not come to an end within them.
    pub(crate) fn run(&self, tasks: Vec<Task>, most_steps: u64, done: impl Fn() -> bool) -> bool {
        let ready = Arc::new(Mutex::new(Vec::new()));
        let mut tasks: Vec<Option<(Task, Arc<Flag>)>> = tasks
            .into_iter()
            .enumerate()
            .map(|(index, task)| {
                let flag = Arc::new(Flag { index, is_set: AtomicBool::new(false), ready: Arc::clone(&ready) });
                flag.wake_by_ref();
                Some((task, flag))
            })
            .collect();
        for _ in 0..most_steps {
            if done() {
                return true;
            }
            let Some(index) = self.next_ready(&ready) else {
                if self.to_next_timer() {
                    continue;
                }
                return true;
            };
            self.0.steps.fetch_add(1, Ordering::Relaxed);
            let Some((task, flag)) = tasks.get_mut(index).and_then(Option::as_mut) else { continue };
            flag.is_set.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(flag));
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
                && let Some(slot) = tasks.get_mut(index)
            {
                *slot = None;
            }
        }
        false
    }

    fn next_ready(&self, ready: &Mutex<Vec<usize>>) -> Option<usize> {
        let mut ready = lock(ready);
        let length = i64::try_from(ready.len()).unwrap_or(0);
        if length == 0 { None } else { Some(ready.swap_remove(usize::try_from(self.below(length)).unwrap_or(0))) }
    }

    /// Moves the clock to the next timer and wakes all of that moment; `false` when there is none.
    fn to_next_timer(&self) -> bool {
        let mut timers = lock(&self.0.timers);
        let Some((&(at, _), _)) = timers.first_key_value() else { return false };
        self.0.now_ms.store(at.max(self.now_ms()), Ordering::Relaxed);
        let later = timers.split_off(&(at + 1, 0));
        let due = std::mem::replace(&mut *timers, later);
        drop(timers);
        due.into_values().for_each(Waker::wake);
        true
    }
}

/// The moment of a number of milliseconds since 1970.
pub(crate) fn to_timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

#[derive(Debug)]
struct Flag {
    index: usize,
    is_set: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_set.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.index);
        }
    }
}

/// Waits for a moment of virtual time.
#[derive(Debug)]
pub(crate) struct Sleep {
    clockwork: Clockwork,
    until: i64,
    timer: Option<(i64, u64)>,
    yielded: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.yielded {
            self.yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.clockwork.now_ms() >= self.until {
            return Poll::Ready(());
        }
        let key = match self.timer {
            Some(key) => key,
            None => (self.until, self.clockwork.0.next_timer.fetch_add(1, Ordering::Relaxed)),
        };
        self.timer = Some(key);
        lock(&self.clockwork.0.timers).insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.timer {
            lock(&self.clockwork.0.timers).remove(&key);
        }
    }
}

/// Wakes who waits for something new.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Bell {
    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.waiting)).into_iter().for_each(Waker::wake);
    }

    /// Waits for the next ring.
    pub(crate) fn next(&self) -> impl Future<Output = ()> + Send + '_ {
        let heard = self.rings.load(Ordering::Relaxed);
        std::future::poll_fn(move |context| {
            if self.rings.load(Ordering::Relaxed) != heard {
                return Poll::Ready(());
            }
            lock(&self.waiting).push(context.waker().clone());
            Poll::Pending
        })
    }
}

/// Ends when the future or the time does; `None` when it was the time, and the future was cut.
pub(crate) async fn within<T>(clockwork: &Clockwork, ms: i64, future: impl Future<Output = T>) -> Option<T> {
    let future = std::pin::pin!(future);
    match futures::future::select(future, clockwork.sleep(ms)).await {
        futures::future::Either::Left((value, _)) => Some(value),
        futures::future::Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64) -> Vec<(i64, u32)> {
        let clockwork = Clockwork::new(seed, 0);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tasks = (0..5_u32).map(|number| {
            let (clockwork, seen) = (clockwork.clone(), Arc::clone(&seen));
            let task: Task = Box::pin(async move {
                for _ in 0..3 {
                    clockwork.sleep(clockwork.below(3) * SECOND).await;
                    lock(&seen).push((clockwork.now_ms(), number));
                }
            });
            task
        });
        assert!(clockwork.run(tasks.collect(), 1000, || false));
        std::mem::take(&mut *lock(&seen))
    }

    #[test]
    fn a_seed_gives_one_order_and_time_never_goes_back() {
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert!(order(3).is_sorted_by_key(|(at, _)| *at) && order(3).len() == 15);
    }

    #[test]
    fn what_takes_too_long_is_cut_and_leaves_no_timer() {
        let clockwork = Clockwork::new(1, 0);
        let other = clockwork.clone();
        let task: Task = Box::pin(async move {
            assert_eq!(within(&other, SECOND, other.sleep(HOUR)).await, None);
            assert_eq!(within(&other, HOUR, other.sleep(SECOND)).await, Some(()));
        });
        assert!(clockwork.run(vec![task], 100, || false));
        assert_eq!((clockwork.now_ms(), lock(&clockwork.0.timers).len()), (2 * SECOND, 0));
    }
}
