//! A small HTTP server for one's own browser: on 127.0.0.1 alone, GET alone, one answer a
//! connection.
//!
//! Other web pages in that browser may send requests here too. They cannot read answers without
//! permission (there are no CORS headers), and a page whose name is made to lead here (DNS
//! rebinding) is refused by the `Host` that it names. The requested path is compared with the few
//! names that there are, and never becomes part of a path in the file system.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections at a time; further ones are turned away.
const MOST_CONNECTIONS: usize = 256;

/// Bytes of a request's head.
const LONGEST_HEAD: usize = 8 << 10;

/// How long a request may take to arrive.
const HEAD_TIME: Duration = Duration::from_secs(3);

/// How long an answer may take to be fetched.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;

/// How often it is looked whether to end, and for new connections.
const PAUSE: Duration = Duration::from_millis(20);

/// What stands in every answer: nothing is stored, guessed, framed, or loaded from elsewhere, and
/// what a page loads comes from here.
const HEADERS: &str = "Connection: close\r\nCache-Control: no-store\r\n\
    X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nContent-Security-Policy: default-src 'none'; \
    script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Number and name of the status, such as `200 OK`.
    pub status: &'static str,
    /// What the body is, such as `application/json`.
    pub kind: &'static str,
    /// What is sent.
    pub body: Arc<[u8]>,
}

impl Answer {
    /// An answer that holds the requested content.
    pub fn of(kind: &'static str, body: impl Into<Arc<[u8]>>) -> Self {
        Self { status: "200 OK", kind, body: body.into() }
    }

    /// An answer that holds nothing but its status.
    fn refusing(status: &'static str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: status.as_bytes().into() }
    }
}

/// Answers for a path such as `/`, or nothing where there is no such path.
pub type Handler = dyn Fn(&str) -> Option<Answer> + Send + Sync;

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    port: u16,
    handler: Arc<Handler>,
}

impl Server {
    /// Listens on a port of 127.0.0.1, or for 0 on any that is free.
    ///
    /// # Errors
    /// When the port is taken or not allowed.
    pub fn bind(port: u16, handler: Arc<Handler>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, handler })
    }

    /// What to open in a browser.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers requests, each in a thread of its own, until it is to stop. Answers that are under
    /// way then are not waited for.
    ///
    /// # Errors
    /// When no further connection can be taken.
    pub fn serve_until(&self, should_stop: impl Fn() -> bool) -> std::io::Result<()> {
        let open = Arc::new(AtomicUsize::new(0));
        while !should_stop() {
            match self.listener.accept() {
                Ok((stream, _)) => self.answer_in_thread(stream, &open),
                Err(cause) if is_passing(&cause) => thread::sleep(PAUSE),
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    fn answer_in_thread(&self, stream: TcpStream, open: &Arc<AtomicUsize>) {
        if open.load(Ordering::Relaxed) >= MOST_CONNECTIONS {
            return;
        }
        let (handler, port) = (self.handler.clone(), self.port);
        let counted = Counted::new(open);
        let work = move || {
            let _counted = counted;
            // A client that went away or is too slow gets nothing.
            let _ = converse(&stream, port, &*handler);
        };
        // Without a thread the connection is closed.
        let _ = thread::Builder::new().name("http".to_owned()).spawn(work);
    }
}

/// Whether the next connection may be a good one: none waits, it went away before it was taken, or
/// there are too many open files just now.
fn is_passing(cause: &std::io::Error) -> bool {
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    let kinds = [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::ConnectionAborted];
    let too_many = cfg!(unix) && cause.raw_os_error().is_some_and(|n| TOO_MANY_FILES.contains(&n));
    kinds.contains(&cause.kind()) || cause.kind() == ErrorKind::ConnectionReset || too_many
}

/// One of the open connections, as long as it is kept.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a request and answers it.
fn converse(stream: &TcpStream, port: u16, handler: &Handler) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    let answer = match read_head(stream)? {
        Some(head) => match path_of(&head, port) {
            Ok(path) => handler(path).unwrap_or_else(|| Answer::refusing("404 Not Found")),
            Err(status) => Answer::refusing(status),
        },
        None => Answer::refusing("431 Request Header Fields Too Large"),
    };
    send(stream, &answer)?;
    stream.shutdown(Shutdown::Write)
}

/// The head of a request; `None` for one that is too long.
fn read_head(mut stream: &TcpStream) -> std::io::Result<Option<String>> {
    let deadline = Instant::now() + HEAD_TIME;
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    loop {
        stream.set_read_timeout(Some(until(deadline)?))?;
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&piece[..count]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(Some(String::from_utf8_lossy(&head[..end]).into_owned()));
        }
        if head.len() > LONGEST_HEAD {
            return Ok(None);
        }
    }
}

/// The time that is left until the deadline.
fn until(deadline: Instant) -> std::io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// The path of a request, without what follows a question mark; or the status of a request that is
/// refused.
fn path_of(head: &str, port: u16) -> Result<&str, &'static str> {
    const BAD: &str = "400 Bad Request";
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Err(BAD) };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(BAD);
    }
    let mut hosts = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then_some(value.trim())
    });
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(BAD) };
    // Browsers leave out the port of the protocol.
    let host = if port == 80 && !host.contains(':') { &format!("{host}:80") } else { host };
    let own = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}"));
    if !own.iter().any(|own| own.eq_ignore_ascii_case(host)) {
        return Err("421 Misdirected Request");
    }
    if method != "GET" {
        return Err("405 Method Not Allowed");
    }
    Ok(target.split('?').next().unwrap_or_default())
}

