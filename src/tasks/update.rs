//! Fetches a firmware update, from a stick, over HTTP or as text from the console, and has it written to the
//! spare slot piece by piece, while mail flows. Source: RFC 9112 (one GET, answered until the connection closes).
//! Danger: HTTP proves nothing about the sender; the parcel's signature does, before a byte is written.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::config::{Destination, HostPort};
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_WAIT_S, UPDATE_PIECE_BYTES};
use crate::mail::Domain;
use crate::os::init::Machine;
use crate::os::slots::Slot;
use crate::os::update::{self, Update};
use crate::os::{clock, sockets};
use crate::tasks::machine::Machinist;
use crate::tasks::paste;
use crate::tasks::resolve::Families;
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::timer::by;

/// Where an update comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A whole path on this box, or a name on a stick.
    File(PathBuf),
    Http {
        host: HostPort,
        path: String,
    },
    /// `serial`: lines of base64 on the console itself.
    Pasted,
}

impl Source {
    /// `http://HOST[:PORT]/PATH`, `serial`, or a file.
    ///
    /// # Errors
    /// A URL that is none, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "serial" {
            return Ok(Source::Pasted);
        }
        let Some(rest) = text.strip_prefix("http://") else {
            return match text.contains("://") {
                true => Err("only http:// is fetched; the signature makes it safe".to_owned()),
                false => Ok(Source::File(text.into())),
            };
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.ends_with(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
                (name, port.parse().map_err(|_| format!("{port} is no port"))?)
            }
            _ => (host, 80),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let host = match bare.parse::<IpAddr>() {
            Ok(ip) => Destination::Ip(ip),
            Err(_) => Destination::Name(Domain::host_name(name).map_err(|e| format!("{name}: {e}"))?),
        };
        if path.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err("a URL has no spaces and no control characters".to_owned());
        }
        Ok(Source::Http { host: HostPort { host, port }, path: format!("/{path}") })
    }
}

/// Fetches, writes, verifies; then the other slot is started at the next start, on trial. The inner error is
/// what went wrong, in words; the boot loader then goes on as before.
///
/// # Errors
/// Those of talking to the user.
pub async fn run(
    station: &Rc<Station>,
    machinist: &Rc<Machinist>,
    talk: &mut Talk,
    source: Source,
) -> io::Result<Result<Slot, String>> {
    let Some(_turn) = machinist.update_turn() else {
        return Ok(Err("another update is being written; let it end first".to_owned()));
    };
    let machine = machinist.machine.clone();
    let of = machine.clone();
    let begun = match station.blocking(move || Update::begin(&of)).await.unwrap_or_else(|| Err(stopping())) {
        Ok(begun) => begun,
        Err(e) => return Ok(Err(e.to_string())),
    };
    let taken = match source {
        Source::File(name) => from_file(station, &machine, begun, name).await,
        Source::Http { host, path } => from_http(station, begun, host, path).await,
        Source::Pasted => paste::receive(station, begun, talk).await?,
    };
    let finished = match taken {
        Ok(update) => {
            station.blocking(move || update.finish(&machine)).await.unwrap_or_else(|| Err(stopping()))
        }
        Err(e) => Err(e),
    };
    Ok(finished.map_err(|e| e.to_string()))
}

/// Writes a piece on the thread that waits for the flash, so that mail is written in between.
pub async fn written(station: &Station, mut update: Update, piece: Vec<u8>) -> io::Result<Update> {
    let job = move || update.input(&piece).map(|()| update);
    station.blocking(job).await.ok_or_else(stopping)?
}

fn stopping() -> io::Error {
    io::Error::other("the box is stopping")
}

async fn from_file(
    station: &Station,
    machine: &Machine,
    mut update: Update,
    name: PathBuf,
) -> io::Result<Update> {
    let machine = machine.clone();
    let mut file: File =
        station.blocking(move || update::open(&machine, &name)).await.ok_or_else(stopping)??;
    loop {
        // A piece at a time, so that mail is written in between.
        let job = move || -> io::Result<(Update, File, usize)> {
            let mut piece = vec![0; UPDATE_PIECE_BYTES];
            let n = file.read(&mut piece)?;
            update.input(&piece[..n])?;
            Ok((update, file, n))
        };
        let n;
        (update, file, n) = station.blocking(job).await.ok_or_else(stopping)??;
        if n == 0 {
            return Ok(update);
        }
    }
}

