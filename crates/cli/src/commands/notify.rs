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
    common::{By, Whose},
    connect::{asked_for, from_stdin},
};
use crate::{
    args::{Notify, NotifyEmail, NotifyWebhook},
    exit::{Exit, Stop},
    out::plain,
};

/// The channel of signed webhooks.
const WEBHOOK: &str = "webhook";

impl Notify {
    /// Whether it only looks.
    pub(crate) fn only_looks(&self) -> bool {
        matches!(self, Self::Show)
    }
}

/// Sets or shows how the rider of this machine is told.
pub(crate) async fn run(context: &Context, what: Notify) -> Result<Exit, Stop> {
    let app = if what.only_looks() { context.look()? } else { context.open()? };
    set_or_show(&context.whose(&app), what).await
}

/// Sets or shows how a rider is told.
pub(crate) async fn set_or_show(of: &Whose<'_>, what: Notify) -> Result<Exit, Stop> {
    match what {
        Notify::Webhook(args) => webhook(of, args).await,
        Notify::Email(args) => email(of, args).await,
        Notify::Off { via } => off(of, via.as_deref()).await,
        Notify::Test => test(of).await,
        Notify::Quiet { hours, zone } => quiet(of, &hours, zone.as_deref()).await,
        Notify::Show => show(of).await,
    }
}

async fn webhook(of: &Whose<'_>, args: NotifyWebhook) -> Result<Exit, Stop> {
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
    let set = set(of, WEBHOOK, &settings, Some(&secret), !args.no_test).await;
    if made && set.as_ref().is_err_and(|stop| stop.failure.code == Code::WebhookStatus) {
        // A receiver that checks signatures cannot know a secret that was made a moment ago.
        of.out.note("If the receiver checks signatures, set it with --no-test, give it the secret that is");
        of.out.note(format!("shown then, and try `{} test`.", of.command("notify")));
    }
    set?;
    if made {
        // The receiver needs it, and this is the only time it is shown.
        let shown = text.expose_secret();
        of.out.line(format!("  signing secret for the receiver, shown once: {shown}"));
        of.out.record(&json!({ "type": "webhook_secret", "name": "notify", "secret": shown }));
    }
    Ok(done(of))
}

async fn email(of: &Whose<'_>, args: NotifyEmail) -> Result<Exit, Stop> {
    let wrong = |why: &str| Stop::failed(Failure::new(Code::Settings, why));
    if of.by == By::Cloud {
        if args.smtp.is_some() || args.from.is_some() || args.password_stdin {
            return Err(wrong("the service mails through SES, from its MailSender: give the address only"));
        }
        set(of, smtp::CHANNEL, &json!({ "to": args.address }), None, !args.no_test).await?;
        return Ok(done(of));
    }
    let url = args.smtp.ok_or_else(|| wrong("mail goes through your own mail server: add --smtp URL"))?;
    let named = url::Url::parse(&url).is_ok_and(|url| !url.username().is_empty() && url.password().is_none());
    let password = match named {
        _ if args.password_stdin => Some(from_stdin("password")?),
        true if std::io::stdin().is_terminal() => Some(asked_for("Password of the mail account: ")?),
        true => Some(from_stdin("password")?),
        false => None,
    };
    let secret = password.as_ref().map(smtp::password_secret);
    let from = args.from.unwrap_or_else(|| args.address.clone());
    let settings = json!({ "url": url, "from": from, "to": args.address });
    set(of, smtp::CHANNEL, &settings, secret.as_ref(), !args.no_test).await?;
    Ok(done(of))
}

/// Checks a channel, sends a test unless that is not wanted, and sets it. Nothing is kept of one that fails.
async fn set(
    of: &Whose<'_>,
    via: &str,
    settings: &Value,
    secret: Option<&SecretString>,
    send_test: bool,
) -> Result<(), Stop> {
    let via = Service::from_any(via);
    if send_test {
        of.engine.refuse_when_halted().await?;
    }
    let channel = of.engine.check_channel(&via, settings, secret, send_test).await?;
    let label = channel.label.clone();
    of.engine.set_channel(of.user, channel, secret).await?;
    let tested = if send_test { "a test was sent" } else { "not tested" };
    of.out.line(format!("notices go to {} by {via}; {tested}", plain(&label)));
    of.out.record(&json!({ "type": "channel", "via": via, "label": label, "tested": send_test }));
    Ok(())
}

