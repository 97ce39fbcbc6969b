//! A place of releases that can do what real ones do on bad days: cut, stall, refuse, change a file, know no ranges. It is
//! also a proxy for HTTP and HTTPS.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed after so many bytes of the content.
    Cut(usize),
    /// Nothing more comes after so many bytes of the content, until the other side gives up.
    Stall(usize),
    /// This status in place of the content.
    Status(u16),
}

/// A file that is offered.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    pub content: Vec<u8>,
    pub etag: Option<String>,
    /// Parts can be had of it.
    pub ranges: bool,
    /// It sends parts whatever `If-Range` says.
    pub careless: bool,
    /// It does not say how long it is.
    pub without_length: bool,
    /// For one request after the other; those after them go well.
    pub faults: VecDeque<Fault>,
}

impl Offer {
    /// As a good server has it.
    pub fn new(content: impl Into<Vec<u8>>) -> Self {
        Self { content: content.into(), etag: Some("\"1\"".to_owned()), ranges: true, ..Self::default() }
    }

    pub fn with(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults = faults.into_iter().collect();
        self
    }
}

/// A request, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET /path`, `GET http://host/path` or `CONNECT host:port`.
    pub line: String,
    /// With names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Default)]
struct State {
    offers: BTreeMap<String, Offer>,
    requests: Vec<Request>,
    tunnel: Option<SocketAddr>,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// It is gone when this is dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (state, ended) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (shared, over) = (Arc::clone(&state), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (shared, stream) = (Arc::clone(&shared), stream.unwrap());
                // A client that is gone is none of its business.
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { address, state, ended, thread: Some(thread) }
    }

    /// The same, which proves with this configuration who it is.
    pub fn start_tls(config: Arc<rustls::ServerConfig>) -> Self {
        let server = Self::start();
        server.state().tls = Some(config);
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn offer(&self, path: &str, offer: Offer) {
        self.state().offers.insert(path.to_owned(), offer);
    }

    /// Offers a file of a release with its digest in the list.
    pub fn release(&self, version: &str, name: &str, offer: Offer) {
        let list = format!("{}  {name}\n", digest(&offer.content));
        self.offer(&format!("/v{version}/SHA256SUMS"), Offer::new(list));
        self.offer(&format!("/v{version}/{name}"), offer);
    }

    /// Every host is at this address, for whoever uses it as a proxy with CONNECT.
    pub fn tunnel_to(&self, address: SocketAddr) {
        self.state().tunnel = Some(address);
    }

    /// The requests so far whose first lines end so.
    pub fn requests(&self, end: &str) -> Vec<Request> {
        self.state().requests.iter().filter(|request| request.line.ends_with(end)).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It waits for someone.
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// As `sha256sum` has it.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let tls = lock(state).tls.clone();
    let socket = stream.try_clone()?;
    match tls {
        None => answer(stream, &socket, state),
        Some(config) => {
            let session = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
            answer(rustls::StreamOwned::new(session, stream), &socket, state)
        }
    }
}

fn answer(stream: impl Read + Write, socket: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_request(&mut reader)? else { return Ok(()) };
    lock(state).requests.push(request.clone());
    let (method, target) = request.line.split_once(' ').unwrap_or_default();
    if method == "CONNECT" {
        let tunnel = lock(state).tunnel;
        return connect(socket.try_clone()?, tunnel);
    }
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |index| &rest[index..]),
        None => target,
    };
    let offer = lock(state).offers.get_mut(path).map(|offer| (offer.clone(), offer.faults.pop_front()));
    let stream = reader.get_mut();
    match offer {
        None => status(stream, 404),
        Some((_, Some(Fault::Status(code)))) => status(stream, code),
        Some((offer, fault)) => {
            send(stream, &request, &offer, fault)?;
            socket.shutdown(Shutdown::Both)
        }
    }
}

fn send(
    stream: &mut (impl Read + Write),
    request: &Request,
    offer: &Offer,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let length = offer.content.len();
    let asked = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let same = request.header("if-range").is_none_or(|tag| Some(tag) == offer.etag.as_deref());
    let start: Option<usize> = asked.filter(|_| offer.ranges && (same || offer.careless));
    let mut head = match start {
        Some(start) if start >= length => {
            write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-range: bytes */{length}\r\n")?;
            write!(stream, "content-length: 0\r\nconnection: close\r\n\r\n")?;
            return stream.flush();
        }
        Some(start) => {
            format!("HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {start}-{}/{length}\r\n", length - 1)
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    let body = &offer.content[start.unwrap_or(0)..];
    if !offer.without_length {
        head += &format!("content-length: {}\r\n", body.len());
    }
    if let Some(etag) = &offer.etag {
        head += &format!("etag: {etag}\r\n");
    }
    write!(stream, "{head}connection: close\r\n\r\n")?;
    let sent = match fault {
        Some(Fault::Cut(bytes) | Fault::Stall(bytes)) => &body[..bytes.min(body.len())],
        _ => body,
    };
    stream.write_all(sent)?;
    stream.flush()?;
    if let Some(Fault::Stall(_)) = fault {
        // Until the other side has had enough.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let mut lines = lines.into_iter();
    let line = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Ok(Some(Request { line, headers: headers.collect() }))
}

fn status(stream: &mut impl Write, code: u16) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {code} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    stream.flush()
}

/// Passes on what both sides say until both have ended.
fn connect(mut client: TcpStream, tunnel: Option<SocketAddr>) -> std::io::Result<()> {
    let Some(tunnel) = tunnel else { return status(&mut client, 403) };
    let server = TcpStream::connect(tunnel)?;
    write!(client, "HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let there = std::thread::spawn(move || {
        let copied = std::io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(Shutdown::Write).and(copied)
    });
    let (mut from_server, mut to_client) = (server, client);
    // An end that comes as an error is an end, too.
    let _ = std::io::copy(&mut from_server, &mut to_client);
    let _ = to_client.shutdown(Shutdown::Both);
    drop(there.join());
    Ok(())
}
