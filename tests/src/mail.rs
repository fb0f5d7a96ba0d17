//! A mail server that keeps what it gets: just enough SMTP, in clear, on a port of its own.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

#[derive(Debug, Default)]
struct State {
    mails: Vec<String>,
    logins: usize,
    refuse_login: bool,
    away: bool,
    mute: bool,
}

/// The server; it lives as long as the test's process.
#[derive(Debug, Clone)]
pub struct MailServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl MailServer {
    /// Starts one.
    ///
    /// # Panics
    /// When the machine has no port left.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self { port: listener.local_addr().expect("a port").port(), state: Arc::default() };
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let one = shared.clone();
                // A client that goes away ends its thread.
                thread::spawn(move || drop(one.talk(&stream)));
            }
        });
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of the server, for a user.
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        let at = if user.is_empty() { String::new() } else { format!("{user}@") };
        format!("smtp://{at}{}?tls=none", self.address())
    }

    /// The mails that came, head and body.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        self.state().mails.clone()
    }

    /// How many logins were tried.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.state().logins
    }

    /// Refuses logins, or no longer.
    pub fn refuse_logins(&self, refuse: bool) {
        self.state().refuse_login = refuse;
    }

    /// Answers every mail with "later", or no longer.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Takes mails and never says so, or no longer.
    pub fn set_mute(&self, mute: bool) {
        self.state().mute = mute;
    }

    fn talk(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut write = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        let mut answer = "220 here";
        loop {
            write.write_all(format!("{answer}\r\n").as_bytes())?;
            let Some(line) = lines.next().transpose()? else { return Ok(()) };
            answer = match line.split(' ').next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "EHLO" => "250-here\r\n250 AUTH PLAIN",
                "AUTH" => {
                    self.state().logins += 1;
                    if self.state().refuse_login { "535 wrong password" } else { "235 welcome" }
                }
                "MAIL" if self.state().away => "451 later",
                "DATA" => {
                    write.write_all(b"354 go on\r\n")?;
                    let mut mail = String::new();
                    for line in lines.by_ref() {
                        let line = line?;
                        if line == "." {
                            break;
                        }
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    self.state().mails.push(mail);
                    if self.state().mute {
                        // Until the client goes away.
                        let _ = lines.next();
                        return Ok(());
                    }
                    "250 taken"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
        }
    }
}
