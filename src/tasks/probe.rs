//! What an operator tries by hand: a name in DNS, a conversation with a host from a domain's own address, and
//! the counters as they run. All of it can be broken off, and none of it touches mail.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::config::{HostPort, Terms};
use crate::console::exit;
use crate::dns::Question;
use crate::limits::{REPLY_BUFFER_BYTES, WATCH_EVERY_S};
use crate::mail::Domain;
use crate::os::clock;
use crate::relay::{LaneKey, NextHop};
use crate::smtp::client::{Event, Session};
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::targets::Target;
use crate::tasks::timer::by;
use crate::tasks::{answers, line, targets};

/// The records of a name, as text; the error says why there are none.
pub async fn resolve(
    station: &Station,
    talk: &mut Talk,
    asked: &Question,
) -> io::Result<Result<Vec<String>, String>> {
    let Some(found) = talk.unless_broken(station.resolver.query(asked)).await? else {
        return Ok(Err("broken off".to_owned()));
    };
    Ok(match found {
        Ok(records) if records.is_empty() => Err(format!("{} has no {} record", asked.name, asked.kind)),
        Ok(records) => Ok(records),
        Err(error) => Err(error.to_string()),
    })
}

/// Talks SMTP with a host up to QUIT, from `sender`'s address and under its name, and shows every line.
pub async fn connect(
    station: &Rc<Station>,
    talk: &mut Talk,
    host: HostPort,
    sender: Option<Domain>,
) -> io::Result<u8> {
    let config = station.config();
    let domain = match &sender {
        Some(name) => config.domain(name),
        None => config.domains.first(),
    };
    let Some(domain) = domain else {
        talk.complain("that domain is not hosted here; `show domains` lists those that are\n").await?;
        return Ok(exit::FAILURE);
    };
    let key = LaneKey { sender: domain.name.clone(), hop: NextHop::Host(host), terms: Terms::default() };
    let found = match talk.unless_broken(targets::find(station, &key)).await? {
        Some(Ok(found)) => found,
        Some(Err(attempt)) => {
            talk.complain(&format!("{}\n", attempt.answer())).await?;
            return Ok(exit::FAILURE);
        }
        None => return Ok(exit::FAILURE),
    };
    for target in found {
        talk.print(&format!("connecting to {} from {}\n", target.address, target.source)).await?;
        if converse(talk, &target, domain.ehlo_name()).await? {
            return Ok(exit::OK);
        }
    }
    Ok(exit::FAILURE)
}

/// False: it did not come to a good end, and the user has been told why.
async fn converse(talk: &mut Talk, target: &Target, ehlo: &Domain) -> io::Result<bool> {
    let stream = talk.unless_broken(line::connect(target)).await?;
    let mut stream = match stream {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            talk.complain(&format!("{}\n", line::obstacle(target, &error).answer())).await?;
            return Ok(false);
        }
        None => return Ok(false),
    };
    let mut session = Session::new(ehlo.clone(), clock::mono());
    session.record_transcript();
    let mut buffer = [0; REPLY_BUFFER_BYTES];
    loop {
        for line in session.take_transcript() {
            talk.print(&format!("{line}\n")).await?;
        }
        match session.next_event() {
            Some(Event::Closed) => return Ok(true),
            Some(Event::Refused(_)) => return Ok(false),
            Some(Event::Broken(why)) => {
                talk.complain(&format!("{why}\n")).await?;
                return Ok(false);
            }
            Some(_) => session.quit(clock::mono()),
            None => {
                let turn = exchange(&mut session, &mut stream, &mut buffer);
                if talk.unless_broken(turn).await?.is_none() {
                    return Ok(false);
                }
            }
        }
    }
}

/// Sends what is to be sent, then waits for the host's next words.
async fn exchange(
    session: &mut Session,
    stream: &mut async_io::Async<std::net::TcpStream>,
    buffer: &mut [u8],
) {
    while !session.output().is_empty() {
        match by(session.deadline(), stream.write(session.output())).await {
            Some(Ok(n)) => session.sent(n),
            Some(Err(_)) => return session.closed(),
            None => return session.timeout(clock::mono()),
        }
    }
    match by(session.deadline(), stream.read(buffer)).await {
        None => session.timeout(clock::mono()),
        Some(Ok(0) | Err(_)) => session.closed(),
        Some(Ok(n)) => session.input(clock::mono(), &buffer[..n]),
    }
}

/// The counters, once a second, until a key is hit or the user goes.
pub async fn watch(station: &Station, talk: &mut Talk) -> io::Result<u8> {
    let mut before = None;
    let mut shown = 0;
    loop {
        let status = answers::status(station);
        let moved = before.map_or(0, |before| status.accepted.saturating_sub(before)) / WATCH_EVERY_S;
        before = Some(status.accepted);
        let line = format!(
            "in {}  out {}  queue {}  accepted {} ({moved}/s)  delivered {}  bounced {}",
            status.sessions_in,
            status.sessions_out,
            status.queued,
            status.accepted,
            status.delivered,
            status.bounced
        );
        if talk.is_interactive() {
            // In one line of the narrowest terminal, over what stood there, with nothing but blanks.
            let line: String = line.chars().take(talk.width.saturating_sub(1)).collect();
            let wide = std::mem::replace(&mut shown, line.len());
            talk.print(&format!("\r{line:wide$}")).await?;
        } else {
            talk.print(&format!("{line}\n")).await?;
        }
        if talk.key_within(Duration::from_secs(WATCH_EVERY_S)).await? {
            talk.print("\n").await?;
            return Ok(exit::OK);
        }
    }
}
