//! The one record of a ride, put together from the list row, the detail and the FIT file.
//!
//! Each source's facts are kept as they came; the accessors of [`Ride`] choose. The FIT wins wherever it
//! speaks, because it is the recording itself; the cloud fills the gaps.
//!
//! | accessor | unit | which source wins |
//! |---|---|---|
//! | [`Ride::title`] | text | detail, list (the FIT has none) |
//! | [`Ride::start`] | UTC instant | FIT only: the cloud gives no zone |
//! | [`Ride::local_start`] | wall clock | detail, FIT start + its local offset |
//! | [`Ride::local_dates`] | dates | the local start's, list, those around the FIT start in UTC |
//! | [`Ride::local_date`] | date | the local start's, list, FIT start in UTC |
//! | [`Ride::elapsed_s`] | s | FIT, detail |
//! | [`Ride::moving_s`] | s | FIT timer, detail, list |
//! | [`Ride::duration_s`] | s | the moving time, else the elapsed time |
//! | [`Ride::distance_m`] | m | FIT, list (fractions), detail (whole metres) |
//! | [`Ride::ascent_m`] | m | FIT, detail, list |
//! | [`Ride::avg_speed_mps`] | m/s | FIT, detail, list |
//! | [`Ride::avg_heart_rate_bpm`] | 1/min | FIT, detail |
//! | [`Ride::avg_power_w`] | W | FIT only |
//! | [`Ride::sport`] | FIT profile name | FIT, cycling for exercise type 0 |
//! | [`Ride::indoor`] | yes or no | FIT only |
//! | [`Ride::device`] | text | detail, list, FIT numbers |

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::Offset,
};
use serde::{Deserialize, Serialize};

/// What a list row says. iGPSport's rows carry a date, no time of day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ListedFacts {
    /// Title as the cloud shows it; often generic or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Local date of the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// Distance, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// Moving time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_s: Option<f64>,
    /// Mean speed, m/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_speed_mps: Option<f64>,
    /// Climbed height, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ascent_m: Option<f64>,
    /// Name of the recording device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// iGPSport's exercise type; 0 is cycling, the rest is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exercise_type: Option<i64>,
}

/// What the detail call says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DetailFacts {
    /// Title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Start on the rider's wall clock; the zone is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_start: Option<DateTime>,
    /// Elapsed time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<f64>,
    /// Moving time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_s: Option<f64>,
    /// Distance, whole m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// Climbed height, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ascent_m: Option<f64>,
    /// Mean speed, m/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_speed_mps: Option<f64>,
    /// Mean heart rate, 1/min; only where a sensor was worn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_heart_rate_bpm: Option<f64>,
    /// Name of the recording device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// iGPSport's exercise type; 0 is cycling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exercise_type: Option<i64>,
}

/// What the FIT file says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedFacts {
    /// Start of the first session, else the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Local time minus UTC, s; a multiple of 900 within ±14 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset_s: Option<i32>,
    /// Elapsed time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<f64>,
    /// Timer time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_s: Option<f64>,
    /// Distance, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
    /// Climbed height, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ascent_m: Option<f64>,
    /// Mean speed, m/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_speed_mps: Option<f64>,
    /// Mean heart rate, 1/min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_heart_rate_bpm: Option<f64>,
    /// Mean power, W.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_power_w: Option<f64>,
    /// Sport as the FIT profile names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sport: Option<String>,
    /// Sub-sport as the FIT profile names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_sport: Option<String>,
    /// FIT manufacturer number; iGPSport is 115.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<u16>,
    /// FIT product number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<u16>,
    /// Serial number as raw bytes in hex, trailing zero bytes cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Creation time in the file's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_created: Option<Timestamp>,
    /// Whether any sample has a position.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_gps: bool,
    /// Samples.
    #[serde(default)]
    pub records: u32,
    /// Activities that are chained in the file; 1 in nearly all.
    #[serde(default)]
    pub activities: u32,
}

