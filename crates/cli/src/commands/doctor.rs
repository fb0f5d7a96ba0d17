//! `fitbridge doctor`: is everything as it should be, and the first contact with the real service.

use std::path::Path;

use anstyle::AnsiColor;
use fitbridge_core::{Code, Failure, domain::Connection, engine::secrets::SourceSecret, ports::SealedKey};
use fitbridge_igpsport::{FileHost, FirstContactOptions, Token, first_contact};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Context, common::connections};
use crate::{
    app::{App, no_tls},
    exit::{Exit, Stop},
    out::{paint, plain},
};

/// Checks the installation; with `probe`, makes the calls of the first contact.
pub(crate) async fn run(context: &Context, probe: bool, output: &Path) -> Result<Exit, Stop> {
    context.warn();
    let app = context.look()?;
    let connections = connections(&app).await?;
    if probe {
        return contact(context, &app, &connections, output).await;
    }
    let mut exit = Exit::Done;
    check(context, "data folder", true, &app.home.display().to_string());
    check(context, "ledger", true, "it opens and can be read");
    for connection in &connections {
        let (fine, detail) = examine(&app, connection).await?;
        check(context, &connection.name, fine, &plain(&detail));
        if !fine {
            exit = Exit::NeedsRider;
        }
    }
    if connections.is_empty() {
        check(context, "connections", true, "none yet: start with `fitbridge connect igpsport`");
    }
    context.out.record(&json!({ "type": "summary", "connections": connections.len() }));
    Ok(exit)
}

fn check(context: &Context, what: &str, fine: bool, detail: &str) {
    let word = if fine { paint(AnsiColor::Green, "ok  ") } else { paint(AnsiColor::Red, "look") };
    context.out.line(format!("{word} {what}: {detail}"));
    context.out.record(&json!({ "type": "check", "what": what, "ok": fine, "detail": detail }));
}

/// Whether a connection's secret opens and its service answers.
async fn examine(app: &App, connection: &Connection) -> Result<(bool, String), Stop> {
    if let Some(reason) = connection.paused() {
        return Ok((false, format!("paused: {reason}; next: {}", reason.code.next_step())));
    }
    if let Err(error) = app.engine.refuse_when_halted().await {
        let failure = error.failure();
        return Ok((false, format!("not asked: {failure}; next: {}", failure.code.next_step())));
    }
    if connection.source().is_some() {
        return Ok(match app.engine.look(connection, 1).await {
            Ok(Ok(page)) => (true, format!("answers, {} rides", page.page.total_rows.unwrap_or(0))),
            Ok(Err(error)) => (false, error.to_string()),
            Err(error) => (false, error.failure().to_string()),
        });
    }
    let key = SealedKey { user: app.user.clone(), connection: connection.id.clone() };
    let secret = app.engine.ports().vault.open(&key).await.ok();
    let Some(sink) = app.engine.ports().sinks.get(&connection.account.service) else {
        return Ok((false, Code::SinkUnknown.sentence().into()));
    };
    Ok(match sink.check(&connection.settings, secret.as_ref()).await {
        Ok(identity) => (true, format!("answers as {}", identity.label)),
        Err(error) => (false, error.failure().to_string()),
    })
}

async fn contact(context: &Context, app: &App, connections: &[Connection], output: &Path) -> Result<Exit, Stop> {
    app.engine.refuse_when_halted().await?;
    let source = connections.iter().find(|connection| connection.source().is_some());
    let source = source.ok_or_else(|| Failure::new(Code::NoSuchConnection, "no source is connected"))?;
    let key = SealedKey { user: app.user.clone(), connection: source.id.clone() };
    let sealed = app.engine.ports().vault.open(&key).await;
    let sealed = sealed.map_err(fitbridge_core::engine::EngineError::from)?;
    let secret = SourceSecret::from_sealed(&sealed).ok_or_else(|| Failure::from(Code::TokenMissing))?;
    let token = Token::parse(secret.token.expose_secret()).map_err(|_| Failure::from(Code::TokenInvalid))?;
    let files = FileHost::new(std::sync::Arc::clone(&app.guard)).map_err(|error| no_tls(&error))?;
    let client = app.source.client(&source.account.realm).map_err(|error| error.failure())?;
    context.out.note("about a dozen calls, one a second; nothing is changed");
    let contact = first_contact(client, &files, &token, &FirstContactOptions::default()).await;
    // The one fact that only both together tell: which zone the cloud's times are in.
    let zone = contact.latest_file.as_ref().zip(contact.local_start).and_then(|(file, told)| {
        let start = fitbridge_fit::scan(file).summary.start?;
        let ahead = told.duration_since(jiff::tz::Offset::UTC.to_datetime(start));
        Some(format!("the detail's start is {:+.2} h from the file's, which is UTC", ahead.as_secs_f64() / 3600.0))
    });
    let text = serde_json::to_string_pretty(&json!({ "answers": contact.answers, "time_zone": zone }));
    let text = text.map_err(|error| Failure::new(Code::Bug, error.to_string()))?;
    std::fs::write(output, text)
        .map_err(|error| Failure::new(Code::OutputUnwritable, format!("{}: {error}", output.display())))?;
    for answer in &contact.answers {
        context.out.line(format!(
            "{}: {}",
            answer.probe,
            answer.status.map_or_else(|| "no answer".into(), |status| status.to_string())
        ));
    }
    context.out.line(format!(
        "{} redacted answers are in {}: read them before you share them",
        contact.answers.len(),
        output.display()
    ));
    context.out.record(&json!({ "type": "summary", "answers": contact.answers.len(), "file": output }));
    Ok(Exit::Done)
}
