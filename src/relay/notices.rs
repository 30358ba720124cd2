//! What a sender hears of his message: one report a round, on all recipients that failed, are late for the
//! first time, or were delivered where he asked to hear of that (RFC 3461, RFC 3464). It leaves through the
//! same domain's identity as the message did.

use std::time::Duration;

use crate::limits::{DELAY_NOTICE_AFTER_S, RETURNED_MESSAGE_BYTES_MAX};
use crate::mail::bounce::{self, Cause, Fate, Original, Reporter};
use crate::mail::headers::Section;
use crate::mail::{Domain, QueueId, Ret};
use crate::relay::active::{Active, Body};
use crate::relay::judge::{Answer, Verdict};
use crate::relay::office::{Office, Post};
use crate::relay::policy;
use crate::relay::storing::Composed;
use crate::time::{Now, WallTime};

impl Office {
    /// The report that this round of attempts calls for, if its sender wants one.
    pub(super) fn report_on(&mut self, now: Now, owner: &Domain, id: QueueId) -> Option<Composed> {
        let config = self.config.clone();
        let domain = config.domain(owner)?;
        let (report_id, unique) = (self.next_id(now), self.random());
        let Post { log, flash, active, .. } = self.posts.get_mut(owner)?;
        let active = active.get_mut(&id).filter(|a| !a.deleted)?;
        let reporter =
            Reporter { our_name: domain.ehlo_name(), domain: owner, id: report_id, now: now.wall, unique };
        let expires = active.meta.received + domain.retry.expire;
        let mut start = active.content.head.to_vec();
        if may_be_returned_whole(active) {
            let body = body_of(active, |offset, piece| log.read_body(&**flash, id, offset, piece).ok());
            start.extend(body.unwrap_or_default());
        }
        let whole = start.len() as u64 == active.content.octets();
        let causes = causes(active);
        let outcomes = outcomes(active, &causes, now.wall, expires);
        let original = Original {
            envelope: &active.meta.envelope,
            id,
            arrived: active.meta.received,
            start: &start,
            whole,
        };
        let Some(report) = bounce::report(&reporter, &original, &outcomes) else {
            if active.judged.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_))) {
                log::warn!("{owner} {id}: it failed, and nobody is told who has not asked for it");
            }
            return None;
        };
        active.state.delay_notice_sent |= outcomes.iter().any(|o| matches!(o.fate, Fate::Delayed { .. }));
        match policy::shares_for(&config, Some(domain), &report.envelope) {
            Ok(shares) => {
                log::info!("{owner} {id}: reported to its sender as {report_id}");
                let body = report.message[Section::of(&report.message).body_start..].to_vec();
                let mut head = report.message;
                head.truncate(head.len() - body.len());
                let origin = format!("report on {id}");
                Some(Composed { id: report_id, shares, origin, head, body })
            }
            Err(reply) => {
                log::warn!("{owner} {id}: its sender cannot be told: {reply}");
                None
            }
        }
    }
}

/// The status and the text of each verdict, in a form that a report can borrow.
fn causes(active: &Active) -> Vec<(String, String)> {
    let cause = |answer: &Answer| {
        let status = answer.reply.enhanced().map(|e| e.to_string()).unwrap_or_default();
        (status, answer.reply.to_string())
    };
    active.judged.iter().map(|(_, verdict)| cause(verdict.answer())).collect()
}

fn outcomes<'a>(
    active: &'a Active,
    causes: &'a [(String, String)],
    now: WallTime,
    expires: WallTime,
) -> Vec<bounce::Outcome<'a>> {
    let late = now.since(active.meta.received) >= Duration::from_secs(DELAY_NOTICE_AFTER_S);
    let tell_delay = late && !active.state.delay_notice_sent;
    let rows = active.judged.iter().zip(causes).filter_map(|((place, verdict), (status, text))| {
        let host = verdict.answer().host.as_ref();
        let cause = || Cause { status, host: host.map(|h| h.name.as_ref()), text };
        let fate = match verdict {
            Verdict::Failed(answer) if answer.reply.is_permanent() => Fate::Failed(cause()),
            Verdict::Failed(_) => Fate::Expired(cause()),
            Verdict::Deferred(_) if tell_delay => Fate::Delayed { cause: cause(), retry_until: expires },
            Verdict::Deferred(_) => return None,
            Verdict::Delivered(_) => match host {
                None => Fate::Delivered,
                Some(host) if !host.reports => Fate::Relayed(cause()),
                Some(_) => return None,
            },
        };
        let recipient = &active.meta.envelope.recipients[*place];
        Some(bounce::Outcome { recipient, fate, last_attempt: Some(now) })
    });
    rows.collect()
}

/// Whether a report may return all of the message: the sender asked for that, and it is small.
fn may_be_returned_whole(active: &Active) -> bool {
    let small = active.content.octets() <= RETURNED_MESSAGE_BYTES_MAX as u64;
    small && active.meta.envelope.ret == Some(Ret::Full)
}

/// The body, from memory or by `read`, which fills a buffer from an offset on.
fn body_of(active: &Active, mut read: impl FnMut(u64, &mut [u8]) -> Option<usize>) -> Option<Vec<u8>> {
    let len = match &active.content.body {
        Body::Memory(body) => return Some(body.to_vec()),
        Body::Spool(len) => usize::try_from(*len).ok()?,
    };
    let mut body = vec![0; len];
    let mut at = 0;
    while at < len {
        match read(at as u64, &mut body[at..])? {
            0 => return None,
            n => at += n,
        }
    }
    Some(body)
}
