//! A function as Lambda runs it: a process that asks the runtime's API for its next invocation, is killed
//! when it takes too long, and is started again for the next invocation after it has died.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use fitbridge_core::ports::Clock as _;
use fitbridge_local::SystemClock;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
    time::Instant,
};

/// How much later than promised a function is killed: what is wrong with one that uses up its time shows all the
/// same, and a busy machine is no fault of its own.
const GRACE: Duration = Duration::from_secs(60);
/// How much later than promised a function may answer: what a busy machine takes, and less than a call that hangs.
const LATE: Duration = Duration::from_secs(8);
/// Looks, 5 ms apart, at what a function has printed: a minute.
const PATIENCE: usize = 12_000;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The function answered.
    Done(Value),
    /// The function said that it failed.
    Failed(Value),
    /// The process ended, or was killed because its time was over.
    Died,
}

impl Answer {
    /// The answer of an invocation that must not fail.
    #[track_caller]
    pub(crate) fn done(self) -> Value {
        match self {
            Self::Done(value) => value,
            other => panic!("{other:?}"),
        }
    }
}

struct Invocation {
    id: u64,
    event: Value,
    deadline_ms: u128,
}

#[derive(Default)]
struct Answers(Mutex<HashMap<u64, oneshot::Sender<Answer>>>);

struct Api {
    next: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    answers: Arc<Answers>,
}

/// One execution environment of a function.
pub(crate) struct Function {
    binary: &'static str,
    environment: Vec<(String, String)>,
    api: String,
    invocations: mpsc::UnboundedSender<Invocation>,
    answers: Arc<Answers>,
    number: AtomicU64,
    process: AsyncMutex<Option<Child>>,
    /// The number of its process, once it was started.
    pub(crate) pid: Arc<AtomicU64>,
    said: Arc<Mutex<Vec<u8>>>,
    /// By how much the clock of its host is ahead, in ms: what it is told of its time is by that clock.
    pub(crate) ahead_ms: AtomicI64,
}

