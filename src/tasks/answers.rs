//! What the console shows, gathered from the station: plain reports, which `console::report` puts into words.

use std::time::Duration;

use crate::config::DomainConfig;
use crate::config::argument::{Argument, LogHost};
use crate::console::report::{
    AddressReport, AddressState, DomainReport, LogLine, MachineMemory, MemoryPart, MemoryReport,
    MessageReport, QueueEntry, RecipientReport, RecipientState,
};
use crate::console::status::{StatusReport, SyslogReport};
use crate::limits::{
    CONFIG_HISTORY_BYTES_MAX, CONSOLE_TYPE_AHEAD_BYTES_MAX, CONTROL_FRAME_BYTES_MAX, CONTROL_LINKS_MAX,
    DNS_CACHE_BYTES_MAX, FALSE_CLAIMER_BYTES, FALSE_CLAIMERS_MAX, INCOMING_BYTES_MAX, LOG_RING_BYTES_MAX,
    LONG_ENVELOPES_BYTES_MAX, OUTGOING_CONNECTION_BYTES, QUEUED_MESSAGE_BYTES, RESIDENT_CONTENT_BYTES_MAX,
    SESSION_BYTES, SPOOL_PENDING_BYTES_MAX,
};
use crate::mail::{Domain, QueueId, ReversePath, compose};
use crate::os::{clock, process};
use crate::relay::queue::Stand;
use crate::relay::{Content, Office, Post};
use crate::spool::{self, Meta, State};
use crate::tasks::station::Station;
use crate::time::{Now, WallTime};

pub fn status(station: &Station) -> StatusReport {
    let (now, office) = (clock::now(), station.office.borrow());
    let config = office.config();
    let up = config.domains.iter().filter(|d| !is_pending(&office, d)).count();
    let memory = memory(station);
    let (mut accepted, mut delivered, mut bounced) = (0, 0, 0);
    for (_, post) in office.posts() {
        accepted += post.counts.accepted;
        delivered += post.counts.delivered;
        bounced += post.counts.failed;
    }
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: config.machine.name.as_ref().map(|n| n.to_string()),
        uptime: now.mono.since(station.meters.started.get()),
        time: now.wall,
        smtp: config.machine.smtp,
        sessions_in: station.meters.sessions.get(),
        sessions_out: office.connections(),
        domains_up: up,
        domains_pending: config.domains.len() - up,
        queued: office.queue_len(),
        oldest: office.posts().filter_map(|(_, post)| oldest(&office, post, now)).max(),
        accepted,
        delivered,
        bounced,
        auth_failures: station.guesses.borrow().total(),
        syslog: config.machine.syslog.as_ref().map(|to| SyslogReport {
            to: LogHost(to.host.clone()).write(),
            carrier: to.carrier.write(),
            sent: station.syslog.sent.get(),
            lost: station.syslog.lost.get(),
        }),
        memory_used_bytes: memory.parts.iter().map(|p| p.used_bytes).sum(),
        memory_bound_bytes: memory.parts.iter().map(|p| p.bound_bytes).sum(),
        confinement: station.confinement.clone(),
        alarms: station
            .notices
            .lines()
            .into_iter()
            .chain(station.settings.left_out())
            .chain(on_trial(station, now))
            .chain(alarms(station, &office, now.wall))
            .chain(station.guesses.borrow().alarms(now.mono))
            .collect(),
    }
}

fn is_pending(office: &Office, domain: &DomainConfig) -> bool {
    domain.addresses.iter().any(|a| office.pending_reason(a.ip).is_some())
}

/// How long a trial of the configuration still lasts, while there is one.
fn on_trial(station: &Station, now: Now) -> Option<String> {
    let store = station.settings.store.borrow();
    store.before_trial()?;
    let left = store.deadline().since(now.mono).as_secs();
    Some(format!("the configuration is on trial: `confirm` within {left} s, or the old one returns"))
}

/// What the operator should look at.
fn alarms(station: &Station, office: &Office, now: WallTime) -> Vec<String> {
    let config = office.config();
    let addresses = config.domains.iter().flat_map(|d| d.addresses.iter().map(move |a| (d, a.ip)));
    let mut alarms: Vec<String> = addresses
        .filter_map(|(domain, ip)| office.pending_reason(ip).map(|why| (domain, ip, why)))
        .map(|(domain, ip, why)| format!("{}: its address {ip} is pending: {why}", domain.name))
        .collect();
    alarms.extend(office.posts().flat_map(|(name, post)| post.alarms().map(move |a| format!("{name}: {a}"))));
    alarms.extend(office.locked_roads());
    alarms.extend(station.mailboxes.borrow().alarms());
    alarms.extend(station.certificates.alarms(config, now));
    alarms.extend(station.signing.alarms());
    alarms.extend(station.wear.alarms(config, office, clock::now()));
    alarms.extend(station.syslog.trouble.borrow().clone());
    alarms.extend(station.clock.keeper.borrow().alarm(clock::now()));
    alarms
}

