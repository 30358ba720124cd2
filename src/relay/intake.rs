//! A message on its way in (Figure 5): its header section is gathered and composed, its body kept in memory
//! while it is small and spilled into the spool as a draft when it is not. Memory stays bounded whatever a
//! client sends, and a draft that is not committed is as if it never was.

use crate::limits::BODY_IN_MEMORY_BYTES_MAX;
use crate::mail::compose::{self, ComposeError, Facts};
use crate::mail::envelope;
use crate::mail::headers::{Gatherer, Section, SectionTooLong};
use crate::mail::received::{Protocol, Submitter, Trace};
use crate::mail::{Address, Domain, Envelope, QueueId};
use crate::relay::incoming::Weight;
use crate::relay::office::Office;
use crate::relay::policy::Share;
use crate::relay::storing::{Composed, Draft, Receipt};
use crate::smtp::{Enhanced, Reply};
use crate::time::Now;

/// Who hands a message in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name under which we took it.
    pub our_name: Domain,
    /// The domain whose user wrote it: the message is completed for this domain. `None`: it merely passes.
    pub author: Option<Domain>,
    pub bearer: Bearer,
    /// `sendmail -t`: blind copies are taken out.
    pub drop_bcc: bool,
    /// `sendmail -F`.
    pub full_name: Option<String>,
    /// An old device: what its header section lacks is filled in.
    pub tolerant: bool,
}

/// The one at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    Smtp {
        ip: std::net::IpAddr,
        claimed: String,
        verified: Option<Domain>,
        extended: bool,
        /// The cipher suite of a connection under TLS.
        cipher: Option<String>,
        /// Who the client has proved to be.
        user: Option<Address>,
    },
    /// A user of this machine.
    Local { user: String },
}

/// A message that is coming in.
#[derive(Debug)]
pub struct Intake {
    pub id: QueueId,
    source: Source,
    envelope: Envelope,
    shares: Vec<Share>,
    /// A byte beyond ASCII was in it, whatever the client declared.
    eight_bit: bool,
    weight: Weight,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Gatherer),
    Body {
        head: Vec<u8>,
        body: Vec<u8>,
    },
    Draft {
        head: Vec<u8>,
        draft: Draft,
    },
    /// It will be refused at its end.
    Refused(Reply),
}

impl Intake {
    pub fn new(
        office: &mut Office,
        now: Now,
        source: Source,
        envelope: Envelope,
        shares: Vec<Share>,
    ) -> Self {
        let id = office.next_id(now);
        let stage = match office.has_room(now.mono) {
            true => Stage::Head(Gatherer::default()),
            false => {
                Stage::Refused(Reply::new(452, Enhanced(4, 3, 1), "too many messages wait here already"))
            }
        };
        let weight = office.incoming.begin();
        Intake { id, source, envelope, shares, eight_bit: false, weight, stage }
    }

    /// Domains that answer for a part of it.
    pub fn shares(&self) -> usize {
        self.shares.len()
    }

    /// An intake that refuses whatever comes.
    pub fn refused(office: &mut Office, now: Now, source: Source, envelope: Envelope, reply: Reply) -> Self {
        let id = office.next_id(now);
        let stage = Stage::Refused(reply);
        let weight = office.incoming.begin();
        Intake { id, source, envelope, shares: Vec::new(), eight_bit: false, weight, stage }
    }

    /// Takes the next piece of the content.
    pub fn take(&mut self, office: &mut Office, now: Now, piece: &[u8]) {
        self.eight_bit |= !piece.is_ascii();
        if let Stage::Head(gatherer) = &mut self.stage {
            match gatherer.push(piece) {
                Ok(false) => {}
                Ok(true) => self.compose(office, now),
                Err(SectionTooLong) => self.stage = Stage::Refused(compose_refusal(ComposeError::TooLong)),
            }
        } else {
            self.take_body(office, piece);
        }
        self.spill(office);
        self.weigh(office);
    }

    fn take_body(&mut self, office: &mut Office, piece: &[u8]) {
        match &mut self.stage {
            Stage::Body { body, .. } => body.extend_from_slice(piece),
            Stage::Draft { .. } => self.extend(office, piece),
            Stage::Head(_) | Stage::Refused(_) => {}
        }
    }

    /// One that takes memory which others hold is refused, and lets go of its own.
    fn weigh(&mut self, office: &mut Office) {
        let bytes = match &self.stage {
            Stage::Head(gatherer) => gatherer.held_bytes(),
            Stage::Body { head, body } => head.capacity() + body.capacity(),
            Stage::Draft { head, .. } => head.capacity(),
            Stage::Refused(_) => 0,
        };
        if self.weight.becomes(bytes) {
            return;
        }
        if let Stage::Draft { draft, .. } = &self.stage {
            office.drop_draft(draft);
        }
        let text = "Too many messages are coming in at once, come again later";
        self.stage = Stage::Refused(Reply::new(452, Enhanced(4, 3, 1), text));
        self.weight.becomes(0);
    }

    /// Whether the spool must write before more is read from the client; [`Intake::catch_up`] after a batch.
    pub fn is_backlogged(&self) -> bool {
        matches!(&self.stage, Stage::Draft { draft, .. } if draft.is_backlogged())
    }

