//! A page of the list, row by row.

use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::lenient::{Fields, IdFault};
use crate::times::ListStart;

/// The service's number of a ride. 0 is a valid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RideId(pub u64);

impl std::fmt::Display for RideId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A ride as the list tells it. What is missing, `null` or unreadable is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which ride.
    pub ride_id: RideId,
    /// Title; generic by default.
    pub title: Option<String>,
    /// Start, a date only as a rule.
    pub start: Option<ListStart>,
    /// Distance, m.
    pub distance_m: Option<f64>,
    /// Moving time, s.
    pub moving_s: Option<f64>,
    /// Mean speed, m/s.
    pub avg_speed_mps: Option<f64>,
    /// Climbed height, m.
    pub ascent_m: Option<f64>,
    /// Name of the recording device.
    pub product_name: Option<String>,
    /// Kind of exercise; 0 is cycling, the rest is unknown.
    pub exercise_type: Option<i64>,
    /// `dataStatus`; its meaning is unknown.
    pub data_status: Option<i64>,
    /// `analysisStatus`; its meaning is unknown.
    pub analysis_status: Option<i64>,
    /// `errorType`; its meaning is unknown.
    pub error_type: Option<i64>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// It is no JSON object.
    #[error("the row is no object")]
    NotAnObject,
    /// It has no `rideId`.
    #[error("the row has no rideId")]
    MissingId,
    /// Its `rideId` is below zero.
    #[error("the rideId is negative")]
    NegativeId,
    /// Its `rideId` does not fit 64 bits.
    #[error("the rideId is too large")]
    IdTooLarge,
    /// Its `rideId` is no whole number.
    #[error("the rideId is not a whole number")]
    IdNotANumber,
}

impl From<IdFault> for RowFault {
    fn from(fault: IdFault) -> Self {
        match fault {
            IdFault::Missing => Self::MissingId,
            IdFault::Negative => Self::NegativeId,
            IdFault::TooLarge => Self::IdTooLarge,
            IdFault::NotANumber => Self::IdNotANumber,
        }
    }
}

/// A row that cannot be decoded. The rest of its page is not lost for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Its place on the page, from 0.
    pub position: usize,
    /// What is wrong.
    pub fault: RowFault,
    /// The row's JSON text as it came; it tells one such row from another.
    pub text: String,
}

/// A page of the list, newest rides first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListPage {
    /// The page's number as the service echoes it, from 1.
    pub page_no: Option<u64>,
    /// Rows per page as the service echoes it.
    pub page_size: Option<u64>,
    /// Pages in all.
    pub total_pages: Option<u64>,
    /// Rows in all.
    pub total_rows: Option<u64>,
    /// The rows that could be decoded, in the service's order.
    pub rows: Vec<Row>,
    /// The rows that could not.
    pub undecodable: Vec<RowProblem>,
}

impl Row {
    /// Decodes a row from its JSON text.
    ///
    /// # Errors
    /// When it is no object or has no usable `rideId`; every other field may be anything.
    pub fn decode(json: &str) -> Result<Self, RowFault> {
        let fields = Fields::parse(json).map_err(|_| RowFault::NotAnObject)?;
        Ok(Self {
            ride_id: RideId(fields.id("rideId")?),
            title: fields.text("title"),
            start: fields.text("startTime").and_then(|text| ListStart::parse(&text)),
            distance_m: fields.float("rideDistance"),
            moving_s: fields.float("totalMovingTime"),
            avg_speed_mps: fields.float("avgSpeed"),
            ascent_m: fields.float("totalAscent"),
            product_name: fields.text("productName"),
            exercise_type: fields.int("exerciseType"),
            data_status: fields.int("dataStatus"),
            analysis_status: fields.int("analysisStatus"),
            error_type: fields.int("errorType"),
        })
    }
}

