//! `fitbridge connect`, `disconnect`, and the older names. A connection is checked against its service
//! before it is stored.

use std::io::{BufRead, IsTerminal, Read};

use fitbridge_core::{
    Code, Failure,
    domain::{Connection, RemoteAccount, Service},
    engine::{connect::Wish, secrets::SourceSecret},
    ports::{Login, SealedKey, SinkError, SourceIdentity},
};
use secrecy::SecretString;
use serde_json::json;

use super::{
    Context,
    common::{Whose, connections},
};
use crate::{
    args::{Common, Connect, FolderArgs, IgpsportArgs, IntervalsArgs, RegionArg, WebhookArgs, WebhookMode},
    exit::{Exit, Stop},
    out::{Out, plain},
    rule_args::RuleChange,
};

/// Longest secret that is read from standard input, in bytes.
const MAX_STDIN: u64 = 64 * 1024;

/// For whom something is connected, and over which adapters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Whose the connection is to be.
    pub of: Whose<'a>,
    /// One replaced host plays both of iGPSport's regions.
    pub one_host: bool,
}

/// `connect`, for the rider of this machine.
pub(crate) async fn run(context: &Context, what: Connect) -> Result<Exit, Stop> {
    let app = context.open()?;
    let settings = &context.settings;
    let one_host = settings.igpsport_url.is_some() != settings.igpsport_china_url.is_some();
    let place = Place { of: context.whose(&app), one_host };
    if connect(&place, what).await?.source().is_some() {
        let has_sink = connections(&app).await?.iter().any(|connection| connection.sink().is_some());
        context.out.line(match has_sink {
            true => "  next: `fitbridge sync` for one pass, or `fitbridge serve` to keep going",
            false => "  next: connect a place for the rides (intervals, folder, webhook), then `fitbridge sync`",
        });
    }
    Ok(done(context.out))
}

/// Connects something and prints what it is now.
pub(crate) async fn connect(place: &Place<'_>, what: Connect) -> Result<Connection, Stop> {
    // The service is asked whether the secret is good.
    place.of.engine.refuse_when_halted().await?;
    match what {
        Connect::Igpsport(args) => igpsport(place, args).await,
        Connect::Intervals(args) => intervals(place, args).await,
        Connect::Folder(args) => folder(place, args).await,
        Connect::Webhook(args) => webhook(place, args).await,
    }
}

async fn igpsport(place: &Place<'_>, args: IgpsportArgs) -> Result<Connection, Stop> {
    let wish = wish(place, args.common, "igpsport");
    let source = &place.of.engine.ports().source;
    let (token, login) = match (&args.login, args.token) {
        (Some(username), _) => {
            let login = Login { username: username.clone(), password: password(args.password_stdin)? };
            let realm = args.region.unwrap_or(RegionArg::Global).realm();
            let token = source.log_in(realm, &login).await.map_err(|error| error.failure())?;
            (token, args.stay_signed_in.then_some(login))
        }
        (None, Some(token)) => (in_arguments(place.of.out, token)?, None),
        (None, None) if args.token_stdin || !std::io::stdin().is_terminal() => (from_stdin("token")?, None),
        (None, None) => (asked_for("iGPSport token: ")?, None),
    };
    let found = identify(place, &wish, args.region, args.login.is_some(), &token).await?;
    let secret = SourceSecret { token, login };
    let connection = place.of.engine.connect_source(&wish, &found, &secret).await?;
    let total = found.latest.total_rows.unwrap_or(0);
    tell(place.of.out, &connection, &[("rides", total.into())]);
    place.of.out.line(format!("  {total} rides there; the latest: {}", latest(&found)));
    if let Some(ends_at) = connection.source().and_then(|source| source.token_ends_at) {
        place.of.out.line(format!("  the token ends {ends_at:.0}"));
    }
    Ok(connection)
}

