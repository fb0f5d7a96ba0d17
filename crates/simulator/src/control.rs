//! The control listener: the typed handle, as JSON over HTTP, for a shell.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connection::connection_help;
use crate::fault::FaultRule;
use crate::igpsport::{MemberId, NewMember, NewRide, PageAction, Region, RideBatch, RideId, Toggles};
use crate::intervals::{AthleteId, IntervalsToggles, NewActivity, NewAthlete};
use crate::reply::{Incoming, Reply};
use crate::state::Shared;
use crate::world::World;

/// A request that cannot be done: the status and the reason.
struct Refusal(u16, String);

impl<E: std::fmt::Display> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(400, error.to_string())
    }
}

type Answer = Result<Value, Refusal>;

/// Whose rides a request is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnerBody {
    #[serde(default)]
    region: Region,
    /// The region's first member when absent.
    member: Option<MemberId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RidesBody {
    #[serde(default)]
    region: Region,
    member: Option<MemberId>,
    batch: Option<RideBatch>,
    ride: Option<NewRide>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PagingBody {
    #[serde(default)]
    region: Region,
    member: Option<MemberId>,
    after_page: u64,
    action: PageAction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    #[serde(default)]
    region: Region,
    member: Option<MemberId>,
    life_s: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderBody {
    #[serde(default)]
    region: Region,
    member: Option<MemberId>,
    path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    set: Option<Timestamp>,
    advance_s: Option<i64>,
    speed: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivityBody {
    athlete: Option<AthleteId>,
    activity: NewActivity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantBody {
    athlete: Option<AthleteId>,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsBody {
    secrets: Vec<String>,
}

/// One control request.
pub(crate) fn answer(shared: &Arc<Shared>, request: &Incoming) -> Reply {
    if from_a_browser(request) {
        return Reply::json(403, &json!({"error": "the control listener is not for web pages"}));
    }
    let world = World { shared: Arc::clone(shared) };
    match dispatch(&world, request) {
        Ok(value) => Reply::json(200, &value),
        Err(Refusal(status, reason)) => Reply::json(status, &json!({ "error": reason })),
    }
}

/// A page in the user's browser must not steer the simulator, by request or by a name that resolves here.
fn from_a_browser(request: &Incoming) -> bool {
    let host = request.header("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    request.header("origin").is_some() || !matches!(name, "127.0.0.1" | "localhost")
}

fn dispatch(world: &World, request: &Incoming) -> Answer {
    let path = request.path.trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    match request.method {
        Method::GET => get(world, &segments, request),
        Method::POST => post(world, &segments, request),
        Method::DELETE => delete(world, &segments),
        _ => Err(Refusal(405, "GET, POST or DELETE".to_owned())),
    }
}

fn get(world: &World, segments: &[&str], request: &Incoming) -> Answer {
    let number = |name: &str| request.query_value(name).and_then(|text| text.parse().ok());
    Ok(match segments {
        [""] | ["connection"] => serde_json::to_value(connection_help(world))?,
        ["world"] => overview(world),
        ["clock"] => clock(world),
        ["rides"] => {
            let region = match request.query_value("region") {
                Some(name) => name.parse()?,
                None => Region::Global,
            };
            let member = owner(world, region, number("member").map(MemberId))?.1;
            json!({ "rides": world.rides(region, member) })
        }
        ["toggles"] => json!({
            "global": world.toggles(Region::Global),
            "china": world.toggles(Region::China),
            "intervals": world.intervals_toggles(),
        }),
        ["faults"] => json!({ "faults": world.faults() }),
        ["journal"] => {
            let entries = world.journal_since(number("since").unwrap_or_default());
            json!({ "next": world.journal_next(), "requests": entries })
        }
        ["counts"] => json!({
            "requests": world.request_counts(),
            "bearer_at_file_host": world.bearer_at_file_host(),
            "trap_hits": world.trap_hits(),
        }),
        ["uploads"] => json!({ "uploads": world.uploads() }),
        ["activities"] => {
            let id = athlete(world, request.query_value("athlete").map(AthleteId))?;
            json!({ "activities": world.activities(&id) })
        }
        ["webhooks"] => json!({
            "deliveries": world.webhook_deliveries(),
            "attempts": world.webhook_attempts(),
        }),
        _ => return Err(unknown()),
    })
}

fn post(world: &World, segments: &[&str], request: &Incoming) -> Answer {
    Ok(match segments {
        ["members"] => json!({ "member": world.add_member(body::<NewMember>(request)?)? }),
        ["rides"] => add_rides(world, request)?,
        ["rides", "while-paging"] => {
            let asked: PagingBody = body(request)?;
            let (region, member) = owner(world, asked.region, asked.member)?;
            world.while_paging(region, member, asked.after_page, asked.action)?;
            json!({})
        }
        ["folder"] => {
            let asked: FolderBody = body(request)?;
            let (region, member) = owner(world, asked.region, asked.member)?;
            json!({ "rides": world.load_folder(region, member, &asked.path)? })
        }
        ["tokens"] => {
            let asked: TokenBody = body(request)?;
            let (region, member) = owner(world, asked.region, asked.member)?;
            let life = asked.life_s.unwrap_or_else(|| world.toggles(region).token_life_s);
            let token = world.token_for(region, member, SignedDuration::from_secs(life))?;
            json!({ "token": token, "member": member, "region": region })
        }
        ["tokens", "revoke"] => {
            let asked: OwnerBody = body(request)?;
            let (region, member) = owner(world, asked.region, asked.member)?;
            json!({ "revoked": world.revoke_tokens(region, member) })
        }
        ["toggles", "intervals"] => {
            let merged: IntervalsToggles = merge(&world.intervals_toggles(), request)?;
            world.set_intervals_toggles(|toggles| *toggles = merged);
            json!(world.intervals_toggles())
        }
        ["toggles", region] => {
            let region: Region = region.parse()?;
            let merged: Toggles = merge(&world.toggles(region), request)?;
            world.set_toggles(region, |toggles| *toggles = merged);
            json!(world.toggles(region))
        }
        ["faults"] => {
            world.add_fault(body::<FaultRule>(request)?);
            json!({ "faults": world.faults() })
        }
        ["clock"] => {
            let asked: ClockBody = body(request)?;
            // First, so that a clock that is stopped and set shows exactly that time.
            if let Some(speed) = asked.speed {
                world.clock().set_speed(speed);
            }
            if let Some(to) = asked.set {
                world.clock().set(to);
            }
            if let Some(seconds) = asked.advance_s {
                world.clock().advance(SignedDuration::from_secs(seconds));
            }
            clock(world)
        }
        ["athletes"] => {
            let (id, key) = world.add_athlete(body::<NewAthlete>(request)?);
            json!({ "athlete": id, "api_key": key })
        }
        ["athletes", id, "revoke"] => {
            json!({ "revoked": world.revoke_athlete(&AthleteId::from(*id)) })
        }
        ["athletes", id, "renew-key"] => {
            json!({ "api_key": world.renew_key(&AthleteId::from(*id))? })
        }
        ["activities"] => {
            let asked: ActivityBody = body(request)?;
            let id = athlete(world, asked.athlete)?;
            json!({ "activity": world.add_activity(&id, &asked.activity)? })
        }
        ["intervals", "tokens"] => {
            let (id, asked) = grant(world, request)?;
            let scopes: Vec<&str> = asked.iter().map(String::as_str).collect();
            json!({ "token": world.intervals_token(&id, &scopes)? })
        }
        ["intervals", "codes"] => {
            let (id, asked) = grant(world, request)?;
            let scopes: Vec<&str> = asked.iter().map(String::as_str).collect();
            json!({ "code": world.intervals_code(&id, &scopes)? })
        }
        ["webhooks", "secrets"] => {
            let asked: SecretsBody = body(request)?;
            world.set_webhook_secrets(&asked.secrets)?;
            json!({ "secrets": asked.secrets.len() })
        }
        _ => return Err(unknown()),
    })
}

fn delete(world: &World, segments: &[&str]) -> Answer {
    match segments {
        ["rides", region, ride] => {
            world.delete_ride(region.parse()?, RideId(ride.parse()?))?;
        }
        ["faults"] => world.clear_faults(),
        ["journal"] => world.clear_journal(),
        ["webhooks"] => world.clear_webhooks(),
        _ => return Err(unknown()),
    }
    Ok(json!({}))
}

fn add_rides(world: &World, request: &Incoming) -> Answer {
    let asked: RidesBody = body(request)?;
    let (region, member) = owner(world, asked.region, asked.member)?;
    let ids = match (asked.batch, asked.ride) {
        (Some(batch), None) => world.add_rides(region, member, &batch)?,
        (None, ride) => vec![world.add_ride(region, member, &ride.unwrap_or_default())?],
        (Some(_), Some(_)) => return Err(Refusal(400, "either batch or ride".to_owned())),
    };
    Ok(json!({ "rides": ids }))
}

fn overview(world: &World) -> Value {
    let members: Vec<_> = Region::ALL.into_iter().flat_map(|region| world.members(region)).collect();
    let athletes: Vec<Value> = world
        .athletes()
        .into_iter()
        .map(|(id, name, _)| {
            let activities = world.activities(&id);
            let alive = activities.iter().filter(|a| !a.deleted).count();
            json!({ "athlete": id, "name": name, "activities": alive })
        })
        .collect();
    json!({
        "now": world.now(),
        "members": members,
        "athletes": athletes,
        "uploads": world.uploads().len(),
        "webhook_deliveries": world.webhook_deliveries().len(),
        "faults": world.faults(),
    })
}

fn clock(world: &World) -> Value {
    json!({ "now": world.now(), "speed": world.clock().speed() })
}

fn owner(world: &World, region: Region, asked: Option<MemberId>) -> Result<(Region, MemberId), Refusal> {
    let first = || world.members(region).first().map(|m| m.member_id);
    let member = asked.or_else(first).ok_or_else(|| Refusal(404, format!("{region} has no member")))?;
    Ok((region, member))
}

fn athlete(world: &World, asked: Option<AthleteId>) -> Result<AthleteId, Refusal> {
    let first = || world.athletes().into_iter().next().map(|(id, _, _)| id);
    asked.or_else(first).ok_or_else(|| Refusal(404, "there is no athlete".to_owned()))
}

fn grant(world: &World, request: &Incoming) -> Result<(AthleteId, Vec<String>), Refusal> {
    let asked: GrantBody = body(request)?;
    Ok((athlete(world, asked.athlete)?, asked.scopes))
}

fn body<T: DeserializeOwned>(request: &Incoming) -> Result<T, Refusal> {
    let bytes: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    Ok(serde_json::from_slice(bytes)?)
}

/// The current switches with those of the body put over them.
fn merge<T: Serialize + DeserializeOwned>(current: &T, request: &Incoming) -> Result<T, Refusal> {
    let mut merged = serde_json::to_value(current)?;
    let change: serde_json::Map<String, Value> = body(request)?;
    if let Some(object) = merged.as_object_mut() {
        object.extend(change);
    }
    Ok(serde_json::from_value(merged)?)
}

fn unknown() -> Refusal {
    Refusal(404, "no such control; the simulator's README lists them".to_owned())
}
