//! Uploads: one file part, all else in the query; 201 when anything is new, 200 when nothing is.

use std::io::{Cursor, Read as _};

use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::json;
use zip::ZipArchive;

use super::auth::Caller;
use super::{ActivityView, AthleteId, Reupload, Upload, unprocessable};
use crate::reply::{Incoming, Reply};
use crate::server::sha256;
use crate::state::State;
use crate::synth;

/// What a compressed upload may grow to.
const MAX_UNPACKED: u64 = 256 * 1024 * 1024;

/// One file of an upload.
struct Item {
    bytes: Bytes,
    /// Hash of the bytes as received.
    received: String,
    /// Hash that tells duplicates.
    identity: String,
}

impl State {
    pub(crate) fn upload(&mut self, caller: &Caller, request: &Incoming) -> Reply {
        let Some(part) = request.parts.iter().find(|part| part.name == "file") else {
            return unprocessable("Required part 'file' is not present");
        };
        let differs = self.intervals.toggles.gzip_hash_differs;
        let items = match unpack(&part.bytes, &part.sha256, differs) {
            Ok(items) if !items.is_empty() => items,
            _ => return unprocessable("Unable to read file"),
        };
        if items.iter().any(|item| !is_activity_file(&item.bytes)) {
            return unprocessable("Unsupported file type");
        }
        let name = request.query_value("name");
        let external_id = request.query_value("external_id");
        let mut any_new = false;
        let mut received = Vec::new();
        for item in items {
            let known = self.known(&caller.athlete, &item.identity);
            let ids = match known {
                Some(ids) => ids,
                None => {
                    any_new = true;
                    self.create(caller, &item, request)
                }
            };
            received.push((item, ids));
        }
        let toggles = &self.intervals.toggles;
        let status = match (any_new, toggles.duplicate_as_409) {
            (true, _) => 201,
            (false, false) => 200,
            (false, true) => 409,
        };
        let mut all = Vec::new();
        for (item, ids) in received {
            all.extend(ids.iter().cloned());
            self.intervals.uploads.push(Upload {
                athlete: caller.athlete.clone(),
                sha256: item.received,
                size: item.bytes.len(),
                external_id: external_id.clone(),
                name: name.clone(),
                status,
                activities: ids,
                at: request.now,
                bytes: self.keep_bodies.then_some(item.bytes),
            });
        }
        if status == 409 {
            return Reply::json(409, &json!({"status": 409, "error": "Duplicate activity"}));
        }
        let athlete = &caller.athlete;
        let activities: Vec<_> = all.iter().map(|id| json!({"icu_athlete_id": athlete, "id": id})).collect();
        Reply::json(status, &json!({"icu_athlete_id": athlete, "id": all.first(), "activities": activities}))
    }

    /// The activities that this athlete already has from these bytes.
    fn known(&self, athlete: &AthleteId, identity: &str) -> Option<Vec<String>> {
        let state = &self.intervals;
        let ids = state.by_hash.get(&(athlete.clone(), identity.to_owned()))?;
        let alive = ids.iter().any(|id| state.activities.get(id).is_some_and(|a| !a.deleted));
        (alive || state.toggles.reupload == Reupload::Duplicate).then(|| ids.clone())
    }

    fn create(&mut self, caller: &Caller, item: &Item, request: &Incoming) -> Vec<String> {
        let facts = synth::read(&item.bytes);
        let state = &mut self.intervals;
        let offset = state
            .athletes
            .get(&caller.athlete)
            .and_then(|athlete| jiff::tz::Offset::from_seconds(athlete.utc_offset_s).ok())
            .unwrap_or(jiff::tz::Offset::UTC);
        let start = facts.as_ref().map_or(request.now, |facts| facts.start);
        let count = if state.toggles.multisport { 2 } else { 1 };
        let ids: Vec<String> = (0..count).map(|_| state.next_activity("i")).collect();
        let source = if caller.uses_key() { "UPLOAD" } else { "OAUTH_CLIENT" };
        for id in &ids {
            let activity = ActivityView {
                id: id.clone(),
                athlete: caller.athlete.clone(),
                start_date_local: offset.to_datetime(start),
                source: source.to_owned(),
                external_id: request.query_value("external_id"),
                name: request.query_value("name").unwrap_or_else(|| "Ride".to_owned()),
                kind: "Ride".to_owned(),
                elapsed_s: facts.as_ref().map_or(0, |facts| facts.elapsed_s),
                distance_m: facts.as_ref().map_or(0.0, |facts| facts.distance_m),
                sha256: Some(item.identity.clone()),
                deleted: false,
            };
            state.activities.insert(id.clone(), activity);
        }
        let key = (caller.athlete.clone(), item.identity.clone());
        state.by_hash.insert(key, ids.clone());
        ids
    }
}

fn unpack(bytes: &Bytes, sha: &str, gzip_differs: bool) -> std::io::Result<Vec<Item>> {
    if bytes.starts_with(b"PK\x03\x04") {
        return unzip(bytes);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(bytes.as_ref()).take(MAX_UNPACKED).read_to_end(&mut plain)?;
        let identity = if gzip_differs { sha.to_owned() } else { sha256(&plain) };
        return Ok(vec![Item { bytes: plain.into(), received: sha.to_owned(), identity }]);
    }
    Ok(vec![Item { bytes: bytes.clone(), received: sha.to_owned(), identity: sha.to_owned() }])
}

fn unzip(bytes: &Bytes) -> std::io::Result<Vec<Item>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes.as_ref()))?;
    let mut items = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        if entry.is_dir() {
            continue;
        }
        let mut plain = Vec::new();
        entry.take(MAX_UNPACKED).read_to_end(&mut plain)?;
        let hash = sha256(&plain);
        items.push(Item { bytes: plain.into(), received: hash.clone(), identity: hash });
    }
    Ok(items)
}

fn is_activity_file(bytes: &[u8]) -> bool {
    let is_fit = bytes.get(8..12) == Some(b".FIT");
    let is_xml = bytes.trim_ascii_start().starts_with(b"<");
    is_fit || is_xml
}
