//! What was at a sink before us. Rides that came there by another route are other files, which no file
//! hash can match; sending ours too would double them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, civil::Date, civil::DateTime, tz::Offset};

use super::{Engine, EngineError, contended};
use crate::{
    Failure,
    domain::{About, Baseline, Connection, Role},
    ports::{Key, MAX_BATCH, Outcome, RemoteRide, Sink, SinkError, SinkTarget, Write},
    store::{BaselineMonth, BaselineRide, Stored},
};

/// Most rides in one record of the baseline.
const PART: usize = 500;
/// Starts this close on the same wall clock are one ride. Recorders differ by a few minutes (measured: up
/// to 225 s).
const CLOSE: SignedDuration = SignedDuration::from_mins(5);
/// Lengths and distances of one recording that came by two routes differ by less than this share.
const ALIKE: f64 = 0.02;
/// The first day that is asked for; no iGPSport head unit that makes FIT files is older.
const FIRST_DAY: Date = jiff::civil::date(2012, 1, 1);

impl Engine {
    /// Makes sure that a readable sink was listed once before anything is sent there. The inner error is
    /// what the attempt led to instead.
    pub(super) async fn know_what_is_there(
        &self,
        sink: &mut Stored<Connection>,
        adapter: &dyn Sink,
        target: &SinkTarget,
    ) -> Result<Result<(), Outcome>, EngineError> {
        if !adapter.is_readable() || baseline_of(&sink.doc) != &Baseline::Unknown {
            return Ok(Ok(()));
        }
        let _turn = self.baseline_turn.lock().await;
        if !self.reread(sink).await? || baseline_of(&sink.doc) != &Baseline::Unknown {
            return Ok(Ok(()));
        }
        let now = self.now();
        let baseline = match self.list_all(adapter, target).await {
            Ok(rides) => {
                let elsewhere = self.write_baseline(&sink.doc, rides).await?;
                Baseline::Taken { at: now, elsewhere }
            }
            Err(SinkError::Unsupported(failure)) => {
                tracing::warn!(code = %failure.code, "what is already at {} cannot be listed: {failure}", sink.doc.id);
                Baseline::Unreadable
            }
            Err(error) => return Ok(Err(error.into_outcome())),
        };
        for _ in 0..5 {
            let mut known = sink.doc.clone();
            if let Role::Sink(progress) = &mut known.role {
                progress.baseline = baseline.clone();
            }
            if self.save_connection(sink, known).await? || !self.reread(sink).await? {
                break;
            }
        }
        if baseline_of(&sink.doc) == &Baseline::Unknown {
            return Err(contended("the connection"));
        }
        Ok(Ok(()))
    }

    /// Lists everything that is at a sink.
    pub(super) async fn list_all(&self, adapter: &dyn Sink, target: &SinkTarget) -> Result<Vec<RemoteRide>, SinkError> {
        // Local dates run ahead of UTC by up to 14 h.
        let today = Offset::UTC.to_datetime(self.now()).date();
        adapter.list(target, FIRST_DAY, today.tomorrow().unwrap_or(today)).await
    }

    /// Writes the rides that came by another route, by month; says how many there are.
    async fn write_baseline(&self, sink: &Connection, rides: Vec<RemoteRide>) -> Result<u32, EngineError> {
        let mut months = BTreeMap::<String, Vec<BaselineRide>>::new();
        let mut elsewhere = 0_u32;
        for ride in rides {
            let Some(route) = ride.other_route else { continue };
            elsewhere = elsewhere.saturating_add(1);
            let rides = months.entry(month_of(ride.local_start.date())).or_default();
            // A month with more than this has a broken list; the rest would not fit a record.
            if rides.len() < PART {
                rides.push(BaselineRide {
                    remote_id: ride.remote_id,
                    local_start: ride.local_start,
                    route,
                    elapsed_s: ride.elapsed_s,
                    distance_m: ride.distance_m,
                });
            }
        }
        let documents: Vec<_> = months
            .into_iter()
            .map(|(month, rides)| BaselineMonth { user: sink.user.clone(), sink: sink.id.clone(), month, rides })
            .collect();
        for documents in documents.chunks(MAX_BATCH / 4) {
            self.write_months(documents).await?;
        }
        Ok(elsewhere)
    }

    /// Writes some months, also where another process that lists the same writes them at the same time.
    async fn write_months(&self, documents: &[BaselineMonth]) -> Result<(), EngineError> {
        for _ in 0..5 {
            let keys: Vec<_> = documents.iter().map(crate::store::Document::key).collect();
            let known = self.store.read_many::<BaselineMonth>(&keys).await?;
            let writes = documents.iter().zip(known).map(|(document, known)| match known {
                Some(known) => known.replace(document, None),
                None => self.store.create(document, None, None),
            });
            let writes: Vec<Write> = writes.collect::<Result<_, _>>()?;
            if self.store.commit(writes).await? {
                return Ok(());
            }
        }
        Err(contended("what was at the sink before"))
    }

    /// The ride in a sink's baseline that is this one, if there is one.
    pub(super) async fn find_in_baseline(
        &self,
        sink: &Connection,
        about: &About,
    ) -> Result<Option<BaselineRide>, EngineError> {
        if !matches!(baseline_of(sink), Baseline::Taken { elsewhere: 1.., .. }) {
            return Ok(None);
        }
        // Also around the start in UTC: the sink's wall clock may be another one.
        let around = [about.local_start, about.start.map(|start| Offset::UTC.to_datetime(start))];
        let days = around.into_iter().flatten().flat_map(|around| {
            let day = around.date();
            [day.yesterday().unwrap_or(day), day, day.tomorrow().unwrap_or(day)]
        });
        let mut months: Vec<_> = days.map(month_of).collect();
        months.sort();
        months.dedup();
        let keys: Vec<_> = months.iter().map(|month| Key::baseline(&sink.user, &sink.id, month)).collect();
        let months = self.store.read_many::<BaselineMonth>(&keys).await?;
        Ok(months.into_iter().flatten().flat_map(|month| month.doc.rides).find(|ride| is_same_ride(ride, about)))
    }
}