/// Asks both regions whose token it is. Both may know it, for two different people.
async fn identify(
    place: &Place<'_>,
    wish: &Wish,
    region: Option<RegionArg>,
    signed_in: bool,
    token: &SecretString,
) -> Result<SourceIdentity, Stop> {
    let facts = place.of.engine.ports().source.token_facts(token).map_err(|error| error.failure())?;
    if facts.ends_at.is_some_and(|end| end <= place.of.engine.now()) {
        return Err(Failure::from(Code::TokenExpired).into());
    }
    let region = region.or((place.one_host || signed_in).then_some(RegionArg::Global));
    let realm = region.map(RegionArg::realm);
    let found = place.of.engine.ports().source.identify(token, realm).await.map_err(|error| error.failure())?;
    match <[SourceIdentity; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(none) if none.is_empty() => Err(refused(place, realm.unwrap_or("global")).await.into()),
        Err(several) => choose(place, wish, several).await,
    }
}

/// Why nobody took the token: it is refused, or everybody is.
async fn refused(place: &Place<'_>, realm: &str) -> Failure {
    let account = RemoteAccount { service: Service::from_any("igpsport"), realm: realm.into(), account: String::new() };
    match place.of.engine.ports().source.reachable(&account).await {
        Ok(()) => Code::TokenRefused.into(),
        Err(_) => Code::ProviderAway.into(),
    }
}

async fn choose(place: &Place<'_>, wish: &Wish, several: Vec<SourceIdentity>) -> Result<SourceIdentity, Stop> {
    // Renewing a connection goes on with the account that it has.
    if let Ok(old) = place.of.engine.find_connection(place.of.user, &wish.name).await
        && let Some(same) = several.iter().find(|found| found.account == old.doc.account)
    {
        return Ok(same.clone());
    }
    place.of.out.note("Both iGPSport regions know this token, for two different people:");
    for found in &several {
        let nickname = found.nickname.as_deref().unwrap_or("(no name)");
        place.of.out.note(format!("  {}: {}, latest ride: {}", found.account.realm, plain(nickname), latest(found)));
    }
    if std::io::stdin().is_terminal() {
        place.of.out.note("Which one is you? Type global or china:");
        let mut answer = String::new();
        // No answer is no choice.
        let _ = std::io::stdin().lock().take(100).read_line(&mut answer);
        if let Some(chosen) = several.into_iter().find(|found| found.account.realm == answer.trim()) {
            return Ok(chosen);
        }
    }
    Err(Failure::from(Code::RegionAmbiguous).into())
}

fn latest(found: &SourceIdentity) -> String {
    let Some(row) = found.latest.rows.first() else { return "none".into() };
    let date = row.facts.date.map_or_else(|| "no date".into(), |date| date.to_string());
    let title = row.facts.title.as_deref().unwrap_or("untitled");
    let km = row.facts.distance_m.map(|m| format!(", {:.1} km", m / 1000.0)).unwrap_or_default();
    format!("{date} {}{km}", plain(title))
}

async fn intervals(place: &Place<'_>, args: IntervalsArgs) -> Result<Connection, Stop> {
    let wish = wish(place, args.common, "intervals");
    let rules = args.rules.read(false)?;
    let key = match args.api_key_stdin || !std::io::stdin().is_terminal() {
        true => from_stdin("API key")?,
        false => asked_for("Intervals.icu API key (Settings, Developer): ")?,
    };
    let secret = fitbridge_sinks::intervals::api_key_secret(&key);
    let settings = args.athlete.map_or_else(|| json!({}), |athlete| json!({ "athlete": athlete }));
    let connection = connect_sink(place, &wish, "intervals", settings, Some(&secret), &rules).await?;
    tell(place.of.out, &connection, &[]);
    Ok(connection)
}

async fn folder(place: &Place<'_>, args: FolderArgs) -> Result<Connection, Stop> {
    let wish = wish(place, args.common, "folder");
    let rules = args.rules.read(false)?;
    let path = std::path::absolute(&args.path)
        .map_err(|error| Stop::failed(Failure::new(Code::FolderUnwritable, error.to_string())))?;
    let mut settings = json!({ "path": path });
    if let Some(template) = args.template {
        settings["template"] = template.into();
    }
    // Only here: later a folder that is missing lies on a disk that is not there.
    let made = std::fs::create_dir(&path).is_ok();
    let connection = connect_sink(place, &wish, "folder", settings, None, &rules).await;
    if made && connection.is_err() {
        drop(std::fs::remove_dir(&path));
    }
    let connection = connection?;
    tell(place.of.out, &connection, &[]);
    Ok(connection)
}

