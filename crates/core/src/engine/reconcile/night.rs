//! When the nightly reconcile of a source comes: between midnight and five on the rider's wall clock, at a
//! minute of its own, so that not all come at once.

use jiff::{SignedDuration, Timestamp};

use crate::domain::{Connection, ids::stable_hash};

/// Minutes after local midnight over which the sources spread out.
const NIGHT_MINUTES: u64 = 300;
const DAY_SECONDS: i64 = 86_400;

/// The first moment behind `last` that is this source's minute of the night.
pub(crate) fn next_night(source: &Connection, offset_minutes: i16, last: Timestamp) -> Timestamp {
    let minute = stable_hash(&format!("night/{}/{}", source.user, source.id)) % NIGHT_MINUTES;
    let of_day = i64::try_from(minute).unwrap_or(0) * 60 - i64::from(offset_minutes) * 60;
    let days = (last.as_second() - of_day).div_euclid(DAY_SECONDS) + 1;
    Timestamp::from_second(days * DAY_SECONDS + of_day)
        .unwrap_or_else(|_| last.saturating_add(SignedDuration::from_hours(24)).unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConnectionState, History, RemoteAccount, Role, Service, SourceProgress, UserId};

    fn source(user: u32) -> Connection {
        let account =
            RemoteAccount { service: Service::new("igpsport").unwrap(), realm: "global".into(), account: "1".into() };
        Connection {
            user: UserId::new(format!("rider{user}")).unwrap(),
            id: account.connection_id(),
            name: "igpsport".into(),
            account,
            label: "Rider".into(),
            state: ConnectionState::Active,
            role: Role::Source(SourceProgress::default()),
            history: History::All,
            settings: serde_json::Value::Null,
            connected_at: Timestamp::UNIX_EPOCH,
            renewals: 0,
        }
    }

    #[test]
    fn each_comes_once_a_day_in_the_riders_night_and_they_spread_out() {
        let last: Timestamp = "2026-05-10T17:23:11Z".parse().unwrap();
        let mut minutes = std::collections::BTreeMap::<i64, u32>::new();
        for user in 0..3000 {
            for offset in [-480, 0, 480] {
                let next = next_night(&source(user), offset, last);
                let waits = next.duration_since(last);
                assert!(waits > SignedDuration::ZERO && waits <= SignedDuration::from_hours(24), "{waits:?}");
                let local = (next.as_second() + i64::from(offset) * 60).rem_euclid(DAY_SECONDS);
                assert!(local < 5 * 3600, "{local} s after local midnight");
                let after = next_night(&source(user), offset, next);
                assert_eq!(after.duration_since(next), SignedDuration::from_hours(24));
                if offset == 0 {
                    *minutes.entry(local / 60).or_default() += 1;
                }
            }
        }
        assert!(minutes.len() > 290 && minutes.values().all(|count| *count < 40), "{minutes:?}");
    }
}
