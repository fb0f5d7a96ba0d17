//! `fitbridge notify`: how the rider is told of failures and recoveries.

use std::io::IsTerminal;

use fitbridge_core::{
    Code, Failure,
    domain::{Contact, NoticeState, Quiet, Service},
};
use fitbridge_local::smtp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    Context,
    connect::{asked_for, from_stdin},
};
use crate::{
    app::App,
    args::{Notify, NotifyEmail, NotifyWebhook},
    exit::{Exit, Stop},
    out::plain,
};

/// The channel of signed webhooks.
const WEBHOOK: &str = "webhook";

/// Sets or shows how the rider is told.
pub(crate) async fn run(context: &Context, what: Notify) -> Result<Exit, Stop> {
    match what {
        Notify::Webhook(args) => webhook(context, args).await,
        Notify::Email(args) => email(context, args).await,
        Notify::Off { via } => off(context, via.as_deref()).await,
        Notify::Test => test(context).await,
        Notify::Quiet { hours, zone } => quiet(context, &hours, zone.as_deref()).await,
        Notify::Show => show(context).await,
    }
}

async fn webhook(context: &Context, args: NotifyWebhook) -> Result<Exit, Stop> {
    let app = context.open()?;
    let made = !args.secret_stdin;
    let text = match args.secret_stdin {
        true => from_stdin("signing secret")?,
        false => fitbridge_sinks::webhook::new_secret(
            fitbridge_local::random_bytes()
                .map_err(|error| Stop::failed(Failure::new(Code::Bug, error.to_string())))?,
        ),
    };
    let sealed = fitbridge_sinks::webhook::sealed_secret(&text);
    let secret = sealed.map_err(|error| Stop::failed(Failure::from(error)))?;
    let settings = json!({ "url": args.url });
    let set = set(context, &app, WEBHOOK, &settings, Some(&secret), !args.no_test).await;
    if made && set.as_ref().is_err_and(|stop| stop.failure.code == Code::WebhookStatus) {
        // A receiver that checks signatures cannot know a secret that was made a moment ago.
        context.out.note("If the receiver checks signatures, set it with --no-test, give it the secret that is");
        context.out.note("shown then, and try `fitbridge notify test`.");
    }
    set?;
    if made {
        // The receiver needs it, and this is the only time it is shown.
        let shown = text.expose_secret();
        context.out.line(format!("  signing secret for the receiver, shown once: {shown}"));
        context.out.record(&json!({ "type": "webhook_secret", "name": "notify", "secret": shown }));
    }
    Ok(done(context))
}

async fn email(context: &Context, args: NotifyEmail) -> Result<Exit, Stop> {
    let app = context.open()?;
    let named = url::Url::parse(&args.smtp).is_ok_and(|url| !url.username().is_empty() && url.password().is_none());
    let password = match named {
        _ if args.password_stdin => Some(from_stdin("password")?),
        true if std::io::stdin().is_terminal() => Some(asked_for("Password of the mail account: ")?),
        true => Some(from_stdin("password")?),
        false => None,
    };
    let secret = password.as_ref().map(smtp::password_secret);
    let from = args.from.unwrap_or_else(|| args.address.clone());
    let settings = json!({ "url": args.smtp, "from": from, "to": args.address });
    set(context, &app, smtp::CHANNEL, &settings, secret.as_ref(), !args.no_test).await?;
    Ok(done(context))
}

/// Checks a channel, sends a test unless that is not wanted, and sets it. Nothing is kept of one that fails.
async fn set(
    context: &Context,
    app: &App,
    via: &str,
    settings: &Value,
    secret: Option<&SecretString>,
    send_test: bool,
) -> Result<(), Stop> {
    let via = Service::from_any(via);
    let channel = app.engine.check_channel(&via, settings, secret, send_test).await?;
    let label = channel.label.clone();
    app.engine.set_channel(&app.user, channel, secret).await?;
    let tested = if send_test { "a test was sent" } else { "not tested" };
    context.out.line(format!("notices go to {} by {via}; {tested}", plain(&label)));
    context.out.record(&json!({ "type": "channel", "via": via, "label": label, "tested": send_test }));
    Ok(())
}

async fn off(context: &Context, via: Option<&str>) -> Result<Exit, Stop> {
    let app = context.open()?;
    let via = via.map(Service::from_any);
    let dropped = app.engine.drop_channels(&app.user, via.as_ref()).await?;
    context.out.line(match dropped {
        0 => "nothing was set".to_owned(),
        _ => format!("{dropped} taken away; its secret is forgotten"),
    });
    Ok(done(context))
}

