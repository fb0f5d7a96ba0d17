//! `fitbridge import`: files by hand, with the same dedupe and the same deliveries as rides from the cloud.

use std::{path::PathBuf, sync::Arc};

use anstyle::AnsiColor;
use bytes::Bytes;
use fitbridge_core::{Code, Failure, engine::import::Imported, ports::Clock};
use fitbridge_inlet::{self as inlet, Candidate, Item, usb, watch};
use fitbridge_local::SystemClock;
use serde_json::json;

use super::{
    Context,
    common::{connections, print_deliveries, print_failures},
    serve::stopped,
    tally::Tally,
};
use crate::{
    app::App,
    args::ImportArgs,
    exit::{Exit, Stop},
    out::{paint, plain},
};

/// What became of the files.
#[derive(Debug, Default)]
struct Files {
    /// Rides that were forgotten are taken back.
    again: bool,
    new: usize,
    duplicate: usize,
    linked: usize,
    restored: usize,
    forgotten: usize,
    rejected: usize,
    problems: usize,
    skipped: u64,
}

/// Imports files, folders, archives, a head unit, or what appears in a folder.
pub(crate) async fn run(context: &Context, args: ImportArgs) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("import")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    let mut paths = args.paths;
    if args.usb {
        let unit = tokio::task::spawn_blocking(usb::find).await;
        let unit = unit.map_err(|error| Stop::failed(Failure::new(Code::Bug, error.to_string())))?;
        let unit = unit.map_err(|error| Stop::failed(Failure::new(Code::NoHeadUnit, error.to_string())))?;
        context.out.line(format!("head unit: {}", plain(&unit.name)));
        paths.extend(unit.folders);
    }
    let mut files = Files { again: args.again, ..Files::default() };
    import_all(context, &mut app, paths, &mut files).await?;
    if let Some(folder) = args.watch {
        watch_folder(context, &mut app, folder, &mut files).await?;
    }
    tally.bar().finish_and_clear();
    finish(context, &mut app, &tally, &files).await
}

async fn import_all(context: &Context, app: &mut App, paths: Vec<PathBuf>, files: &mut Files) -> Result<(), Stop> {
    let mut collect = inlet::collect(&paths);
    loop {
        let next = inlet::next(collect).await;
        let next = next.map_err(|error| Stop::failed(Failure::new(Code::Bug, error.to_string())))?;
        let Some((item, rest)) = next else { break };
        collect = rest;
        take(context, app, item, files).await?;
    }
    Ok(())
}

async fn take(context: &Context, app: &mut App, item: Item, files: &mut Files) -> Result<(), Stop> {
    match item {
        Item::File(Candidate { name, bytes }) => import_one(context, app, &name, bytes, files).await,
        Item::Problem(problem) => {
            files.problems += 1;
            context.out.line(format!("{}: {}; next: {}", problem.name, plain(&problem.reason), problem.next_step));
            context.out.record(&json!({
                "type": "problem",
                "file": problem.name,
                "reason": problem.reason,
                "next": problem.next_step,
            }));
            Ok(())
        }
        Item::Skipped(skipped) => {
            files.skipped += skipped.files;
            context.out.line(format!("{}: {} other files passed over", skipped.name, skipped.files));
            Ok(())
        }
    }
}

async fn import_one(context: &Context, app: &mut App, name: &str, bytes: Bytes, files: &mut Files) -> Result<(), Stop> {
    let short = name.rsplit('/').next().unwrap_or(name);
    let imported = match files.again {
        true => app.engine.import_again(&app.user, short, bytes).await?,
        false => app.engine.import(&app.user, short, bytes).await?,
    };
    let (word, code, activity, of) = match &imported {
        Imported::New(activity) => {
            files.new += 1;
            let link = activity.link.as_ref();
            files.linked += usize::from(link.is_some());
            let of = link.map(|link| format!(", {} {}, so not sent", link.why.sentence(), link.to.rider_id()));
            (if link.is_some() { "linked" } else { "new" }, None, Some(activity.id.to_string()), of)
        }
        Imported::Duplicate { of } => {
            files.duplicate += 1;
            ("duplicate", None, Some(of.to_string()), Some(format!(" of {}", of.rider_id())))
        }
        Imported::Restored { of } => {
            files.restored += 1;
            ("restored", None, Some(of.to_string()), Some(format!(": {of} has its file again")))
        }
        Imported::Forgotten { of } => {
            files.forgotten += 1;
            ("forgotten", Some(Code::RideForgotten), Some(of.to_string()), Some(format!(" as {}", of.rider_id())))
        }
        Imported::Rejected(code) => {
            files.rejected += 1;
            ("rejected", Some(*code), None, None)
        }
    };
    let color = if code.is_some() { AnsiColor::Red } else { AnsiColor::Green };
    context.out.line(format!("{name}: {}{}", paint(color, word), of.unwrap_or_default()));
    if let Some(code) = code {
        context.out.line(format!("  {} [{code}]; next: {}", code.sentence(), code.next_step()));
    }
    context.out.record(&json!({ "type": "import", "file": name, "result": word, "activity": activity, "code": code }));
    Ok(())
}

async fn watch_folder(context: &Context, app: &mut App, folder: PathBuf, files: &mut Files) -> Result<(), Stop> {
    context.out.line(format!("watching {}; stop with Ctrl-C", folder.display()));
    let mut first_failure = None;
    let watching = watch::watch(&folder, stopped()?, async |path: PathBuf| {
        if let Err(stop) = import_all(context, app, vec![path], files).await {
            context.out.note(format!("fitbridge: {}", plain(&stop.to_string())));
            first_failure.get_or_insert(stop);
        }
        app.lanes.drain().await;
    });
    let watched = watching.await;
    watched.map_err(|error| Stop::failed(Failure::new(Code::FileUnreadable, error.to_string())))?;
    first_failure.map_or(Ok(()), Err)
}

async fn finish(context: &Context, app: &mut App, tally: &Tally, files: &Files) -> Result<Exit, Stop> {
    app.lanes.drain().await;
    let failures = app.lanes.take_failures();
    let all = connections(app).await?;
    let sinks: Vec<_> = all.into_iter().filter(|connection| connection.sink().is_some()).collect();
    let mut counts = tally.counts(&sinks);
    (counts.new, counts.duplicate) = (files.new - files.linked, files.duplicate);
    counts.linked = files.linked;
    counts.failed += files.rejected + files.problems;
    if context.out.is_json() {
        for record in tally.records(&sinks) {
            context.out.record(&record);
        }
    }
    context.out.line(format!(
        "files: {} new, {} linked, {} duplicate, {} forgotten, {} rejected, {} unreadable, {} passed over",
        counts.new, files.linked, files.duplicate, files.forgotten, files.rejected, files.problems, files.skipped
    ));
    if files.restored > 0 {
        context.out.line(format!("{} had been lost here, and what waited for them goes on", files.restored));
    }
    let exit = print_deliveries(context, tally, &counts);
    if sinks.is_empty() && files.new > 0 {
        context.out.line("no sink is connected yet: the files are archived, and a sink connected later gets them");
    }
    let exit = print_failures(context, &failures, exit);
    context.out.record(&counts.record());
    Ok(exit)
}
