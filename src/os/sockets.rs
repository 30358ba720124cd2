//! Sockets: listeners on one address, outgoing connections bound to the domain's address, and the control
//! socket. Sources: Figure 6 and Figure 2D; ip(7) IP_BIND_ADDRESS_NO_PORT, tcp(7), ipv6(7), unix(7).
//! Danger: a connection from any other address than `source` betrays the domain; here it is an error.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::limits::{
    KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES, LISTEN_BACKLOG_CONNECTIONS,
    SESSION_SEND_BUFFER_BYTES,
};

/// A listener on exactly `address`, non-blocking; what it accepts inherits TCP_NODELAY, keepalive and a bound
/// of what waits to be sent.
///
/// # Errors
/// `AddrNotAvailable` while the address is not on this machine (no free bind: a listener that cannot be
/// reached is shown as pending), `AddrInUse`, `PermissionDenied` for a port below 1024.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    tune(&socket)?;
    socket.set_send_buffer_size(SESSION_SEND_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG_CONNECTIONS)?;
    Ok(socket.into())
}

/// Starts a connection from `source` to `target` and returns while it is still being made: wait until the
/// stream is writable, then ask `take_error`. The port of `source` is chosen when the connection is, so
/// that many connections from one address do not run out of ports.
///
/// # Errors
/// `InvalidInput` when the families differ, `AddrNotAvailable` when `source` is not on this machine or the
/// kernel bound another address; the errors of connect(2). There is no way to get an unbound socket.
pub fn connect_from(source: IpAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let target = SocketAddr::new(target.ip().to_canonical(), target.port());
    if source.is_ipv4() != target.is_ipv4() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{source} cannot reach {target}: another address family"),
        ));
    }
    if source.is_unspecified() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no source address"));
    }
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    tune(&socket)?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32) => {}
        Err(e) => return Err(e),
    }
    let stream = TcpStream::from(socket);
    let local = stream.local_addr()?.ip();
    if local != source {
        return Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            format!("the kernel bound {local}, not {source}"),
        ));
    }
    Ok(stream)
}

/// Whether connections can leave from `ip` and reach it now.
///
/// # Errors
/// `AddrNotAvailable` while the address is not on this machine, or still being checked for a double.
pub fn is_here(ip: IpAddr) -> io::Result<()> {
    let address = SocketAddr::new(ip, 0);
    Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?.bind(&address.into())
}

fn tune(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(KEEPALIVE_IDLE_S))
        .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_S))
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}

/// The control socket at `path`, mode 0600, non-blocking. A socket that a dead daemon left is replaced.
///
/// # Errors
/// `AddrInUse` when a living daemon answers there, or when something that is no socket has the name.
pub fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    clear_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.listen(LISTEN_BACKLOG_CONNECTIONS)?;
    Ok(socket.into())
}

/// Connects to the control socket at `path`; the stream is blocking.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no daemon runs there.
pub fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path)
}

fn clear_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if !kind.is_socket() {
        return Err(in_use(path, "is not a socket"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(in_use(path, "belongs to a daemon that is running")),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(e) => Err(e),
    }
}

fn in_use(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_connection_leaves_from_the_address_it_was_given() {
        let listener = listen(at("127.0.0.1:0")).unwrap();
        listener.set_nonblocking(false).unwrap();
        let source = "127.0.0.70".parse().unwrap();
        let mut out = connect_from(source, listener.local_addr().unwrap()).unwrap();
        let (mut inside, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), source);
        assert!(out.nodelay().unwrap() && inside.nodelay().unwrap());
        let held = Socket::from(inside.try_clone().unwrap()).send_buffer_size().unwrap();
        assert!(held <= 2 * SESSION_SEND_BUFFER_BYTES, "{held}");
        out.set_nonblocking(false).unwrap();
        out.write_all(b"EHLO bcd.com\r\n").unwrap();
        let mut got = [0; 14];
        inside.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"EHLO bcd.com\r\n");
    }

    #[test]
    fn a_connection_over_ipv6_leaves_from_its_address_too() {
        let Ok(listener) = listen(at("[::1]:0")) else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        listener.set_nonblocking(false).unwrap();
        let _out = connect_from("::1".parse().unwrap(), listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), at("[::1]:0").ip());
    }

    #[test]
    fn no_connection_without_its_own_address() {
        for (caption, source, target, kind) in [
            ("other family", "127.0.0.1", "[::1]:25", io::ErrorKind::InvalidInput),
            ("other family", "::1", "127.0.0.1:25", io::ErrorKind::InvalidInput),
            ("a mapped target is IPv4", "::1", "[::ffff:127.0.0.1]:25", io::ErrorKind::InvalidInput),
            ("not here", "192.0.2.70", "127.0.0.1:25", io::ErrorKind::AddrNotAvailable),
            ("not here", "2001:db8::70", "[::1]:25", io::ErrorKind::AddrNotAvailable),
            ("no source", "0.0.0.0", "127.0.0.1:25", io::ErrorKind::InvalidInput),
        ] {
            let error = connect_from(source.parse().unwrap(), at(target)).unwrap_err();
            assert_eq!(error.kind(), kind, "{caption}: {error}");
        }
    }

    #[test]
    fn an_address_that_is_not_here_cannot_be_listened_on() {
        let error = listen(at("192.0.2.70:0")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn an_address_is_here_or_not() {
        assert!(is_here("127.0.0.70".parse().unwrap()).is_ok());
        let error = is_here("192.0.2.70".parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn the_control_socket_is_private_and_replaces_a_stale_one() {
        let dir = std::env::temp_dir().join(format!("stagepost-sockets-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("control.sock");
        let first = listen_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(listen_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(connect_unix(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let second = listen_unix(&path).unwrap();
        connect_unix(&path).unwrap();
        drop(second);
        fs::write(dir.join("file"), b"kept").unwrap();
        assert_eq!(listen_unix(&dir.join("file")).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::remove_dir_all(&dir).unwrap();
    }
}