pub fn domains(station: &Station) -> Vec<DomainReport> {
    let (now, office) = (clock::now(), station.office.borrow());
    let report = |domain: &DomainConfig| {
        let post = office.post(&domain.name);
        let address = |ip| AddressReport {
            address: format!("{ip}"),
            state: office
                .pending_reason(ip)
                .map_or(AddressState::Up, |why| AddressState::Pending(why.to_owned())),
        };
        DomainReport {
            name: domain.name.to_string(),
            addresses: domain.addresses.iter().map(|a| address(a.ip)).collect(),
            ehlo: domain.ehlo_name().to_string(),
            certificate: station.certificates.fingerprint(&domain.name),
            held: post.is_some_and(Post::is_held),
            queued: post.map_or(0, |p| p.queue.len()),
            oldest: post.and_then(|p| oldest(&office, p, now)),
            last_reply: post.and_then(|p| p.last_reply.clone()),
        }
    };
    office.config().domains.iter().map(report).collect()
}

/// How long the oldest message of a post has been here: ids rise with time.
fn oldest(office: &Office, post: &Post, now: Now) -> Option<Duration> {
    let id = post.queue.ids().next()?;
    let received = post.active.get(&id).map(|a| a.meta.received);
    let received = received.or_else(|| post.log.load(&*post.flash, id).ok().map(|s| s.meta.received))?;
    Some(now.wall.since(office.corrected(received)))
}

/// The queue of one domain or of all; at most `limits::QUEUE_SHOWN_MAX` messages each.
pub fn queue(station: &Station, only: Option<&Domain>) -> Vec<QueueEntry> {
    let (now, office) = (clock::now(), station.office.borrow());
    let office = &*office;
    let posts = office.posts().filter(|(name, _)| only.is_none_or(|wanted| wanted == *name));
    let rows = posts.flat_map(|(name, post)| {
        let ids = post.queue.ids().take(crate::limits::QUEUE_SHOWN_MAX);
        ids.filter_map(move |id| Some(entry(name, post, id, now, &Known::of(office, post, id)?)))
    });
    rows.collect()
}

pub fn message(station: &Station, id: QueueId) -> Option<MessageReport> {
    let (now, office) = (clock::now(), station.office.borrow());
    let (name, post, known) = office.posts().find_map(|(n, p)| Some((n, p, Known::of(&office, p, id)?)))?;
    let entry = entry(name, post, id, now, &known);
    Some(MessageReport {
        from_line: compose::mailbox_line(&known.meta.envelope.reverse_path, known.meta.received),
        arrived: known.meta.received,
        headers_bytes: known.head_bytes,
        last_reply: entry.recipients.iter().rev().find_map(|r| r.reply.clone()),
        entry,
    })
}

/// What the post knows of a message, from memory or from flash.
struct Known {
    meta: Meta,
    state: State,
    head_bytes: u64,
    bytes: u64,
}

impl Known {
    fn of(office: &Office, post: &Post, id: QueueId) -> Option<Known> {
        let mut known = Known::written(post, id)?;
        known.meta.received = office.corrected(known.meta.received);
        Some(known)
    }

    fn written(post: &Post, id: QueueId) -> Option<Known> {
        post.queue.stand(id)?;
        if let Some(active) = post.active.get(&id) {
            let Content { head, .. } = &active.content;
            let (meta, state) = ((*active.meta).clone(), active.state.clone());
            return Some(Known {
                meta,
                state,
                head_bytes: head.len() as u64,
                bytes: active.content.octets(),
            });
        }
        let stored = post.log.load(&*post.flash, id).ok()?;
        let head_bytes = stored.head.len() as u64;
        Some(Known {
            head_bytes,
            bytes: head_bytes + stored.body_len,
            meta: stored.meta,
            state: stored.state,
        })
    }
}

fn entry(domain: &Domain, post: &Post, id: QueueId, now: Now, known: &Known) -> QueueEntry {
    let states = known.meta.envelope.recipients.iter().zip(&known.state.recipients);
    let recipients: Vec<RecipientReport> = states.map(|(r, s)| recipient(r.address.to_string(), s)).collect();
    let stand = post.queue.stand(id);
    QueueEntry {
        id: id.to_string(),
        domain: domain.to_string(),
        from: match &known.meta.envelope.reverse_path {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address.to_string()),
        },
        size_bytes: known.bytes,
        age: now.wall.since(known.meta.received),
        attempts: u32::from(known.state.attempts),
        next_attempt: match stand {
            Some(Stand::Waiting(at)) if !post.is_held() => Some(at.since(now.mono)),
            _ => None,
        },
        held: is_held(post, stand),
        reason: reason(post, stand, &recipients),
        recipients,
    }
}

