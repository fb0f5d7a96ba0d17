//! A small world to look around in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::SignedDuration;

use crate::igpsport::{FileSpec, NewMember, NewRide, Region, RideBatch};
use crate::intervals::{NewActivity, NewAthlete};
use crate::rng::digest;
use crate::world::{World, WorldError, recent};

/// The demo rider's login name.
const EMAIL: &str = "rider@example.com";
/// Rides of the demo rider: three pages of the list.
const RIDES: usize = 44;

/// One rider with three pages of rides, an athlete with an API key, and a webhook secret.
pub(crate) fn furnish(world: &World, seed: u64) -> Result<(), WorldError> {
    let member = world.add_member(NewMember {
        email: Some(EMAIL.to_owned()),
        nickname: "Demo Rider".to_owned(),
        password: format!("demo-{}", &digest(seed, &["password"])[..8]),
        ..NewMember::default()
    })?;
    let batch = RideBatch {
        count: RIDES - 1,
        newest: recent(world.now()).checked_sub(SignedDuration::from_hours(20)).ok(),
        ..RideBatch::standard(0)
    };
    world.add_rides(Region::Global, member, &batch)?;
    let newest = NewRide { title: Some("Evening loop".to_owned()), file: FileSpec::Standard, ..NewRide::default() };
    world.add_ride(Region::Global, member, &newest)?;
    let (athlete, _) = world.add_athlete(NewAthlete { name: "Demo Rider".to_owned(), ..NewAthlete::default() });
    // Far from any ride: present, but nothing to hold back.
    world.add_activity(&athlete, &NewActivity::elsewhere(world.now()))?;
    let secret = hex::decode(digest(seed, &["webhook"])).unwrap_or_default();
    world.set_webhook_secrets(&[format!("whsec_{}", BASE64.encode(secret))])?;
    Ok(())
}

impl NewActivity {
    /// An activity of another device, two years before `now`.
    fn elsewhere(now: jiff::Timestamp) -> Self {
        let start = now.checked_sub(SignedDuration::from_hours(2 * 365 * 24)).unwrap_or(now);
        Self { start_date_local: jiff::tz::Offset::UTC.to_datetime(start), ..Self::default() }
    }
}