async fn webhook(place: &Place<'_>, args: WebhookArgs) -> Result<Connection, Stop> {
    let wish = wish(place, args.common, "webhook");
    let rules = args.rules.read(false)?;
    let mode = match args.mode {
        WebhookMode::Raw => "raw",
        WebhookMode::Notify => "notify",
        WebhookMode::Link => "link",
    };
    let settings = json!({ "url": args.url, "mode": mode });
    let made = !args.secret_stdin;
    let text = match args.secret_stdin {
        true => from_stdin("signing secret")?,
        false => fitbridge_sinks::webhook::new_secret(
            fitbridge_local::random_bytes()
                .map_err(|error| Stop::failed(Failure::new(Code::Bug, error.to_string())))?,
        ),
    };
    let old = match args.rotate {
        true => Some(sealed_now(place, &wish.name).await?),
        false => None,
    };
    let sealed = match &old {
        Some(old) => fitbridge_sinks::webhook::rotate(old, &text),
        None => fitbridge_sinks::webhook::sealed_secret(&text),
    };
    let secret = sealed.map_err(|error| Stop::failed(Failure::from(error)))?;
    let connected = connect_sink(place, &wish, "webhook", settings, Some(&secret), &rules).await;
    if made && connected.as_ref().is_err_and(|stop| stop.failure.code == Code::WebhookStatus) {
        // A receiver that checks signatures cannot know a secret that was made a moment ago.
        let shown = secrecy::ExposeSecret::expose_secret(&text);
        place.of.out.note(format!("If the receiver checks signatures, give it this secret: {shown}"));
        place.of.out.note("and connect again with --secret-stdin. It is stored nowhere yet.");
    }
    let connection = connected?;
    tell(place.of.out, &connection, &[]);
    if made {
        // The receiver needs it, and this is the only time it is shown.
        let shown = secrecy::ExposeSecret::expose_secret(&text);
        place.of.out.line(format!("  signing secret for the receiver, shown once: {shown}"));
        place.of.out.record(&json!({ "type": "webhook_secret", "name": connection.name, "secret": shown }));
    }
    Ok(connection)
}

/// The secret that a connection has now.
async fn sealed_now(place: &Place<'_>, name: &str) -> Result<SecretString, Stop> {
    let old = place.of.engine.find_connection(place.of.user, name).await?;
    let key = SealedKey { user: place.of.user.clone(), connection: old.doc.id };
    Ok(place.of.engine.ports().vault.open(&key).await.map_err(fitbridge_core::engine::EngineError::from)?)
}

/// `config set igpsport:token`.
pub(crate) async fn config_set(context: &Context, key: &str, value: String) -> Result<Exit, Stop> {
    if key != "igpsport:token" {
        let failure = Failure::new(Code::Usage, format!("unknown key {key:?}; did you mean igpsport:token?"));
        return Err(Stop::failed(failure));
    }
    let common = Common { name: None, history: None };
    let token = Some(value);
    let args = IgpsportArgs {
        token_stdin: false,
        login: None,
        password_stdin: false,
        stay_signed_in: false,
        region: None,
        common,
        token,
    };
    run(context, Connect::Igpsport(args)).await
}

/// `disconnect`.
pub(crate) async fn disconnect(context: &Context, name: &str) -> Result<Exit, Stop> {
    let app = context.open()?;
    let connection = app.engine.disconnect(&app.user, name).await?;
    context.out.record(&json!({ "type": "disconnected", "name": connection.name, "id": connection.id }));
    context.out.line(format!(
        "{} ({}) is disconnected and its secret forgotten; what was delivered stays known, so connecting it again sends nothing twice",
        connection.name,
        plain(&connection.label)
    ));
    Ok(done(context.out))
}

