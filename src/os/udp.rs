//! Datagram sockets for DNS queries (RFC 5452 §9.2).
//! Danger: a socket that is bound to a fixed port, or not connected, takes forged replies from anyone; each
//! query gets a new one.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A socket at a port that the kernel draws at random, which takes datagrams from `server` only. A port at
/// which nobody listens shows as a refused connection when receiving.
pub fn connected_to(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_port_of_its_own_and_one_peer() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (a, b) = (
            connected_to(server.local_addr().unwrap()).unwrap(),
            connected_to(server.local_addr().unwrap()).unwrap(),
        );
        assert_ne!(a.local_addr().unwrap().port(), b.local_addr().unwrap().port());
        assert_eq!(a.peer_addr().unwrap(), server.local_addr().unwrap());
    }
}
