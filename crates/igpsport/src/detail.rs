//! What the detail call says of a ride.

use std::fmt;

use jiff::civil::DateTime;
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::lenient::Fields;
use crate::times::wall_clock;
use crate::token::MemberId;

/// Where a file lies: an address from outside, not checked yet. Whoever knows it can fetch the file,
/// so it shows itself in no output.
#[derive(Clone, PartialEq, Eq)]
pub struct Location(pub String);

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Location(…)")
    }
}

/// A ride in detail. What is missing, `null` or unreadable is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detail {
    /// Whose ride it is.
    pub member: Option<MemberId>,
    /// Title.
    pub title: Option<String>,
    /// Start on the rider's wall clock; the zone is unknown.
    pub local_start: Option<DateTime>,
    /// End on the rider's wall clock.
    pub local_end: Option<DateTime>,
    /// Elapsed time, s.
    pub elapsed_s: Option<f64>,
    /// Moving time, s.
    pub moving_s: Option<f64>,
    /// Distance, whole m.
    pub distance_m: Option<f64>,
    /// Mean speed, m/s.
    pub avg_speed_mps: Option<f64>,
    /// Highest speed, m/s.
    pub max_speed_mps: Option<f64>,
    /// Climbed height, m.
    pub ascent_m: Option<f64>,
    /// Mean heart rate, 1/min; only with a sensor.
    pub avg_heart_rate_bpm: Option<f64>,
    /// Highest heart rate, 1/min; only with a sensor.
    pub max_heart_rate_bpm: Option<f64>,
    /// Mean cadence, 1/min; only with a sensor.
    pub avg_cadence_rpm: Option<f64>,
    /// Energy, kcal.
    pub calories_kcal: Option<f64>,
    /// Kind of exercise; 0 is cycling.
    pub exercise_type: Option<i64>,
    /// Number of the device's model.
    pub product: Option<i64>,
    /// Name of the device's model.
    pub product_name: Option<String>,
    /// Manufacturer's number of the FIT profile; 115 is iGPSport.
    pub manufacturer: Option<i64>,
    /// Firmware of the device.
    pub software_version: Option<String>,
    /// `dataSyncStravaStatus`: whether the service itself sent the ride to Strava; values unknown.
    pub strava_status: Option<i64>,
    /// `fitFixed`; presumably the file was edited in the app.
    pub fit_fixed: Option<bool>,
    /// `status`; its meaning is unknown.
    pub status: Option<i64>,
    /// `errorType`; its meaning is unknown.
    pub error_type: Option<i64>,
    /// Where the file lies, when the service says it here.
    pub fit_url: Option<Location>,
}

impl Detail {
    /// Decodes the envelope's `data`.
    pub(crate) fn decode(data: Option<&RawValue>) -> Result<Self, ApiError> {
        let data = data.ok_or(ApiError::NotFound)?;
        let fields = Fields::parse(data.get()).map_err(|_| ApiError::malformed("the detail is no object"))?;
        let member = fields
            .id("memberId")
            .map(|id| id.to_string())
            .ok()
            .or_else(|| fields.text("memberId"))
            .and_then(|text| MemberId::new(&text));
        Ok(Self {
            member,
            title: fields.text("title"),
            local_start: fields.text("startTime").and_then(|text| wall_clock(&text)),
            local_end: fields.text("endTime").and_then(|text| wall_clock(&text)),
            elapsed_s: fields.float("totalTime"),
            moving_s: fields.float("movingTime").or_else(|| fields.float("totalMovingTime")),
            distance_m: fields.float("rideDistance"),
            avg_speed_mps: fields.float("avgSpeed"),
            max_speed_mps: fields.float("maxSpeed"),
            ascent_m: fields.float("totalAscent"),
            avg_heart_rate_bpm: fields.float("avgHrm"),
            max_heart_rate_bpm: fields.float("maxHrm"),
            avg_cadence_rpm: fields.float("avgCad"),
            calories_kcal: fields.float("calorie"),
            exercise_type: fields.int("exerciseType"),
            product: fields.int("product"),
            product_name: fields.text("productName"),
            manufacturer: fields.int("manufacturer"),
            software_version: fields.text("softwareVersion"),
            strava_status: fields.int("dataSyncStravaStatus"),
            fit_fixed: fields.flag("fitFixed"),
            status: fields.int("status"),
            error_type: fields.int("errorType"),
            fit_url: location(&fields, "fitUrl"),
        })
    }