fn recipient(address: String, state: &spool::RecipientState) -> RecipientReport {
    let (state, reply) = match state {
        spool::RecipientState::Pending => (RecipientState::Pending, None),
        spool::RecipientState::Deferred { reply } => (RecipientState::Deferred, Some(reply.clone())),
        spool::RecipientState::Delivered { reply } => (RecipientState::Delivered, Some(reply.clone())),
        spool::RecipientState::Failed { reply } => (RecipientState::Failed, Some(reply.clone())),
    };
    RecipientReport { address, state, reply }
}

/// A message that is being tried goes on to the end of its attempt.
fn is_held(post: &Post, stand: Option<Stand>) -> bool {
    stand == Some(Stand::OnHold) || post.is_held() && stand != Some(Stand::Active)
}

fn reason(post: &Post, stand: Option<Stand>, recipients: &[RecipientReport]) -> Option<String> {
    let deferred =
        || recipients.iter().find(|r| r.state == RecipientState::Deferred).and_then(|r| r.reply.clone());
    match stand {
        Some(Stand::OnHold) => Some("held by the operator".to_owned()),
        Some(Stand::Waiting(_)) if post.is_held() => {
            Some("held by the operator, like all mail of its domain".to_owned())
        }
        Some(Stand::Active) => Some(deferred().unwrap_or_else(|| "being sent".to_owned())),
        _ => deferred(),
    }
}

pub fn log(station: &Station, lines: usize) -> Vec<LogLine> {
    let line = |l: crate::os::logging::Line| LogLine { time: l.time, level: l.level, text: l.text };
    station.log.last(lines).into_iter().map(line).collect()
}

/// Every bound that memory has, and what of it is in use.
pub fn memory(station: &Station) -> MemoryReport {
    let office = station.office.borrow();
    let part = |name: &str, used: usize, bound: usize| MemoryPart {
        name: name.to_owned(),
        used_bytes: used as u64,
        bound_bytes: bound as u64,
    };
    let capacity = office.capacity();
    let console = CONTROL_FRAME_BYTES_MAX + CONSOLE_TYPE_AHEAD_BYTES_MAX;
    let unwritten: usize = office.posts().map(|(_, post)| post.log.pending_bytes()).sum();
    let former: usize = station.settings.store.borrow().history().map(|saved| saved.text.len()).sum();
    let claimers = station.meters.false_claims.borrow().len();
    let (_, dns_bytes) = station.resolver.cache_size();
    let sessions_max = station.guests.borrow().places().all;
    MemoryReport {
        sessions_max,
        parts: vec![
            part(
                "incoming sessions",
                station.meters.sessions.get() * SESSION_BYTES,
                sessions_max * SESSION_BYTES,
            ),
            part("long envelopes", station.long_envelopes.bytes(), LONG_ENVELOPES_BYTES_MAX),
            part("messages coming in", office.incoming_bytes(), INCOMING_BYTES_MAX),
            part(
                "outgoing connections",
                office.connections() * OUTGOING_CONNECTION_BYTES,
                capacity.connections * OUTGOING_CONNECTION_BYTES,
            ),
            part("messages under way", office.resident_bytes(), RESIDENT_CONTENT_BYTES_MAX),
            part(
                "queue index",
                office.queue_len() * QUEUED_MESSAGE_BYTES,
                capacity.queued * QUEUED_MESSAGE_BYTES,
            ),
            part("spools, not written yet", unwritten, office.posts().count() * SPOOL_PENDING_BYTES_MAX),
            part("consoles", station.meters.consoles.get() * console, CONTROL_LINKS_MAX * console),
            part("former configurations", former, CONFIG_HISTORY_BYTES_MAX),
            part("false claims", claimers * FALSE_CLAIMER_BYTES, FALSE_CLAIMERS_MAX * FALSE_CLAIMER_BYTES),
            part("DNS cache", dns_bytes, DNS_CACHE_BYTES_MAX),
            part("log ring", station.log.bytes(), LOG_RING_BYTES_MAX),
        ],
        resident_bytes: process::resident_bytes(),
        machine: process::machine_memory()
            .map(|(bytes, available_bytes)| MachineMemory { bytes, available_bytes }),
    }
}