async fn off(of: &Whose<'_>, via: Option<&str>) -> Result<Exit, Stop> {
    let via = via.map(Service::from_any);
    let dropped = of.engine.drop_channels(of.user, via.as_ref()).await?;
    of.out.line(match dropped {
        0 => "nothing was set".to_owned(),
        _ => format!("{dropped} taken away; its secret is forgotten"),
    });
    Ok(done(of))
}

async fn test(of: &Whose<'_>) -> Result<Exit, Stop> {
    of.engine.refuse_when_halted().await?;
    let tested = of.engine.test_channels(of.user).await?;
    if tested.is_empty() {
        of.out.note(format!("nothing is set: see `{} --help`", of.command("notify")));
    }
    let mut exit = Exit::Done;
    for (channel, result) in &tested {
        let code = result.as_ref().err().map(|failure| failure.code);
        match result {
            Ok(()) => of.out.line(format!("{} ({}): sent", channel.via, plain(&channel.label))),
            Err(failure) => {
                exit = Exit::Unfinished;
                of.out.line(format!("{} ({}): {}", channel.via, plain(&channel.label), plain(&failure.to_string())));
                of.out.line(format!("  next: {}", of.next_step(failure.code)));
            }
        }
        let record =
            json!({ "type": "channel", "via": channel.via, "label": channel.label, "tested": true, "code": code });
        of.out.record(&record);
    }
    of.out.record(&json!({ "type": "summary", "channels": tested.len() }));
    Ok(exit)
}

async fn quiet(of: &Whose<'_>, hours: &str, zone: Option<&str>) -> Result<Exit, Stop> {
    let wrong = |reason: String| Stop::failed(Failure::new(Code::Usage, reason));
    let quiet = match (hours, zone) {
        ("off", _) => None,
        (hours, Some(zone)) => Some(Quiet::parse(hours, zone).map_err(wrong)?),
        (_, None) => return Err(wrong("quiet hours need a time zone: --zone Europe/Berlin".into())),
    };
    of.engine.set_quiet(of.user, quiet.clone()).await?;
    of.out.line(match &quiet {
        None => "no quiet hours".to_owned(),
        Some(quiet) => format!("nothing is sent {}", hours_of(quiet)),
    });
    Ok(done(of))
}

fn hours_of(quiet: &Quiet) -> String {
    let time = |time: jiff::civil::Time| time.strftime("%H:%M").to_string();
    format!("from {} to {} ({})", time(quiet.from), time(quiet.to), quiet.zone)
}

async fn show(of: &Whose<'_>) -> Result<Exit, Stop> {
    let contact = of.engine.contact(of.user).await?;
    let contact = contact.unwrap_or_else(|| Contact { user: of.user.clone(), channels: Vec::new(), quiet: None });
    if contact.channels.is_empty() {
        let (command, server) = (of.command("notify"), if of.by == By::Cloud { "" } else { " --smtp URL" });
        of.out.line(format!("notices go nowhere: set `{command} webhook URL` or `{command} email ADDRESS{server}`"));
    }
    for channel in &contact.channels {
        of.out.line(format!("notices go to {} by {}", plain(&channel.label), channel.via));
        of.out.record(&json!({ "type": "channel", "via": channel.via, "label": channel.label }));
    }
    if let Some(quiet) = &contact.quiet {
        of.out.line(format!("nothing is sent {}", hours_of(quiet)));
    }
    let shown = notices(of).await?;
    of.out.record(&json!({
        "type": "summary",
        "channels": contact.channels.len(),
        "quiet": contact.quiet.as_ref().map(hours_of),
        "notices": shown,
    }));
    Ok(Exit::Done)
}

/// Shows the notices that are not closed, and says how many there are; also for `status`.
pub(crate) async fn notices(of: &Whose<'_>) -> Result<usize, Stop> {
    let out = of.out;
    let mut shown = 0;
    for stored in of.engine.notices(of.user).await? {
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
        out.line(format!("notice: {} ({word}, since {:.0})", plain(&notice.failure.to_string()), notice.since));
        if let Some(why) = why {
            out.line(format!("  {}", plain(&why.to_string())));
            out.line(format!("  next: {}", of.next_step(why.code)));
        }
        out.record(&json!({
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

fn done(of: &Whose<'_>) -> Exit {
    of.out.record(&json!({ "type": "summary" }));
    Exit::Done
}