async fn from_http(
    station: &Rc<Station>,
    mut update: Update,
    host: HostPort,
    path: String,
) -> io::Result<Update> {
    let mut stream = connect(station, &host).await?;
    let name = match &host.host {
        Destination::Name(name) => name.to_string(),
        Destination::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        Destination::Ip(ip) => ip.to_string(),
    };
    let request = format!("GET {path} HTTP/1.0\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut piece = read_head(&mut stream).await?;
    loop {
        update = written(station, update, piece).await?;
        piece = read_piece(&mut stream).await?;
        if piece.is_empty() {
            return Ok(update);
        }
    }
}

/// From the box's own address: this is nobody's mail.
async fn connect(station: &Rc<Station>, host: &HostPort) -> io::Result<Async<std::net::TcpStream>> {
    let target = match &host.host {
        Destination::Ip(ip) => *ip,
        Destination::Name(name) => {
            let found = station.resolver.addresses(name, Families::Both).await.map_err(io::Error::other)?;
            found.first().copied().ok_or_else(|| io::Error::other(format!("{name} has no address")))?
        }
    };
    let config = station.config();
    let own = config.machine.addresses.iter().map(|a| a.ip).find(|ip| ip.is_ipv4() == target.is_ipv4());
    let own =
        own.ok_or_else(|| io::Error::other(format!("the box has no address to reach {target} from")))?;
    let stream = Async::new(sockets::connect_from(own, SocketAddr::new(target, host.port))?)?;
    in_time(stream.writable()).await??;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let until = clock::mono() + Duration::from_secs(HTTP_WAIT_S);
    by(until, work).await.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// Reads the answer's head; gives what came after it.
async fn read_head(stream: &mut Async<std::net::TcpStream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            let status = head.split(|&b| b == b' ').nth(1).unwrap_or_default();
            return match status {
                b"200" => Ok(head.split_off(end + 4)),
                other => Err(io::Error::other(format!(
                    "the web server answers {}",
                    String::from_utf8_lossy(other).escape_debug()
                ))),
            };
        }
        let piece = read_piece(stream).await?;
        if piece.is_empty() || head.len() > HTTP_HEAD_BYTES_MAX {
            return Err(io::Error::other("no web server answers there"));
        }
        head.extend_from_slice(&piece);
    }
}

async fn read_piece(stream: &mut Async<std::net::TcpStream>) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; UPDATE_PIECE_BYTES];
    let n = in_time(stream.read(&mut piece)).await??;
    piece.truncate(n);
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let http = |host: &str, port, path: &str| {
            let host = match host.parse() {
                Ok(ip) => Destination::Ip(ip),
                Err(_) => Destination::Name(Domain::host_name(host).unwrap()),
            };
            Source::Http { host: HostPort { host, port }, path: path.to_owned() }
        };
        for (text, source) in [
            ("box.update", Source::File("box.update".into())),
            ("/data/box.update", Source::File("/data/box.update".into())),
            ("http://abc.com/a/b?c", http("abc.com", 80, "/a/b?c")),
            ("http://abc.com:8080", http("abc.com", 8080, "/")),
            ("http://192.0.2.1:81/x", http("192.0.2.1", 81, "/x")),
            ("http://[2001:db8::1]:81/x", http("2001:db8::1", 81, "/x")),
            ("http://[2001:db8::1]/x", http("2001:db8::1", 80, "/x")),
        ] {
            assert_eq!(Source::parse(text).unwrap(), source, "{text}");
        }
        for text in
            ["https://abc.com/x", "http://a b/", "http:///x", "http://abc.com:99999/", "http://a/b\r\nc"]
        {
            assert!(Source::parse(text).is_err(), "{text:?}");
        }
    }
}
