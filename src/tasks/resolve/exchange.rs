//! Drives a lookup with sockets (RFC 1035 §4.2, RFC 7766 §8). Thin: what to send, to whom and how long to
//! wait is the lookup's to say. Danger: a datagram that is not the reply must not end the waiting.

use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smol::{Async, Timer};

use crate::dns::{Answer, Lookup, Step, Transport};
use crate::limits::DNS_DATAGRAM_BYTES_MAX;
use crate::os;
use crate::time::Instant;

/// A message from the server, or that the time is over.
enum Event {
    Message(Vec<u8>),
    TimeOver,
}

/// The way to the server of the current try.
enum Wire {
    None,
    Udp(Async<UdpSocket>),
    Tcp { server: SocketAddr, query: Vec<u8> },
}

/// Runs `lookup` to its end. `silent` is called for each server that was asked and gave no answer at all.
pub async fn run(mut lookup: Lookup, silent: impl Fn(SocketAddr)) -> Answer {
    let mut wire = Wire::None;
    loop {
        let server = lookup.server();
        let event = match lookup.step(os::clock::mono(), os::entropy::u64) {
            Step::Done(answer) => return answer,
            Step::Send(send) => match open(send.server, send.transport, send.query).await {
                Ok(opened) => {
                    wire = opened;
                    continue;
                }
                Err(error) => Err(error),
            },
            Step::Wait(until) => future::or(receive(&wire), time_over(until)).await,
        };
        let now = os::clock::mono();
        if !matches!(event, Ok(Event::Message(_))) {
            server.into_iter().for_each(&silent);
        }
        match event {
            Ok(Event::Message(bytes)) => lookup.received(now, &bytes),
            Ok(Event::TimeOver) => lookup.timed_out(now),
            Err(error) => lookup.broken(now, &error.to_string()),
        }
    }
}

async fn time_over(at: Instant) -> io::Result<Event> {
    Timer::after(at.since(os::clock::mono())).await;
    Ok(Event::TimeOver)
}

/// Sends a datagram; a TCP connection is opened within the time that is there for the reply.
async fn open(server: SocketAddr, transport: Transport, query: Vec<u8>) -> io::Result<Wire> {
    match transport {
        Transport::Udp => {
            let socket = Async::new(os::udp::connected_to(server)?)?;
            socket.send(&query).await?;
            Ok(Wire::Udp(socket))
        }
        Transport::Tcp => Ok(Wire::Tcp { server, query }),
    }
}

async fn receive(wire: &Wire) -> io::Result<Event> {
    let message = match wire {
        Wire::None => future::pending().await,
        Wire::Udp(socket) => {
            let mut buffer = vec![0; DNS_DATAGRAM_BYTES_MAX];
            // Forged answers, however many, take no time from others.
            future::yield_now().await;
            let len = socket.recv(&mut buffer).await?;
            buffer.truncate(len);
            buffer
        }
        Wire::Tcp { server, query } => ask_over_tcp(*server, query).await?,
    };
    Ok(Event::Message(message))
}

/// One query, one reply, each with its length in front; a reply has at most 65,535 bytes.
async fn ask_over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = Async::<TcpStream>::connect(server).await?;
    let len = u16::try_from(query.len()).expect("a query is one question");
    stream.write_all(&[&len.to_be_bytes(), query].concat()).await?;
    let mut len = [0; 2];
    stream.read_exact(&mut len).await?;
    let mut reply = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}