impl Function {
    /// The function of this name (its binary's), with this environment. It starts with its first invocation.
    pub(crate) async fn new(binary: &'static str, environment: Vec<(String, String)>) -> Self {
        let (invocations, next) = mpsc::unbounded_channel();
        let answers = Arc::<Answers>::default();
        let api = Api { next: AsyncMutex::new(next), answers: Arc::clone(&answers) };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(Arc::new(api));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let listener = listener.tap_io(|socket| socket.set_nodelay(true).expect("an open socket"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            binary,
            environment,
            api: address,
            invocations,
            answers,
            number: AtomicU64::new(0),
            process: AsyncMutex::new(None),
            pid: Arc::default(),
            said: Arc::default(),
            ahead_ms: AtomicI64::default(),
        }
    }

    /// The time that its template gives it.
    fn time(&self) -> Duration {
        Duration::from_secs(if self.binary == "sink" { 120 } else { 55 })
    }

    /// Invokes it, with the time that its template gives it.
    pub(crate) async fn invoke(&self, event: &Value) -> Answer {
        self.invoke_for(event, self.time()).await
    }

    /// Invokes it with so much time, in which it has to answer.
    pub(crate) async fn invoke_for(&self, event: &Value, time: Duration) -> Answer {
        self.invoke_until(event, time, time + GRACE).await
    }

    /// Invokes it and kills it after a while, though it was promised more time.
    pub(crate) async fn invoke_and_kill_after(&self, event: &Value, wait: Duration) -> Answer {
        self.invoke_until(event, self.time(), wait).await
    }

    async fn invoke_until(&self, event: &Value, time: Duration, killed_after: Duration) -> Answer {
        let mut process = self.process.lock().await;
        if process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None))) {
            *process = Some(self.start());
        }
        let child = process.as_mut().expect("it was started");
        let id = self.number.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.answers.0.lock().expect("no test panicked with it").insert(id, sender);
        let now = SystemClock.now().as_millisecond() + self.ahead_ms.load(Ordering::Relaxed);
        let now = u128::try_from(now).expect("a time after 1970");
        let invocation = Invocation { id, event: event.clone(), deadline_ms: now + time.as_millis() };
        let sent = Instant::now();
        self.invocations.send(invocation).expect("the runtime's API runs");
        tokio::select! {
            biased;
            answer = answer => {
                let took = sent.elapsed();
                assert!(took < time + LATE, "{} took {took:?} and had {time:?}", self.binary);
                answer.expect("an answer")
            }
            _ = child.wait() => Answer::Died,
            () = tokio::time::sleep(killed_after) => {
                child.kill().await.expect("it can be killed");
                Answer::Died
            }
        }
    }

    /// Kills the process, whatever it is doing.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    /// Sends its process a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid.load(Ordering::Relaxed).to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(sent.success(), "process {pid} was there");
    }

    /// Ends the process between invocations; the next one starts another.
    pub(crate) async fn stop(&self) {
        if let Some(mut process) = self.process.lock().await.take() {
            process.kill().await.expect("it can be killed");
        }
    }

    /// Everything that it has printed.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().expect("no test panicked with it")).into_owned()
    }

    /// The same, once this text is in it: an invocation's answer may be here before what was printed first.
    pub(crate) async fn said_with(&self, text: &str) -> String {
        for _ in 0..PATIENCE {
            if self.said().contains(text) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let said = self.said();
        assert!(said.contains(text), "{text} in {said}");
        said
    }

    /// How many bytes it has printed behind these, once this text is among them and nothing more comes.
    pub(crate) async fn said_after(&self, before: usize, text: &str) -> usize {
        for _ in 0..PATIENCE {
            let said = self.said();
            if said.get(before..).is_some_and(|new| new.contains(text) && new.ends_with('\n')) {
                return said.len() - before;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{text} in {}", self.said());
    }

    fn start(&self) -> Child {
        let mut child = command(self.binary, &self.environment)
            .env("AWS_LAMBDA_RUNTIME_API", &self.api)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        self.pid.store(child.id().expect("it runs").into(), Ordering::Relaxed);
        collect(child.stdout.take().expect("a pipe"), Arc::clone(&self.said));
        collect(child.stderr.take().expect("a pipe"), Arc::clone(&self.said));
        child
    }
}

/// A function's process, with the environment that Lambda gives and this one. It signs with its own name.
pub(crate) fn command(binary: &str, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(built().join(binary));
    command
        .env_clear()
        .env("AWS_LAMBDA_FUNCTION_NAME", format!("fitbridge-{binary}"))
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/fitbridge-{binary}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
        .envs(environment.iter().cloned())
        .env("AWS_ACCESS_KEY_ID", binary);
    command
}

/// The folder of the functions' binaries. Cargo brings them up to date first. A bench measures what is deployed.
fn built() -> &'static std::path::Path {
    if cfg!(test) {
        return fitbridge_tests::programs();
    }
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // target/<profile>/deps/<this bench>
        let bench = std::env::current_exe().expect("the bench knows where it lies");
        let folder = bench.ancestors().nth(2).expect("the folder of the profile").with_file_name("function");
        let built = std::process::Command::new(option_env!("CARGO").unwrap_or("cargo"))
            .args(["build", "--quiet", "-p", "fitbridge-poller", "-p", "fitbridge-sink", "--profile", "function"])
            .args(["--features", "fitbridge-poller/lean,fitbridge-sink/lean"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        folder
    })
}

fn collect(mut pipe: impl AsyncReadExt + Unpin + Send + 'static, into: Arc<Mutex<Vec<u8>>>) {
    tokio::spawn(async move {
        let mut piece = [0; 8192];
        while let Ok(read @ 1..) = pipe.read(&mut piece).await {
            into.lock().expect("no test panicked with it").extend_from_slice(&piece[..read]);
        }
    });
}

async fn next_invocation(State(api): State<Arc<Api>>) -> Response {
    let Some(invocation) = api.next.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id.to_string()),
        ("lambda-runtime-deadline-ms", invocation.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:test".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
    ];
    (headers, invocation.event.to_string()).into_response()
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<u64>, body: Bytes) -> StatusCode {
    ended(&api, id, Answer::Done(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<u64>, body: Bytes) -> StatusCode {
    ended(&api, id, Answer::Failed(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn ended(api: &Api, id: u64, answer: Answer) -> StatusCode {
    match api.answers.0.lock().expect("no test panicked with it").remove(&id) {
        // Nobody waits any more for an invocation whose process was killed.
        Some(waiting) => {
            drop(waiting.send(answer));
            StatusCode::ACCEPTED
        }
        None => StatusCode::BAD_REQUEST,
    }
}
