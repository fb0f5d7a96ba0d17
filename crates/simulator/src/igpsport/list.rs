//! The list of a member's rides, newest first, 20 rows a page at most.

use std::borrow::Cow;

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::respond::success;
use super::{
    BeyondEnd, DateStyle, Member, MemberId, PageAction, PageSizeEcho, Region, RegionState, Ride, RideId, RowShape,
};
use crate::reply::{Incoming, Reply};
use crate::rng::digest;
use crate::state::State;

/// What the real service gives at most, whatever is asked for.
const MAX_PAGE: usize = 20;

impl State {
    pub(crate) fn list(&mut self, region: Region, id: MemberId, request: &Incoming) -> Reply {
        let number = |name: &str, default: usize| {
            request.query_value(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(default)
        };
        let page: usize = number("pageNo", 1);
        let requested = number("pageSize", MAX_PAGE);
        let size = requested.min(MAX_PAGE);
        let here = self.region(region);
        let Some(member) = here.members.get(&id) else {
            return success(&Value::Null);
        };
        let shown = here.shown(member, request);
        let pages = shown.len().div_ceil(size);
        let row = |ride: &RideId| here.rides.get(ride).map(|ride| self.row(here, member, ride));
        let rows_of = |page: usize| -> Vec<Value> {
            shown.iter().skip((page - 1).saturating_mul(size)).take(size).filter_map(row).collect()
        };
        let rows = if page <= pages.max(1) {
            rows_of(page)
        } else {
            match here.toggles.beyond_end {
                BeyondEnd::Empty => Vec::new(),
                BeyondEnd::RepeatLast => rows_of(pages.max(1)),
                BeyondEnd::NullData => return success(&Value::Null),
            }
        };
        let distinct = match &shown {
            Cow::Borrowed(order) => order.len(),
            Cow::Owned(shown) => shown.windows(2).filter(|pair| pair[0] != pair[1]).count() + usize::from(pages > 0),
        };
        let reply = success(&json!({
            "pageNo": page,
            "pageSize": match here.toggles.page_size_echo {
                PageSizeEcho::Clamped => size,
                PageSizeEcho::Requested => requested,
            },
            "totalPage": pages,
            "totalRows": distinct,
            "rows": rows,
        }));
        self.run_hooks(region, id, page, request);
        reply
    }

    fn row(&self, here: &RegionState, member: &Member, ride: &Ride) -> Value {
        let facts = &ride.facts;
        let toggles = &here.toggles;
        let local = member.local(ride.start);
        let start = match toggles.dates {
            DateStyle::Dotted => json!(local.strftime("%Y.%m.%d").to_string()),
            DateStyle::Full => json!(local.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            DateStyle::Null => Value::Null,
            DateStyle::Empty => json!(""),
        };
        let mut row = Map::new();
        row.insert("rideId".into(), json!(ride.id));
        row.insert("title".into(), json!(ride.title));
        row.insert("startTime".into(), start);
        row.insert("rideDistance".into(), json!(facts.distance_m));
        row.insert("totalMovingTime".into(), json!(facts.moving_s));
        if !toggles.sparse_rows {
            let id = ride.id.to_string();
            row.insert("id".into(), json!(&digest(self.seed, &["row", here.region.as_str(), &id])[..24]));
            row.insert("exerciseType".into(), json!(0));
            row.insert("avgSpeed".into(), json!(facts.average_speed()));
            row.insert("totalAscent".into(), json!(facts.ascent_m));
            row.insert("productName".into(), json!("iGPSPORT BSC300"));
            row.insert("dataStatus".into(), json!(1));
            row.insert("analysisStatus".into(), json!(1));
            row.insert("errorType".into(), json!(0));
            row.insert("label".into(), json!(1));
            row.insert("isOpen".into(), json!(0));
            row.insert("unRead".into(), json!(false));
        }
        if toggles.extra_fields {
            row.insert("newInThisVersion".into(), json!({"nested": [1, "two", null]}));
        }
        if toggles.fit_oss_path {
            row.insert("fitOssPath".into(), json!(self.file_url(ride)));
        }
        match ride.row {
            RowShape::Normal if toggles.ride_id_as_text => {
                row.insert("rideId".into(), json!(ride.id.to_string()));
            }
            RowShape::Normal => {}
            RowShape::IdAsText => {
                row.insert("rideId".into(), json!(ride.id.to_string()));
            }
            RowShape::IdMissing => {
                row.remove("rideId");
            }
            RowShape::IdObject => {
                row.insert("rideId".into(), json!({"$numberLong": ride.id.to_string()}));
            }
            RowShape::IdHuge => {
                row.insert("rideId".into(), json!(u64::MAX));
            }
            RowShape::NotAnObject => return json!("corrupt"),
        }
        Value::Object(row)
    }

    fn run_hooks(&mut self, region: Region, member: MemberId, page: usize, request: &Incoming) {
        let hooks = &mut self.region_mut(region).hooks;
        let mut due = Vec::new();
        let mut at = 0;
        while at < hooks.len() {
            let hook = &hooks[at];
            if hook.member == member && u64::try_from(page) == Ok(hook.after_page) {
                due.push(hooks.remove(at).action);
            } else {
                at += 1;
            }
        }
        for action in due {
            let done = match action {
                PageAction::Insert(ride) => self.add_ride(region, member, &ride, request.now).map(|_| ()),
                PageAction::Delete(ride) => self.delete_ride(region, ride),
            };
            if let Err(error) = done {
                tracing::error!(%error, "a paging hook could not act");
            }
        }
    }
}

impl RegionState {
    /// The rides a list call walks over, in order, some of them twice.
    fn shown<'a>(&self, member: &'a Member, request: &Incoming) -> Cow<'a, [RideId]> {
        let day = |name: &str| request.query_value(name).and_then(|text| text.parse::<Date>().ok());
        let (begin, end) = (day("beginTime"), day("endTime"));
        if begin.is_none() && end.is_none() && member.twice.is_empty() {
            return Cow::Borrowed(&member.order);
        }
        let within = |id: &&RideId| {
            self.rides.get(id).is_some_and(|ride| {
                let date = member.local(ride.start).date();
                begin.is_none_or(|begin| date >= begin)
                    && end.is_none_or(|end| date < end || (date == end && !self.toggles.end_time_exclusive))
            })
        };
        member
            .order
            .iter()
            .filter(within)
            .flat_map(|id| {
                let times = if member.twice.contains(id) { 2 } else { 1 };
                std::iter::repeat_n(*id, times)
            })
            .collect::<Vec<_>>()
            .into()
    }
}