async fn test(context: &Context) -> Result<Exit, Stop> {
    let app = context.open()?;
    let tested = app.engine.test_channels(&app.user).await?;
    if tested.is_empty() {
        context.out.note("nothing is set: see `fitbridge notify --help`");
    }
    let mut exit = Exit::Done;
    for (channel, result) in &tested {
        let code = result.as_ref().err().map(|failure| failure.code);
        match result {
            Ok(()) => context.out.line(format!("{} ({}): sent", channel.via, plain(&channel.label))),
            Err(failure) => {
                exit = Exit::Unfinished;
                context.out.line(format!(
                    "{} ({}): {}",
                    channel.via,
                    plain(&channel.label),
                    plain(&failure.to_string())
                ));
                context.out.line(format!("  next: {}", failure.code.next_step()));
            }
        }
        let record =
            json!({ "type": "channel", "via": channel.via, "label": channel.label, "tested": true, "code": code });
        context.out.record(&record);
    }
    context.out.record(&json!({ "type": "summary", "channels": tested.len() }));
    Ok(exit)
}

async fn quiet(context: &Context, hours: &str, zone: Option<&str>) -> Result<Exit, Stop> {
    let app = context.open()?;
    let wrong = |reason: String| Stop::failed(Failure::new(Code::Usage, reason));
    let quiet = match (hours, zone) {
        ("off", _) => None,
        (hours, Some(zone)) => Some(Quiet::parse(hours, zone).map_err(wrong)?),
        (_, None) => return Err(wrong("quiet hours need a time zone: --zone Europe/Berlin".into())),
    };
    app.engine.set_quiet(&app.user, quiet.clone()).await?;
    context.out.line(match &quiet {
        None => "no quiet hours".to_owned(),
        Some(quiet) => format!("nothing is sent {}", hours_of(quiet)),
    });
    Ok(done(context))
}

fn hours_of(quiet: &Quiet) -> String {
    let time = |time: jiff::civil::Time| time.strftime("%H:%M").to_string();
    format!("from {} to {} ({})", time(quiet.from), time(quiet.to), quiet.zone)
}

async fn show(context: &Context) -> Result<Exit, Stop> {
    let app = context.look()?;
    let contact = app.engine.contact(&app.user).await?;
    let contact = contact.unwrap_or_else(|| Contact { user: app.user.clone(), channels: Vec::new(), quiet: None });
    if contact.channels.is_empty() {
        context.out.line(
            "notices go nowhere: set `fitbridge notify webhook URL` or `fitbridge notify email ADDRESS --smtp URL`",
        );
    }
    for channel in &contact.channels {
        context.out.line(format!("notices go to {} by {}", plain(&channel.label), channel.via));
        context.out.record(&json!({ "type": "channel", "via": channel.via, "label": channel.label }));
    }
    if let Some(quiet) = &contact.quiet {
        context.out.line(format!("nothing is sent {}", hours_of(quiet)));
    }
    let shown = notices(context, &app).await?;
    context.out.record(&json!({
        "type": "summary",
        "channels": contact.channels.len(),
        "quiet": contact.quiet.as_ref().map(hours_of),
        "notices": shown,
    }));
    Ok(Exit::Done)
}

/// Shows the notices that are not closed, and says how many there are; also for `status`.
pub(crate) async fn notices(context: &Context, app: &App) -> Result<usize, Stop> {
    let mut shown = 0;
    for stored in app.engine.notices(&app.user).await? {
        let notice = &stored.doc;
        let (word, why) = match &notice.state {
            NoticeState::Closed => continue,
            NoticeState::Failing => ("waits to be told", None),
            NoticeState::Told if notice.untold.is_some() => ("told, but not by every channel", notice.untold.as_ref()),
            NoticeState::Told => ("told", None),
            NoticeState::Recovering => ("works again, waits to be told", None),
            NoticeState::Undelivered { why, .. } => ("could not be told", Some(why)),
        };
        shown += 1;
        context.out.line(format!("notice: {} ({word}, since {:.0})", plain(&notice.failure.to_string()), notice.since));
        if let Some(why) = why {
            context.out.line(format!("  {}", plain(&why.to_string())));
            context.out.line(format!("  next: {}", why.code.next_step()));
        }
        context.out.record(&json!({
            "type": "notice",
            "code": notice.cause.code,
            "connection": notice.cause.connection,
            "state": word,
            "since": notice.since.to_string(),
            "count": notice.count,
            "undelivered": why.map(|why| why.code),
        }));
    }
    Ok(shown)
}

fn done(context: &Context) -> Exit {
    context.out.record(&json!({ "type": "summary" }));
    Exit::Done
}