    /// Checks that the ride belongs to a member; a detail that names nobody passes.
    ///
    /// # Errors
    /// [`ApiError::MemberMismatch`].
    pub fn belongs_to(&self, expected: &MemberId) -> Result<(), ApiError> {
        match &self.member {
            Some(got) if got != expected => {
                Err(ApiError::MemberMismatch { expected: expected.clone(), got: got.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Decodes the `data` of `getDownloadUrl`: a bare text as a rule, an object in some clients' books.
pub(crate) fn download_location(data: Option<&RawValue>) -> Result<Option<Location>, ApiError> {
    let Some(data) = data else { return Ok(None) };
    if let Ok(text) = serde_json::from_str::<String>(data.get()) {
        return Ok(non_blank(&text));
    }
    let fields =
        Fields::parse(data.get()).map_err(|_| ApiError::malformed("the download URL is neither text nor object"))?;
    Ok(["url", "downloadUrl", "fitUrl"].iter().find_map(|name| location(&fields, name)))
}

fn location(fields: &Fields<'_>, name: &str) -> Option<Location> {
    // Not `Fields::text`: that shortens, and a presigned address may be long.
    non_blank(&serde_json::from_str::<String>(fields.raw(name)?).ok()?)
}

fn non_blank(text: &str) -> Option<Location> {
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| Location(trimmed.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn the_documented_detail_is_read() {
        let json = r#"{"rideId":31827705,"memberId":1234567,"title":"Outdoor cycling",
            "startTime":"2025-06-02 13:56:49","endTime":"2025-06-02 17:58:43","totalTime":14514,
            "movingTime":13112,"rideDistance":77816,"avgSpeed":5.934,"maxSpeed":11.27,"totalAscent":724,
            "avgHrm":143,"maxHrm":173,"avgBalance":[null,null],"exerciseType":0,"product":301,
            "productName":"iGPSPORT BSC300","manufacturer":115,"softwareVersion":"1.48","fitFixed":false,
            "dataSyncStravaStatus":1,"fitUrl":" https://files.example/abc "}"#;
        let detail = Detail::decode(Some(&raw(json))).unwrap();
        assert_eq!(detail.member, MemberId::new("1234567"));
        assert_eq!(detail.local_start, Some(jiff::civil::date(2025, 6, 2).at(13, 56, 49, 0)));
        assert_eq!(detail.elapsed_s, Some(14514.0));
        assert_eq!(detail.moving_s, Some(13112.0));
        assert_eq!(detail.avg_heart_rate_bpm, Some(143.0));
        assert_eq!(detail.avg_cadence_rpm, None);
        assert_eq!(detail.product_name.as_deref(), Some("iGPSPORT BSC300"));
        assert_eq!(detail.fit_fixed, Some(false));
        assert_eq!(detail.fit_url, Some(Location("https://files.example/abc".into())));
        assert!(!format!("{detail:?}").contains("files.example"));
    }

    #[test]
    fn another_members_ride_is_noticed() {
        let me = MemberId::new("1").unwrap();
        let check = |json| Detail::decode(Some(&raw(json))).unwrap().belongs_to(&me);
        assert!(check(r#"{"memberId":1}"#).is_ok());
        assert!(check(r#"{"memberId":"1"}"#).is_ok());
        assert!(check("{}").is_ok());
        assert_eq!(check(r#"{"memberId":2}"#).unwrap_err().code(), "member_mismatch");
        assert_eq!(Detail::decode(None).unwrap_err(), ApiError::NotFound);
        assert_eq!(Detail::decode(Some(&raw("[]"))).unwrap_err().code(), "provider_malformed");
    }

    #[test]
    fn download_urls_come_in_several_shapes() {
        let read = |json| download_location(Some(&raw(json)));
        let there = Ok(Some(Location("https://h/x".into())));
        assert_eq!(read("\"https://h/x\""), there);
        assert_eq!(read(r#"{"url":"https://h/x"}"#), there);
        assert_eq!(read(r#"{"url":"","downloadUrl":"https://h/x"}"#), there);
        for nothing in ["\"\"", "\" \"", "{}", r#"{"url":null}"#] {
            assert_eq!(read(nothing), Ok(None), "{nothing}");
        }
        assert_eq!(download_location(None), Ok(None));
        assert!(read("7").is_err());
    }
}
