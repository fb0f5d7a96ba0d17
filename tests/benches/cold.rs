//! Cold starts: `cargo bench -p fitbridge-tests --features aws --bench cold`.
//!
//! From starting a process to its first request for an invocation: poller and sink beside a function that does
//! nothing, built with the same profile, in turn. DynamoDB is a socket that answers at once, so what is seen is
//! our own start and not the emulator's; on Lambda the first call has a TLS handshake besides.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// What the bench ends with when something it needs fails.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Starts of each function.
const RUNS: usize = 101;
/// Far longer than any start; a function that needs it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the template sets, as this machine has it: one file instead of a scan of the trust store.
const TRUST: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];
const NEXT: &str = "GET /2018-06-01/runtime/invocation/next";

/// What one start took.
#[derive(Debug, Clone, Copy)]
struct Start {
    elapsed: Duration,
    /// Of all threads.
    cpu: Duration,
    resident_kb: u64,
}

fn main() -> Outcome {
    if !Path::new("/proc/self/schedstat").exists() {
        println!("skipped: processor time is read from /proc");
        return Ok(());
    }
    // Apart, or hello would be built with the features that the others ask their libraries for.
    build(&["-p", "fitbridge-hello"])?;
    let lean = ["--features", "fitbridge-poller/lean,fitbridge-sink/lean"];
    let folder = build(&[&["-p", "fitbridge-poller", "-p", "fitbridge-sink"], &lean[..]].concat())?;
    let (api, first) = serve(api)?;
    let (ledger, _) = serve(ledger)?;
    let names = ["hello", "poller", "sink"];
    let mut starts = names.map(|_| Vec::with_capacity(RUNS));
    // The first round brings the files into memory.
    for round in 0..=RUNS {
        for (name, starts) in names.iter().zip(&mut starts) {
            let start = start(&folder.join(name), &api, &ledger, &first)?;
            if round > 0 {
                starts.push(start);
            }
        }
    }
    println!("\n{RUNS} starts of each, in turn; times in ms from the start of the process to its first `next`");
    println!(
        "{:<8} {:>8} {:>8} {:>9} {:>8} {:>9} {:>12} {:>11}",
        "", "median", "p90", "x hello", "CPU", "x hello", "resident MB", "binary MB"
    );
    let of = |starts: &[Start]| (quantile(starts, 50, |s| s.elapsed), quantile(starts, 50, |s| s.cpu));
    let (hello, hello_cpu) = of(&starts[0]);
    for (name, starts) in names.iter().zip(&starts) {
        let (median, cpu) = of(starts);
        let p90 = quantile(starts, 90, |start| start.elapsed);
        let mut resident: Vec<_> = starts.iter().map(|start| start.resident_kb).collect();
        resident.sort_unstable();
        println!(
            "{name:<8} {:>8.1} {:>8.1} {:>9.2} {:>8.1} {:>9.2} {:>12.1} {:>11.2}",
            ms(median),
            ms(p90),
            ms(median) / ms(hello),
            ms(cpu),
            ms(cpu) / ms(hello_cpu),
            mega(resident[resident.len() / 2] * 1024),
            mega(fs::metadata(folder.join(name))?.len()),
        );
    }
    Ok(())
}

/// Builds with the functions' profile, for this machine; says where the binaries lie.
fn build(packages: &[&str]) -> Outcome<PathBuf> {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--profile", "function"]).args(packages).current_dir(env!("CARGO_MANIFEST_DIR"));
    if !build.status()?.success() {
        return Err("the functions could not be built".into());
    }
    // target/release/deps/<this bench>
    let bench = std::env::current_exe()?;
    Ok(bench.ancestors().nth(3).ok_or("a strange place for a bench")?.join("function"))
}

fn start(binary: &Path, api: &str, ledger: &str, first: &Receiver<Instant>) -> Outcome<Start> {
    let trust = TRUST.into_iter().find(|file| Path::new(file).exists()).ok_or("no trust store")?;
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "cold")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/cold")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing")
        .env("AWS_ENDPOINT_URL", format!("http://{ledger}"))
        .env("SSL_CERT_FILE", trust)
        .env("FITBRIDGE_TABLE", "fitbridge-ledger")
        .env("FITBRIDGE_BUCKET", "fitbridge-files")
        .env("FITBRIDGE_QUEUE_URL", format!("http://{ledger}/1/jobs"))
        .env("FITBRIDGE_SECRET_PREFIX", "fitbridge")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let there = first.recv_timeout(PATIENCE);
    let measured = there.map_err(|_| format!("{} does not start", binary.display()).into());
    let measured = measured.and_then(|there| measure(&child, there.duration_since(begun)));
    end(&mut child)?;
    measured
}

fn measure(child: &Child, elapsed: Duration) -> Outcome<Start> {
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let mut cpu = Duration::ZERO;
    for task in fs::read_dir(process.join("task"))? {
        let on_cpu = fs::read_to_string(task?.path().join("schedstat"))?;
        cpu += Duration::from_nanos(on_cpu.split_ascii_whitespace().next().ok_or("an empty line")?.parse()?);
    }
    let status = fs::read_to_string(process.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no such line")?;
    Ok(Start { elapsed, cpu, resident_kb: line.trim().trim_end_matches(" kB").parse()? })
}

fn end(child: &mut Child) -> Outcome {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Serves each connection with this function, on a thread of its own; says where.
fn serve(connection: fn(TcpStream, &Sender<Instant>) -> std::io::Result<()>) -> Outcome<(String, Receiver<Instant>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            // Who hangs up has ended; there is nobody to tell.
            thread::spawn(move || connection(stream, &sender).ok());
        }
    });
    Ok((address, receiver))
}

/// The runtime's API until the first `next`, which is never answered.
fn api(stream: TcpStream, first: &Sender<Instant>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    if lines.next().transpose()?.is_some_and(|line| line.starts_with(NEXT)) {
        // The bench may be at its end.
        first.send(Instant::now()).ok();
    }
    lines.try_for_each(|line| line.map(drop))
}

/// A DynamoDB without any record.
fn ledger(stream: TcpStream, _: &Sender<Instant>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        std::io::copy(&mut requests.by_ref().take(length), &mut std::io::sink())?;
        answers
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}")?;
    }
}

fn quantile(starts: &[Start], percent: usize, of: impl Fn(&Start) -> Duration) -> Duration {
    let mut values: Vec<_> = starts.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() * percent / 100]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