fn done(out: Out) -> Exit {
    out.record(&json!({ "type": "summary", "connections": 1 }));
    Exit::Done
}

fn wish(place: &Place<'_>, common: Common, service: &str) -> Wish {
    let name = common.name.unwrap_or_else(|| service.to_owned());
    Wish { user: place.of.user.clone(), name, history: common.history }
}

async fn connect_sink(
    place: &Place<'_>,
    wish: &Wish,
    service: &str,
    settings: serde_json::Value,
    secret: Option<&SecretString>,
    rules: &RuleChange,
) -> Result<Connection, Stop> {
    let service = Service::from_any(service);
    let Some(sink) = place.of.engine.ports().sinks.get(&service) else {
        return Err(Stop::failed(Failure::new(Code::SinkUnknown, service.as_str())));
    };
    let identity = sink.check(&settings, secret).await.map_err(|error| match error {
        SinkError::NeedsReauth(failure) => Stop { failure, exit: Exit::NeedsRider },
        SinkError::Away { failure, .. } => Stop { failure, exit: Exit::Unfinished },
        SinkError::Settings(failure) | SinkError::Unsupported(failure) => Stop::failed(failure),
    })?;
    Ok(place.of.engine.connect_sink_by(wish, &identity, secret, &|old| rules.onto(old)).await?)
}

fn tell(out: Out, connection: &Connection, more: &[(&str, serde_json::Value)]) {
    let mut record = json!({
        "type": "connected",
        "name": connection.name,
        "id": connection.id,
        "service": connection.account.service,
        "realm": connection.account.realm,
        "account": connection.account.account,
        "label": connection.label,
    });
    for (field, value) in more {
        record[*field] = value.clone();
    }
    out.record(&record);
    let account = &connection.account;
    // Some services have no other name for an account than its number or path.
    let more = [account.account.as_str(), account.realm.as_str()];
    let more: Vec<_> = more.into_iter().filter(|text| !text.is_empty() && *text != connection.label).collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", plain(&more.join(", "))) };
    out.line(format!("{}: connected as {}{more}", connection.name, plain(&connection.label)));
}

/// Reads a secret from standard input, to its end.
pub(crate) fn from_stdin(what: &str) -> Result<SecretString, Stop> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_STDIN).read_to_string(&mut text);
    let trimmed = text.trim();
    if read.is_err() || trimmed.is_empty() {
        let failure = Failure::new(Code::Usage, format!("no {what} came on standard input"));
        return Err(Stop::failed(failure));
    }
    Ok(SecretString::from(trimmed.to_owned()))
}

/// Asks for a secret at the terminal, without echo.
pub(crate) fn asked_for(prompt: &str) -> Result<SecretString, Stop> {
    let nothing = |why: &str| Stop::failed(Failure::new(Code::Usage, format!("nothing was typed{why}")));
    let text = rpassword::prompt_password(prompt).map_err(|error| nothing(&format!(": {error}")))?;
    match text.trim() {
        "" => Err(nothing("")),
        trimmed => Ok(SecretString::from(trimmed.to_owned())),
    }
}

fn password(stdin: bool) -> Result<SecretString, Stop> {
    if !stdin && std::io::stdin().is_terminal() {
        return asked_for("iGPSport password: ");
    }
    // Spaces at the ends may belong to a password; a line's end does not.
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_STDIN).read_line(&mut text);
    let password = text.trim_end_matches(['\r', '\n']);
    if read.is_err() || password.is_empty() {
        return Err(Stop::failed(Failure::new(Code::Usage, "no password came on standard input")));
    }
    Ok(SecretString::from(password.to_owned()))
}

fn in_arguments(out: Out, token: String) -> Result<SecretString, Stop> {
    if token == "-" {
        return from_stdin("token");
    }
    out.note("warning: a token in the arguments stays in the shell's history; without it you are asked for it");
    Ok(SecretString::from(token))
}
