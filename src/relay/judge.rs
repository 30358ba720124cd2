//! What an attempt means for a recipient (RFC 5321 §4.2.1, §4.5.4.1), and when to try again. The only place
//! that decides between delivered, later and never.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::RetryPlan;
use crate::prng::Prng;
use crate::smtp::{Enhanced, Reply};
use crate::time::WallTime;

/// A reply, and the remote host that gave it; without a host it is our own finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub host: Option<Host>,
    pub reply: Reply,
}

/// A remote host that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: Arc<str>,
    /// It offers DSN: what becomes of the message from there on, it reports itself (RFC 3461 §5.2.1).
    pub reports: bool,
    /// What its connection was under: `TLSv1.3 TLS_AES_256_GCM_SHA384, verified`.
    pub tls: Option<Arc<str>>,
}

/// How one attempt ended for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The host that answers for the recipient said yes.
    Accepted(Answer),
    /// It said no: 4xx is not yet, 5xx is never.
    Refused(Answer),
    /// No answer that counts: no connection, a broken session, a local obstacle. The reply tells why.
    Unreached(Answer),
    /// The host does not admit us as the user that the route names: nothing goes that way until the operator has
    /// seen to it, and nothing bounces.
    NotAdmitted(Answer),
    /// The sender's own address is not up, or it has none of the family that the host needs: nothing left.
    NoAddress(Answer),
}

impl Answer {
    /// What we found out ourselves.
    pub fn own(code: u16, status: Enhanced, why: impl Into<Cow<'static, str>>) -> Self {
        Answer { host: None, reply: Reply::new(code, status, why) }
    }
}

/// For logs and reports: `mx.xyz.com said: 550 5.1.1 no such user`.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(Host { name, tls: Some(tls), .. }) => write!(f, "{name} ({tls}) said: {}", self.reply),
            Some(host) => write!(f, "{} said: {}", host.name, self.reply),
            None => self.reply.fmt(f),
        }
    }
}

impl Attempt {
    pub fn answer(&self) -> &Answer {
        match self {
            Attempt::Accepted(a)
            | Attempt::Refused(a)
            | Attempt::Unreached(a)
            | Attempt::NotAdmitted(a)
            | Attempt::NoAddress(a) => a,
        }
    }
}

/// What follows for the recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered(Answer),
    Deferred(Answer),
    Failed(Answer),
}

impl Verdict {
    pub fn answer(&self) -> &Answer {
        match self {
            Verdict::Delivered(answer) | Verdict::Deferred(answer) | Verdict::Failed(answer) => answer,
        }
    }
}

/// Judges an attempt on a message that was received `age` ago.
pub fn judge(attempt: Attempt, age: Duration, plan: &RetryPlan) -> Verdict {
    match attempt {
        Attempt::Accepted(answer) => Verdict::Delivered(answer),
        Attempt::NotAdmitted(answer) => Verdict::Deferred(answer),
        Attempt::Refused(answer) if answer.reply.is_permanent() => Verdict::Failed(answer),
        Attempt::Refused(answer) | Attempt::Unreached(answer) | Attempt::NoAddress(answer) => {
            if age >= plan.expire { Verdict::Failed(answer) } else { Verdict::Deferred(answer) }
        }
    }
}

/// The delay after attempt number `attempts` (1 for the first): it doubles from `first` to `max`, jittered
/// by a tenth, and never reaches past the moment of expiry.
pub fn retry_at(
    attempts: u16,
    received: WallTime,
    now: WallTime,
    plan: &RetryPlan,
    prng: &mut Prng,
) -> WallTime {
    let doublings = u32::from(attempts.saturating_sub(1)).min(30);
    let delay = plan.first.saturating_mul(1 << doublings).min(plan.max);
    let expires = received + plan.expire;
    let next = now + prng.jitter(delay);
    if now < expires { next.min(expires) } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: RetryPlan = RetryPlan {
        first: Duration::from_secs(300),
        max: Duration::from_secs(14_400),
        expire: Duration::from_secs(432_000),
    };

    #[test]
    fn a_reply_decides_and_expiry_ends_the_patience() {
        let busy = || Answer::own(451, Enhanced(4, 3, 0), "busy");
        let gone = || Answer::own(550, Enhanced(5, 1, 1), "gone");
        let young = Duration::from_secs(60);
        let rows = [
            ("yes", Attempt::Accepted(Answer::own(250, Enhanced(2, 0, 0), "ok")), young, "delivered"),
            ("not yet", Attempt::Refused(busy()), young, "deferred"),
            ("never", Attempt::Refused(gone()), young, "failed"),
            ("no answer", Attempt::Unreached(busy()), young, "deferred"),
            ("not yet, too often", Attempt::Refused(busy()), PLAN.expire, "failed"),
            ("not admitted, however often", Attempt::NotAdmitted(gone()), PLAN.expire * 2, "deferred"),
            ("no answer, too often", Attempt::Unreached(busy()), PLAN.expire, "failed"),
        ];
        for (caption, attempt, age, expected) in rows {
            let verdict = match judge(attempt, age, &PLAN) {
                Verdict::Delivered(_) => "delivered",
                Verdict::Deferred(_) => "deferred",
                Verdict::Failed(_) => "failed",
            };
            assert_eq!(verdict, expected, "{caption}");
        }
    }

    #[test]
    fn delays_grow_to_their_maximum_and_end_at_expiry() {
        let (start, mut prng) = (WallTime::from_unix_seconds(1_000_000), Prng::from_seed(3));
        for (attempts, about_s) in [(1, 300), (2, 600), (3, 1200), (9, 14_400), (u16::MAX, 14_400)] {
            let delay = retry_at(attempts, start, start, &PLAN, &mut prng).since(start).as_secs();
            assert!((about_s * 9 / 10..=about_s * 11 / 10).contains(&delay), "{attempts}: {delay}");
        }
        let late = start + (PLAN.expire - Duration::from_secs(60));
        assert_eq!(retry_at(9, start, late, &PLAN, &mut prng), start + PLAN.expire);
    }
}
