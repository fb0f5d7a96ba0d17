//! One ride in detail, where its file lies, and who the rider is.

use serde_json::{Value, json};

use super::respond::{failure, mobile_success, success, unknown_ride};
use super::{DownloadUrlShape, MemberId, Region, RideId, UrlShape};
use crate::reply::{Incoming, Reply};
use crate::state::State;

/// The two calls that may know where a file lies.
#[derive(Clone, Copy)]
enum Asked {
    Detail,
    DownloadUrl,
}

impl State {
    pub(crate) fn detail(&mut self, region: Region, caller: MemberId, id: &str, request: &Incoming) -> Reply {
        let Some(id) = self.own_ride(region, caller, id) else {
            return unknown_ride(&self.region(region).toggles);
        };
        let url = self.poll_url(region, id, Asked::Detail, request);
        let here = self.region(region);
        let (Some(ride), Some(member)) = (here.rides.get(&id), here.members.get(&caller)) else {
            return unknown_ride(&here.toggles);
        };
        let facts = &ride.facts;
        let local = |seconds: i64| {
            let at = ride.start.checked_add(jiff::SignedDuration::from_secs(seconds));
            member.local(at.unwrap_or(ride.start))
        };
        let speed = facts.average_speed();
        let mut data = json!({
            "rideId": ride.id,
            "memberId": caller,
            "title": ride.title,
            "startTime": local(0).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            "endTime": local(i64::from(facts.elapsed_s)).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            "startTimeWithWeek": local(0).strftime("%Y.%-m.%-d %a %H:%M").to_string(),
            "totalTime": facts.elapsed_s,
            "movingTime": facts.moving_s,
            "totalMovingTime": facts.moving_s,
            "recordTime": facts.elapsed_s,
            "rideDistance": facts.whole_metres(),
            "avgSpeed": speed,
            "avgMovingSpeed": speed,
            "maxSpeed": speed * 1.9,
            "totalAscent": facts.ascent_m,
            "totalDescent": facts.ascent_m,
            "avgBalance": [null, null],
            "avgTQEffect": [null, null],
            "avgPedSmooth": [null, null],
            "avgPco": [null, null],
            "spZoom": [], "cadZoom": [], "hrZoom": [], "upAndDownSlopeZoom": [],
            "exerciseType": 0,
            "product": 301,
            "productName": "iGPSPORT BSC300",
            "manufacturer": 115,
            "softwareVersion": "1.48",
            "deviceInfo": {"deviceName": "BSC300", "deviceImage": "", "softwareVersion": "1.48"},
            "status": 1, "errorType": 0, "openStatus": 0, "label": 1,
            "fitFixed": false,
            "dataSyncStravaStatus": i32::from(ride.on_strava),
            "hideStartAndEnd": true,
            "hideStartAndEndDistance": 1000,
        });
        let shape = if url.is_some() {
            here.toggles.detail_url
        } else if here.toggles.detail_url == UrlShape::Absent {
            UrlShape::Absent
        } else {
            UrlShape::Null
        };
        match shape {
            UrlShape::Text => data["fitUrl"] = json!(url),
            UrlShape::Null => data["fitUrl"] = Value::Null,
            UrlShape::Empty => data["fitUrl"] = json!(""),
            UrlShape::Absent => {}
        }
        success(&data)
    }

    pub(crate) fn download_url(&mut self, region: Region, caller: MemberId, id: &str, request: &Incoming) -> Reply {
        let Some(id) = self.own_ride(region, caller, id) else {
            return unknown_ride(&self.region(region).toggles);
        };
        let url = self.poll_url(region, id, Asked::DownloadUrl, request);
        let Some(url) = url else {
            return success(&Value::Null);
        };
        success(&match self.region(region).toggles.download_url {
            DownloadUrlShape::Text => json!(url),
            DownloadUrlShape::Null => Value::Null,
            DownloadUrlShape::Empty => json!(""),
            DownloadUrlShape::Object => json!({ "url": url }),
        })
    }

    pub(crate) fn user_info(&self, region: Region, caller: MemberId) -> Reply {
        let here = self.region(region);
        if here.toggles.user_info_403 {
            return failure(403, 403, "Forbidden");
        }
        let Some(member) = here.members.get(&caller) else {
            return failure(404, 404, "Not Found");
        };
        let total: f64 =
            member.order.iter().filter_map(|id| here.rides.get(id)).map(|ride| ride.facts.distance_m).sum();
        mobile_success(&json!({
            "memberId": caller,
            "strMemberId": caller.to_string(),
            "nickName": member.nickname,
            "avatar": "",
            "email": member.email,
            "phone": null,
            "timeZone": member.offset.seconds(),
            "rideNum": member.order.len(),
            "rideDistance": total,
            "deviceName": "BSC200,BSC300,iGS800",
            "regTime": "03/14/2024 09:26:53",
        }))
    }

    /// The ride of that number, if it is the caller's and still there.
    fn own_ride(&self, region: Region, caller: MemberId, id: &str) -> Option<RideId> {
        let id = RideId(id.parse().ok()?);
        let ride = self.region(region).rides.get(&id)?;
        (ride.member == caller && !ride.deleted).then_some(id)
    }

    /// The file's URL, once the cloud has processed the ride; each call counts as one poll.
    fn poll_url(&mut self, region: Region, id: RideId, asked: Asked, request: &Incoming) -> Option<String> {
        let ride = self.region_mut(region).rides.get_mut(&id)?;
        let waits = match asked {
            Asked::Detail => &mut ride.detail_waits,
            Asked::DownloadUrl => &mut ride.download_waits,
        };
        if *waits > 0 {
            *waits -= 1;
            return None;
        }
        if request.now < ride.ready_at {
            return None;
        }
        let ride = self.region(region).rides.get(&id)?;
        Some(self.file_url(ride))
    }
}
