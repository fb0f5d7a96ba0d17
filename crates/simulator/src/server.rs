//! One listener: reads a request, asks the rules and the service, journals, answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Response, Uri};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::control;
use crate::fault::Fault;
use crate::journal::{Entry, PartSeen, Role};
use crate::reply::{Incoming, Part, Payload, Reply};
use crate::route::Route;
use crate::state::Shared;
use crate::wire::{Conn, WireListener, play};

/// No client of these services sends more in one request.
const MAX_BODY: usize = 256 * 1024 * 1024;

#[derive(Clone, Debug)]
struct App {
    shared: Arc<Shared>,
    role: Role,
}

/// Serves one role until the runtime it runs on ends.
pub(crate) async fn serve(listener: WireListener, role: Role, shared: Arc<Shared>) {
    let app = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(App { shared, role });
    let service = app.into_make_service_with_connect_info::<Conn>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the simulated {role} host stopped");
    }
}

async fn answer(
    State(App { shared, role }): State<App>,
    ConnectInfo(conn): ConnectInfo<Conn>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        conn.cut();
        return Response::new(Body::empty());
    };
    let incoming = read(role, &parts, body, &shared).await;
    if role == Role::Control {
        let reply = control::answer(&shared, &incoming);
        return respond(reply, None, &conn).await;
    }
    let route = Route::of(role, &incoming.method, &incoming.path);
    let seq = shared.journal().open(entry(&incoming, &route));
    let (reply, delay_ms, fault) = shared.state().judge_and_answer(&route, &incoming);
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    let cut = reply.cut || matches!(fault, Some(Fault::DropBeforeCommit | Fault::DropAfterCommit));
    let response = respond(reply, fault.as_ref(), &conn).await;
    let status = (!cut).then(|| response.status().as_u16());
    let fault = fault.map(|fault| fault.name().to_owned());
    shared.journal().close(seq, status, fault);
    response
}

async fn respond(reply: Reply, fault: Option<&Fault>, conn: &Conn) -> Response<Body> {
    if reply.cut {
        conn.cut();
    }
    let body = match &reply.payload {
        Payload::Bytes(bytes) => bytes.clone(),
        Payload::File(file) => match file.ready() {
            Some(bytes) => bytes,
            None => {
                let file = Arc::clone(file);
                let made = tokio::task::spawn_blocking(move || file.bytes()).await;
                match made {
                    Ok(Ok(bytes)) => bytes,
                    Ok(Err(error)) => return broken(&error.to_string(), conn),
                    Err(error) => return broken(&error.to_string(), conn),
                }
            }
        },
    };
    play(reply, body, fault, conn)
}

/// The simulator's own failure, in a form no service uses.
fn broken(error: &str, conn: &Conn) -> Response<Body> {
    tracing::error!(error, "the simulator cannot make a ride's file");
    let reply = Reply::new(599, "text/plain", format!("simulator: {error}"));
    play(reply, Bytes::from(format!("simulator: {error}")), None, conn)
}

async fn read(role: Role, parts: &Parts, body: Bytes, shared: &Shared) -> Incoming {
    let is_multipart = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("multipart/form-data"));
    let form = if is_multipart { read_multipart(parts, &body).await } else { Vec::new() };
    let body_sha256 = (!body.is_empty() && !is_multipart).then(|| sha256(&body));
    let (path, query) = split(&parts.uri);
    Incoming {
        role,
        method: parts.method.clone(),
        path,
        query,
        headers: parts.headers.clone(),
        body,
        body_sha256,
        parts: form,
        now: shared.clock.now(),
    }
}

fn split(uri: &Uri) -> (String, Option<String>) {
    (uri.path().to_owned(), uri.query().map(str::to_owned))
}

async fn read_multipart(parts: &Parts, body: &Bytes) -> Vec<Part> {
    let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let Ok(mut form) = Multipart::from_request(request, &()).await else {
        return Vec::new();
    };
    let mut read = Vec::new();
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.file_name().map(str::to_owned);
        let Ok(bytes) = field.bytes().await else {
            break;
        };
        read.push(Part { name, file_name, sha256: sha256(&bytes), bytes });
    }
    read
}

fn entry(incoming: &Incoming, route: &Route) -> Entry {
    Entry {
        seq: 0,
        at: incoming.now,
        role: incoming.role,
        route: route.name(),
        method: incoming.method.to_string(),
        path: incoming.path.clone(),
        query: incoming.query.clone(),
        headers: incoming
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
        body_size: incoming.body.len(),
        body_sha256: incoming.body_sha256.clone(),
        parts: incoming
            .parts
            .iter()
            .map(|part| PartSeen {
                name: part.name.clone(),
                file_name: part.file_name.clone(),
                size: part.bytes.len(),
                sha256: part.sha256.clone(),
            })
            .collect(),
        status: None,
        fault: None,
    }
}

/// SHA-256, lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