/// Everything known about a ride; see the module's table for which source wins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ride {
    /// From the list row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<ListedFacts>,
    /// From the detail call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<DetailFacts>,
    /// From the FIT file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedFacts>,
}

impl Ride {
    fn listed<T>(&self, pick: impl Fn(&ListedFacts) -> Option<T>) -> Option<T> {
        self.listed.as_ref().and_then(pick)
    }

    fn detailed<T>(&self, pick: impl Fn(&DetailFacts) -> Option<T>) -> Option<T> {
        self.detail.as_ref().and_then(pick)
    }

    fn recorded<T>(&self, pick: impl Fn(&RecordedFacts) -> Option<T>) -> Option<T> {
        self.recorded.as_ref().and_then(pick)
    }

    /// The title, where it says anything.
    pub fn title(&self) -> Option<String> {
        self.detailed(|d| d.title.clone())
            .filter(|title| !title.trim().is_empty())
            .or_else(|| self.listed(|l| l.title.clone()))
            .filter(|title| !title.trim().is_empty())
    }

    /// When the ride started, in UTC.
    pub fn start(&self) -> Option<Timestamp> {
        self.recorded(|f| f.start)
    }

    /// When the ride started, on the rider's wall clock.
    pub fn local_start(&self) -> Option<DateTime> {
        self.detailed(|d| d.local_start).or_else(|| {
            let offset = Offset::from_seconds(self.recorded(|f| f.utc_offset_s)?).ok()?;
            Some(offset.to_datetime(self.start()?))
        })
    }

    /// The local date of the start.
    pub fn local_date(&self) -> Option<Date> {
        self.local_start()
            .map(|start| start.date())
            .or_else(|| self.listed(|l| l.date))
            .or_else(|| Some(Offset::UTC.to_datetime(self.start()?).date()))
    }

    /// The first and the last local date that the start may have had. They differ where only UTC is known: wall clocks
    /// are 12 h behind it to 14 h ahead.
    pub fn local_dates(&self) -> Option<(Date, Date)> {
        const BEHIND: SignedDuration = SignedDuration::from_hours(12);
        const AHEAD: SignedDuration = SignedDuration::from_hours(14);
        if let Some(date) = self.local_start().map(|start| start.date()).or_else(|| self.listed(|l| l.date)) {
            return Some((date, date));
        }
        let date = |at| Offset::UTC.to_datetime(at).date();
        let start = self.start()?;
        Some((date(start.saturating_sub(BEHIND).ok()?), date(start.saturating_add(AHEAD).ok()?)))
    }

    /// Elapsed time, s.
    pub fn elapsed_s(&self) -> Option<f64> {
        self.recorded(|f| f.elapsed_s).or_else(|| self.detailed(|d| d.elapsed_s))
    }

    /// When the ride ended, in UTC.
    pub fn end(&self) -> Option<Timestamp> {
        let elapsed = SignedDuration::try_from_secs_f64(self.elapsed_s()?).ok()?;
        self.start()?.checked_add(elapsed).ok()
    }

    /// Moving time, s.
    pub fn moving_s(&self) -> Option<f64> {
        self.recorded(|f| f.timer_s).or_else(|| self.detailed(|d| d.moving_s)).or_else(|| self.listed(|l| l.moving_s))
    }

    /// How long the ride was for its rider, s: the moving time, else the elapsed time.
    pub fn duration_s(&self) -> Option<f64> {
        self.moving_s().or_else(|| self.elapsed_s())
    }

    /// Distance, m.
    pub fn distance_m(&self) -> Option<f64> {
        self.recorded(|f| f.distance_m)
            .or_else(|| self.listed(|l| l.distance_m))
            .or_else(|| self.detailed(|d| d.distance_m))
    }