impl ListPage {
    /// Decodes the envelope's `data`; `null` is a page without rows.
    pub(crate) fn decode(data: Option<&RawValue>) -> Result<Self, ApiError> {
        let Some(data) = data else {
            return Ok(Self::default());
        };
        let fields = Fields::parse(data.get()).map_err(|_| ApiError::malformed("the list's data is no object"))?;
        let mut page = Self {
            page_no: fields.id("pageNo").ok(),
            page_size: fields.id("pageSize").ok(),
            total_pages: fields.id("totalPage").ok(),
            total_rows: fields.id("totalRows").ok(),
            ..Self::default()
        };
        let rows: Vec<&RawValue> = match fields.raw("rows") {
            None => Vec::new(),
            Some(rows) => {
                serde_json::from_str(rows).map_err(|_| ApiError::malformed("the list's rows are no array"))?
            }
        };
        for (position, row) in rows.iter().enumerate() {
            match Row::decode(row.get()) {
                Ok(row) => page.rows.push(row),
                Err(fault) => page.undecodable.push(RowProblem { position, fault, text: row.get().to_owned() }),
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn page(data: &Value) -> Result<ListPage, ApiError> {
        let raw = RawValue::from_string(data.to_string()).unwrap();
        ListPage::decode(Some(&raw))
    }

    #[test]
    fn the_documented_row_is_read_with_its_units() {
        let row = Row::decode(
            r#"{"rideId":31827705,"id":"65f0c0ffee65f0c0ffee65f0","exerciseType":0,"title":"户外骑行",
                "startTime":"2025.06.02","rideDistance":77816.56,"totalMovingTime":13112,"avgSpeed":5.934,
                "totalAscent":850,"productName":"iGS800","dataStatus":1,"analysisStatus":1,"errorType":0,
                "fitOssPath":null,"label":1,"isOpen":0,"unRead":false}"#,
        )
        .unwrap();
        assert_eq!(
            row,
            Row {
                ride_id: RideId(31_827_705),
                title: Some("户外骑行".into()),
                start: Some(ListStart::Date(jiff::civil::date(2025, 6, 2))),
                distance_m: Some(77816.56),
                moving_s: Some(13112.0),
                avg_speed_mps: Some(5.934),
                ascent_m: Some(850.0),
                product_name: Some("iGS800".into()),
                exercise_type: Some(0),
                data_status: Some(1),
                analysis_status: Some(1),
                error_type: Some(0),
            }
        );
    }

    #[test]
    fn a_bad_row_is_reported_alone() {
        let page = page(&json!({"pageNo": 1, "pageSize": 20, "totalPage": 15, "totalRows": 298, "rows": [
            {"rideId": "5"}, {"rideId": -1}, {"title": "x"}, 7, null, {"rideId": 0, "title": "", "startTime": null}
        ]}))
        .unwrap();
        assert_eq!(
            (page.page_no, page.page_size, page.total_pages, page.total_rows),
            (Some(1), Some(20), Some(15), Some(298))
        );
        let ids: Vec<u64> = page.rows.iter().map(|row| row.ride_id.0).collect();
        assert_eq!(ids, [5, 0]);
        let faults: Vec<_> = page.undecodable.iter().map(|p| (p.position, p.fault)).collect();
        assert_eq!(
            faults,
            [(1, RowFault::NegativeId), (2, RowFault::MissingId), (3, RowFault::NotAnObject), (4, RowFault::MissingId)]
        );
        assert_eq!(page.undecodable[0].text, r#"{"rideId":-1}"#);
    }

    #[test]
    fn pages_without_rows_are_pages() {
        assert_eq!(ListPage::decode(None).unwrap(), ListPage::default());
        for data in [json!({}), json!({"rows": null}), json!({"rows": []})] {
            assert_eq!(page(&data).unwrap(), ListPage::default());
        }
        assert!(page(&json!([])).is_err());
        assert!(page(&json!({"rows": {"rideId": 1}})).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            "[0-9.: -]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let name = prop_oneof![
                Just("rideId"),
                Just("title"),
                Just("startTime"),
                Just("rideDistance"),
                Just("rows"),
                Just("x")
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.prop_map(String::from), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_makes_the_decoder_panic(value in any_json()) {
            let _ = Row::decode(&value.to_string());
            let _ = page(&value);
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text in "[{}\\[\\]\",:a-zI0-9\\\\ -]{0,60}") {
            let _ = Row::decode(&text);
        }

        #[test]
        fn every_id_is_exact(id: u64, quoted: bool) {
            let json = if quoted { format!("{{\"rideId\":\"{id}\"}}") } else { format!("{{\"rideId\":{id}}}") };
            prop_assert_eq!(Row::decode(&json).unwrap().ride_id, RideId(id));
        }
    }
}