fn send(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    let deadline = Instant::now() + BODY_TIME;
    let Answer { status, kind, body } = answer;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{HEADERS}\r\n"
    );
    for mut rest in [head.as_bytes(), body] {
        while !rest.is_empty() {
            stream.set_write_timeout(Some(until(deadline)?))?;
            match stream.write(&rest[..rest.len().min(PIECE)])? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => rest = &rest[count..],
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A server with the answer `yes` under `/`, while `with` talks to it.
    fn served(with: impl FnOnce(u16)) {
        let handler = |path: &str| match path {
            "/" => Some(Answer::of("text/plain", *b"yes")),
            "/large" => Some(Answer::of("text/plain", vec![b'x'; 8 << 20])),
            _ => None,
        };
        let server = Server::bind(0, Arc::new(handler)).unwrap();
        assert_eq!(server.url(), format!("http://127.0.0.1:{}/", server.port));
        let (port, stop) = (server.port, AtomicBool::new(false));
        thread::scope(|scope| {
            let serving = scope.spawn(|| server.serve_until(|| stop.load(Ordering::Relaxed)));
            with(port);
            stop.store(true, Ordering::Relaxed);
            let asked = Instant::now();
            serving.join().unwrap().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        });
    }

    fn connect(port: u16, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn ask(port: u16, request: &str) -> String {
        let mut answer = Vec::new();
        // What is refused early may have been closed before all of it was read.
        let _ = connect(port, request).read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    fn get(port: u16, path: &str) -> String {
        ask(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"))
    }

    #[test]
    fn only_its_own_names_are_answered() {
        served(|port| {
            let answer = get(port, "/");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains("\r\nContent-Length: 3\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nyes"), "{answer}");
            assert!(!answer.contains("Access-Control"), "{answer}");
            assert!(get(port, "/?at=1").ends_with("yes"));
            assert!(get(port, "/large").len() > 8 << 20);
            for path in ["/../../etc/passwd", "/etc/passwd", "//", "/%2e%2e/", "/\u{202e}"] {
                assert!(get(port, path).starts_with("HTTP/1.1 404 "), "{path}");
            }
        });
    }

    #[test]
    fn requests_that_it_does_not_know_are_refused() {
        served(|port| {
            let own = format!("Host: localhost:{port}");
            let many = format!("{own}\r\nX: {}", "x".repeat(2 * LONGEST_HEAD));
            let other = u32::from(port) + 1;
            for (request, status) in [
                (format!("GET / HTTP/1.1\r\n{own}"), "200"),
                (format!("GET / HTTP/1.1\r\nhOST:localhost:{port}"), "200"),
                (format!("POST / HTTP/1.1\r\n{own}"), "405"),
                (format!("OPTIONS / HTTP/1.1\r\n{own}"), "405"),
                ("GET / HTTP/1.1\r\nHost: evil.example".to_owned(), "421"),
                (format!("GET / HTTP/1.1\r\nHost: evil.example:{port}"), "421"),
                (format!("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example:{port}"), "421"),
                (format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{other}"), "421"),
                ("GET / HTTP/1.1\r\nAccept: */*".to_owned(), "400"),
                (format!("GET / HTTP/1.1\r\n{own}\r\nHost: evil.example"), "400"),
                (format!("GET http://127.0.0.1/ HTTP/1.1\r\n{own}"), "400"),
                (format!("GET / HTTP/2\r\n{own}"), "400"),
                (format!("GET /\r\n{own}"), "400"),
                ("\u{0}\u{1}".to_owned(), "400"),
                (format!("GET / HTTP/1.1\r\n{many}"), "431"),
            ] {
                let answer = ask(port, &format!("{request}\r\n\r\n"));
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
            }
        });
    }

    #[test]
    fn the_port_of_the_protocol_need_not_be_named() {
        let path = |host: &str, port| {
            path_of(&format!("GET / HTTP/1.1\r\nHost: {host}"), port).map(str::to_owned)
        };
        assert_eq!(path("localhost", 80).as_deref(), Ok("/"));
        assert_eq!(path("127.0.0.1:80", 80).as_deref(), Ok("/"));
        assert!(path("localhost", 8080).is_err() && path("evil.example", 80).is_err());
    }

    #[test]
    fn slow_and_many_connections_hold_no_other_up() {
        served(|port| {
            let slow: Vec<TcpStream> =
                (0..MOST_CONNECTIONS / 2).map(|_| connect(port, "GET / HTTP/1.1\r\nHo")).collect();
            let lazy: Vec<TcpStream> = (0..8)
                .map(|_| {
                    connect(port, &format!("GET /large HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
                })
                .collect();
            let asked = Instant::now();
            assert!(get(port, "/").ends_with("yes"));
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            // They are closed in the end, without an answer.
            let mut answer = Vec::new();
            let mut first = slow.into_iter().next().unwrap();
            let _ = first.read_to_end(&mut answer);
            assert!(answer.is_empty());
            assert!(asked.elapsed() < HEAD_TIME + Duration::from_secs(3), "{:?}", asked.elapsed());
            // As many as there may be, and more: later ones find room again.
            let flood: Vec<TcpStream> =
                (0..MOST_CONNECTIONS + 50).map(|_| connect(port, "GET")).collect();
            thread::sleep(HEAD_TIME + Duration::from_millis(500));
            assert!(get(port, "/").ends_with("yes"));
            drop((flood, lazy));
        });
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let first = Server::bind(0, Arc::new(|_: &str| None)).unwrap();
        let second = Server::bind(first.port, Arc::new(|_: &str| None));
        assert_eq!(second.err().unwrap().kind(), ErrorKind::AddrInUse);
    }
}
