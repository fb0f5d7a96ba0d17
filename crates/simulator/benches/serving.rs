//! How many requests a second one simulator thread serves, so that other benches know its share.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use fitbridge_simulator::{Config, NewMember, Region, RideBatch, Simulator};

const RIDES: usize = 200;
const ROUNDS: usize = 2000;

/// A keep-alive connection that knows just enough HTTP.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(host: &str) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    fn ask(&mut self, head: &str, headers: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Box<dyn Error>> {
        let length = body.len();
        let mut request =
            format!("{head} HTTP/1.1\r\nhost: {}\r\n{headers}content-length: {length}\r\n\r\n", self.host).into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).ok_or("no status")?.parse()?;
            }
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}

fn report(what: &str, requests: usize, bytes: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(requests).unwrap_or(u32::MAX)) / seconds;
    println!("{what:<28} {requests:>7} requests {rate:>10.0} /s {:>8} KB each", bytes / 1024);
}

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Simulator::start_blocking(Config::default())?;
    let world = sim.world();
    let member = world.add_member(NewMember::default())?;
    world.add_rides(Region::Global, member, &RideBatch::standard(RIDES))?;
    let started = Instant::now();
    let total = world.prepare()?;
    println!("made {RIDES} rides, {} KB each, in {:.2?}", total / 1024 / 200, started.elapsed());
    let token = world.token(Region::Global, member)?;
    let bearer = format!("authorization: Bearer {token}\r\n");
    let host = |url: String| url.trim_start_matches("http://").to_owned();

    let mut api = Connection::open(&host(sim.igpsport_url(Region::Global)))?;
    let started = Instant::now();
    let mut size = 0;
    for round in 0..ROUNDS {
        let page = round % 10 + 1;
        let head = format!("GET /service/web-gateway/web-analyze/activity/queryMyActivity?pageNo={page}&pageSize=20");
        let (status, body) = api.ask(&head, &bearer, b"")?;
        assert_eq!(status, 200);
        size = body.len();
    }
    report("list of 20 rows", ROUNDS, size, started);

    let rides = world.rides(Region::Global, member);
    let mut files = Connection::open(&sim.file_host())?;
    let started = Instant::now();
    for round in 0..ROUNDS {
        let (status, body) = files.ask(&format!("GET {}", rides[round % RIDES].file_path), "", b"")?;
        assert_eq!(status, 200);
        size = body.len();
    }
    report("file", ROUNDS, size, started);

    let (_, key) = world.add_athlete(fitbridge_simulator::NewAthlete { id: None, ..Default::default() });
    let credential = format!("authorization: Basic {}\r\n", base64(&format!("API_KEY:{key}")));
    let headers = format!("{credential}content-type: multipart/form-data; boundary=xx\r\n");
    let mut intervals = Connection::open(&host(sim.intervals_url()))?;
    let started = Instant::now();
    for ride in &rides {
        let mut body = b"--xx\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.fit\"\r\n\r\n".to_vec();
        body.extend_from_slice(&world.ride_bytes(Region::Global, ride.ride_id)?);
        body.extend_from_slice(b"\r\n--xx--\r\n");
        let (status, _) = intervals.ask("POST /api/v1/athlete/0/activities", &headers, &body)?;
        assert_eq!(status, 201);
        size = body.len();
    }
    report("upload, new", RIDES, size, started);
    Ok(())
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