    /// Climbed height, m.
    pub fn ascent_m(&self) -> Option<f64> {
        self.recorded(|f| f.ascent_m).or_else(|| self.detailed(|d| d.ascent_m)).or_else(|| self.listed(|l| l.ascent_m))
    }

    /// Mean speed, m/s.
    pub fn avg_speed_mps(&self) -> Option<f64> {
        self.recorded(|f| f.avg_speed_mps)
            .or_else(|| self.detailed(|d| d.avg_speed_mps))
            .or_else(|| self.listed(|l| l.avg_speed_mps))
    }

    /// Mean heart rate, 1/min.
    pub fn avg_heart_rate_bpm(&self) -> Option<f64> {
        self.recorded(|f| f.avg_heart_rate_bpm).or_else(|| self.detailed(|d| d.avg_heart_rate_bpm))
    }

    /// Mean power, W.
    pub fn avg_power_w(&self) -> Option<f64> {
        self.recorded(|f| f.avg_power_w)
    }

    /// The sport, as the FIT profile names it.
    pub fn sport(&self) -> Option<String> {
        self.recorded(|f| f.sport.clone()).or_else(|| {
            let exercise = self.detailed(|d| d.exercise_type).or_else(|| self.listed(|l| l.exercise_type));
            (exercise == Some(0)).then(|| "cycling".to_owned())
        })
    }

    /// Whether it was on a trainer or otherwise under a roof, with the name in the FIT profile that says so.
    /// Not known where the file names no kind of its own: `generic`, or a number that the profile lacks.
    pub fn indoor(&self) -> Option<(bool, String)> {
        const INDOORS: [&str; 11] = [
            "indoor_cycling",
            "spin",
            "virtual_activity",
            "treadmill",
            "indoor_running",
            "indoor_walking",
            "indoor_rowing",
            "indoor_climbing",
            "indoor_skiing",
            "elliptical",
            "stair_climbing",
        ];
        let sport = self.recorded(|f| f.sport.clone());
        let kind =
            self.recorded(|f| f.sub_sport.clone()).filter(|kind| kind != "generic" && !kind.starts_with("sub_sport_"));
        match kind {
            Some(kind) => Some((INDOORS.contains(&kind.as_str()), kind)),
            None => sport.filter(|sport| sport == "fitness_equipment").map(|sport| (true, sport)),
        }
    }