fn baseline_of(connection: &Connection) -> &Baseline {
    connection.sink().map_or(&Baseline::Unreadable, |sink| &sink.baseline)
}

fn month_of(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}

/// Whether a ride at the sink is the one that is to be sent. On the same wall clock close starts are enough. Where
/// only UTC is known, or the sink keeps another zone's time, the difference must be a time zone's, and length or
/// distance must agree, else half of all rides of a day would match. They must agree closely where both wall clocks
/// are known: the way home is about as long as the way to work.
fn is_same_ride(there: &BaselineRide, ours: &About) -> bool {
    match ours.local_start {
        Some(local) if apart(there.local_start, local) <= CLOSE => true,
        Some(_) => is_a_zone_apart(there, ours) && is_as_long(there, ours, ALIKE, ALIKE, bool::min),
        None => is_a_zone_apart(there, ours) && is_as_long(there, ours, 0.1, 0.05, bool::max),
    }
}

/// Whether a start at the sink differs from ours in UTC by what a time zone may be.
fn is_a_zone_apart(there: &BaselineRide, ours: &About) -> bool {
    let Some(start) = ours.start else { return false };
    let seconds = there.local_start.duration_since(Offset::UTC.to_datetime(start)).as_secs();
    let zone = (seconds + 450).div_euclid(900) * 900;
    (-12 * 3600..=14 * 3600).contains(&zone) && (seconds - zone).abs() <= 120
}

/// Whether time and distance agree to those shares, as far as both are known; `both` says whether one of them is enough.
fn is_as_long(there: &BaselineRide, ours: &About, time: f64, way: f64, both: fn(bool, bool) -> bool) -> bool {
    let agrees = |a: Option<f64>, b: Option<f64>, share: f64| Some((a? - b?).abs() <= share * a?.max(b?));
    let agreements = [agrees(there.elapsed_s, ours.elapsed_s, time), agrees(there.distance_m, ours.distance_m, way)];
    agreements.into_iter().flatten().reduce(both).unwrap_or(false)
}

fn apart(a: DateTime, b: DateTime) -> SignedDuration {
    a.duration_since(b).abs()
}

/// The failure that is shown for a held delivery.
pub(super) fn held_failure(route: &str) -> Failure {
    Failure::new(crate::Code::HeldElsewhere, route)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::RemoteId;

    fn there(local_start: DateTime) -> BaselineRide {
        BaselineRide {
            remote_id: RemoteId("i1".into()),
            local_start,
            route: "STRAVA".into(),
            elapsed_s: Some(3600.0),
            distance_m: None,
        }
    }

    fn ours(local_start: Option<DateTime>, start: &str) -> About {
        About {
            name: None,
            external_id: "igpsport_1".into(),
            source: "igpsport".into(),
            start: Some(start.parse().unwrap()),
            local_start,
            elapsed_s: Some(3650.0),
            moving_s: None,
            distance_m: Some(30_000.0),
            sport: None,
            device: None,
        }
    }

    #[test]
    fn the_wall_clock_decides_where_it_is_known() {
        let start = date(2026, 5, 1).at(8, 0, 0, 0);
        let near = ours(Some(date(2026, 5, 1).at(8, 3, 45, 0)), "2026-05-01T00:03:45Z");
        let far = ours(Some(date(2026, 5, 1).at(8, 6, 0, 0)), "2026-05-01T00:06:00Z");
        assert!(is_same_ride(&there(start), &near));
        assert!(!is_same_ride(&there(start), &far));
    }

    #[test]
    fn clocks_of_different_zones_are_compared_in_utc() {
        let ours = ours(Some(date(2026, 5, 1).at(8, 1, 0, 0)), "2026-05-01T00:01:00Z");
        assert!(is_same_ride(&there(date(2026, 5, 1).at(2, 0, 0, 0)), &ours), "the sink keeps another zone");
        // The way home is as long as the way to work, but not to the minute.
        let mut home = there(date(2026, 5, 1).at(17, 0, 0, 0));
        home.elapsed_s = Some(3900.0);
        assert!(!is_same_ride(&home, &ours));
        (home.elapsed_s, home.distance_m) = (Some(3650.0), Some(32_000.0));
        assert!(!is_same_ride(&home, &ours), "all that is known must agree");
    }

    #[test]
    fn in_utc_the_difference_must_be_a_time_zone_and_the_length_must_agree() {
        let start = date(2026, 5, 1).at(8, 0, 0, 0);
        assert!(is_same_ride(&there(start), &ours(None, "2026-05-01T00:01:00Z")));
        assert!(!is_same_ride(&there(start), &ours(None, "2026-05-01T00:07:00Z")), "no zone is 7 minutes off");
        assert!(!is_same_ride(&there(start), &ours(None, "2026-04-30T12:00:00Z")), "no zone is 20 hours off");
        let mut longer = ours(None, "2026-05-01T00:01:00Z");
        longer.elapsed_s = Some(7200.0);
        assert!(!is_same_ride(&there(start), &longer));
    }
}