    /// Offers the spool again what it could not take.
    pub fn catch_up(&mut self, office: &mut Office) {
        self.extend(office, &[]);
    }

    fn extend(&mut self, office: &mut Office, piece: &[u8]) {
        let Stage::Draft { draft, .. } = &mut self.stage else { return };
        if let Err(reply) = office.extend_draft(draft, piece) {
            office.drop_draft(draft);
            self.stage = Stage::Refused(reply);
        }
    }

    /// The content is whole: hands the message to the spool.
    pub fn finish(mut self, office: &mut Office, now: Now) -> Result<Receipt, Reply> {
        if matches!(self.stage, Stage::Head(_)) {
            self.compose(office, now);
        }
        if self.eight_bit {
            self.shares.iter_mut().for_each(|share| share.envelope.body = envelope::Body::EightBitMime);
        }
        let origin = self.source.bearer.to_string();
        match self.stage {
            Stage::Head(_) => unreachable!("composed above"),
            Stage::Refused(reply) => Err(reply),
            Stage::Body { head, body } => {
                office.accept(now, Composed { id: self.id, shares: self.shares, origin, head, body })
            }
            Stage::Draft { head, draft } => office.commit_draft(now, &draft, self.shares, &origin, &head),
        }
    }

    /// The message will not come.
    pub fn abandon(self, office: &mut Office) {
        if let Stage::Draft { draft, .. } = &self.stage {
            office.drop_draft(draft);
        }
    }

    fn compose(&mut self, office: &mut Office, now: Now) {
        let Stage::Head(gatherer) = std::mem::replace(&mut self.stage, Stage::Head(Gatherer::default()))
        else {
            return;
        };
        let start = gatherer.into_bytes();
        let body = &start[Section::of(&start).body_start..];
        self.stage = match self.head(office, now, &start) {
            Ok(mut head) => {
                head.truncate(head.len() - body.len());
                Stage::Body { head, body: body.to_vec() }
            }
            Err(error) => Stage::Refused(compose_refusal(error)),
        };
    }

    /// The composed header section, and what of the body is known behind it.
    fn head(&self, office: &mut Office, now: Now, start: &[u8]) -> Result<Vec<u8>, ComposeError> {
        let trace = Trace {
            our_name: &self.source.our_name,
            id: self.id,
            now: now.wall,
            submitter: self.source.bearer.submitter(self.envelope.smtputf8),
            recipient_for: self.only_recipient(),
        };
        let composed = match &self.source.author {
            None => compose::pass(start, &trace)?,
            Some(domain) => {
                let facts = Facts {
                    trace,
                    domain,
                    reverse_path: &self.envelope.reverse_path,
                    unique: office.random(),
                    drop_bcc: self.source.drop_bcc,
                    tolerant: self.source.tolerant,
                    full_name: self.source.full_name.as_deref(),
                };
                compose::compose(start, &facts)?
            }
        };
        log::info!("{}: message-id {} {}", self.id, composed.message_id, self.source.bearer);
        Ok(composed.head)
    }

    fn only_recipient(&self) -> Option<&Address> {
        match self.envelope.recipients.as_slice() {
            // The field shall not need SMTPUTF8 where the mail goes on without it (RFC 6531 §3.7.3).
            [only] if only.address.local.as_str().is_ascii() => Some(&only.address),
            _ => None,
        }
    }

    /// Moves a body that has become too large for memory into the spool.
    fn spill(&mut self, office: &mut Office) {
        let Stage::Body { head, body } = &mut self.stage else { return };
        if body.len() <= BODY_IN_MEMORY_BYTES_MAX {
            return;
        }
        let (head, body) = (std::mem::take(head), std::mem::take(body));
        match office.begin_draft(self.id, &self.shares) {
            Err(reply) => self.stage = Stage::Refused(reply),
            Ok(draft) => {
                self.stage = Stage::Draft { head, draft };
                self.extend(office, &body);
            }
        }
    }
}

impl Bearer {
    fn submitter(&self, utf8: bool) -> Submitter<'_> {
        match self {
            Bearer::Local { user } => Submitter::Local { user },
            Bearer::Smtp { ip, claimed, verified, extended, cipher, user } => Submitter::Smtp {
                claimed,
                verified: verified.as_ref(),
                ip: *ip,
                protocol: Protocol {
                    extended: *extended,
                    tls: cipher.as_deref(),
                    authenticated: user.is_some(),
                    utf8,
                },
            },
        }
    }
}

/// For logs, and kept with the message: `from bcd.com [203.0.113.70]`.
impl std::fmt::Display for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bearer::Local { user } => write!(f, "from user {user}"),
            Bearer::Smtp { ip, verified, user, .. } => {
                write!(f, "from ")?;
                verified.iter().try_for_each(|name| write!(f, "{name} "))?;
                write!(f, "[{ip}]")?;
                user.iter().try_for_each(|user| write!(f, " as {user}"))
            }
        }
    }
}

fn compose_refusal(error: ComposeError) -> Reply {
    let (code, status, text) = error.reply();
    Reply::new(code, Enhanced::parse(status), text)
}