    /// The recording device.
    pub fn device(&self) -> Option<String> {
        self.detailed(|d| d.device.clone()).or_else(|| self.listed(|l| l.device.clone())).or_else(|| {
            let (manufacturer, product) = self.recorded(|f| Some((f.manufacturer?, f.product?)))?;
            Some(format!("{manufacturer}/{product}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Ride {
        Ride {
            listed: Some(ListedFacts {
                title: Some("list".into()),
                date: Some(jiff::civil::date(2025, 6, 1)),
                distance_m: Some(100.5),
                moving_s: Some(10.0),
                avg_speed_mps: Some(1.0),
                ascent_m: Some(1.0),
                device: Some("iGS800".into()),
                exercise_type: Some(0),
            }),
            detail: Some(DetailFacts {
                title: Some("detail".into()),
                local_start: Some(jiff::civil::date(2025, 6, 2).at(1, 30, 0, 0)),
                elapsed_s: Some(20.0),
                moving_s: Some(11.0),
                distance_m: Some(100.0),
                ascent_m: Some(2.0),
                avg_speed_mps: Some(2.0),
                avg_heart_rate_bpm: Some(120.0),
                device: Some("iGPSPORT BSC300".into()),
                exercise_type: Some(0),
            }),
            recorded: Some(RecordedFacts {
                start: Some("2025-06-01T17:30:05Z".parse().unwrap()),
                utc_offset_s: Some(28_800),
                elapsed_s: Some(21.0),
                timer_s: Some(12.0),
                distance_m: Some(100.4),
                ascent_m: Some(3.0),
                avg_speed_mps: Some(3.0),
                avg_heart_rate_bpm: Some(121.0),
                avg_power_w: Some(200.0),
                sport: Some("cycling".into()),
                manufacturer: Some(115),
                product: Some(301),
                ..RecordedFacts::default()
            }),
        }
    }

    #[test]
    fn each_field_takes_the_source_of_the_table() {
        let ride = full();
        assert_eq!(ride.title().as_deref(), Some("detail"));
        assert_eq!(ride.local_start(), Some(jiff::civil::date(2025, 6, 2).at(1, 30, 0, 0)));
        assert_eq!(ride.local_date(), Some(jiff::civil::date(2025, 6, 2)));
        assert_eq!((ride.elapsed_s(), ride.moving_s()), (Some(21.0), Some(12.0)));
        assert_eq!((ride.distance_m(), ride.ascent_m()), (Some(100.4), Some(3.0)));
        assert_eq!((ride.avg_speed_mps(), ride.avg_heart_rate_bpm()), (Some(3.0), Some(121.0)));
        assert_eq!(ride.avg_power_w(), Some(200.0));
        assert_eq!(ride.device().as_deref(), Some("iGPSPORT BSC300"));
        assert_eq!(ride.end(), Some("2025-06-01T17:30:26Z".parse().unwrap()));
    }

    #[test]
    fn without_the_fit_the_cloud_fills_the_gaps() {
        let ride = Ride { recorded: None, ..full() };
        assert_eq!((ride.start(), ride.end(), ride.avg_power_w()), (None, None, None));
        assert_eq!((ride.elapsed_s(), ride.moving_s()), (Some(20.0), Some(11.0)));
        assert_eq!((ride.distance_m(), ride.ascent_m()), (Some(100.5), Some(2.0)));
        assert_eq!(ride.sport().as_deref(), Some("cycling"));
        let listed = Ride { detail: None, ..ride };
        assert_eq!(listed.title().as_deref(), Some("list"));
        assert_eq!(listed.local_date(), Some(jiff::civil::date(2025, 6, 1)));
        assert_eq!((listed.moving_s(), listed.ascent_m()), (Some(10.0), Some(1.0)));
        assert_eq!(listed.device().as_deref(), Some("iGS800"));
    }

    #[test]
    fn without_the_cloud_the_fit_gives_the_wall_clock() {
        let ride = Ride { listed: None, detail: None, ..full() };
        assert_eq!(ride.local_start(), Some(jiff::civil::date(2025, 6, 2).at(1, 30, 5, 0)));
        assert_eq!((ride.title(), ride.device()), (None, Some("115/301".into())));
        assert_eq!(Ride::default().local_date(), None);
    }

    #[test]
    fn indoors_is_known_only_where_the_file_names_a_kind() {
        let kind = |sport: Option<&str>, sub: Option<&str>| {
            let recorded = RecordedFacts {
                sport: sport.map(str::to_owned),
                sub_sport: sub.map(str::to_owned),
                ..RecordedFacts::default()
            };
            Ride { recorded: Some(recorded), ..Ride::default() }.indoor().map(|(indoor, _)| indoor)
        };
        assert_eq!(kind(Some("cycling"), Some("indoor_cycling")), Some(true));
        assert_eq!(kind(Some("cycling"), Some("virtual_activity")), Some(true));
        assert_eq!(kind(Some("cycling"), Some("road")), Some(false));
        assert_eq!(kind(Some("fitness_equipment"), Some("generic")), Some(true));
        for unknown in [None, Some("generic"), Some("sub_sport_99")] {
            assert_eq!(kind(Some("cycling"), unknown), None);
        }
        assert_eq!(Ride::default().indoor(), None);
    }

    #[test]
    fn an_empty_title_in_the_detail_does_not_hide_the_lists() {
        let mut ride = full();
        ride.detail.as_mut().unwrap().title = Some("  ".into());
        assert_eq!(ride.title().as_deref(), Some("list"));
    }
}
