//! The envelope of RFC 5321 §2.3.1: what SMTP says about a message outside of the message, with the
//! parameters of RFC 3461 (delivery status), RFC 6152 (8-bit), RFC 6531 (UTF-8) and RFC 8689 (TLS).

use crate::mail::{Address, ReversePath};

/// One transaction's envelope. Recipients are in the order in which they were accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub reverse_path: ReversePath,
    pub recipients: Vec<Recipient>,
    pub body: Body,
    /// The message or its envelope needs SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// How much of the message a failure report returns (RFC 3461 §4.3); `None`: the reporter chooses.
    pub ret: Option<Ret>,
    /// The sender's own name for this transaction, still in `xtext` (RFC 3461 §4.4), at most 100 bytes.
    pub envid: Option<String>,
    /// Every hop needs TLS with a verified name, or the message bounces (RFC 8689 §2).
    pub require_tls: bool,
}

/// A forward-path and what the sender wants to hear of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub address: Address,
    /// RFC 3461 §4.1; `None`: not said, which means failures and delays.
    pub notify: Option<Notify>,
    /// `rfc822;` and the first address of this recipient, still in `xtext` (RFC 3461 §4.2), at most 500 bytes.
    pub orcpt: Option<String>,
}

/// What the sender declared of the content (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    #[default]
    SevenBit,
    EightBitMime,
}

/// `RET=` of RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    Full,
    Headers,
}

/// `NOTIFY=` of RFC 3461 §4.1; all false is `NEVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    pub success: bool,
    pub failure: bool,
    pub delay: bool,
}

impl Notify {
    pub const NEVER: Notify = Notify { success: false, failure: false, delay: false };
}

impl Envelope {
    /// An envelope without any extension's parameters.
    pub fn plain(reverse_path: ReversePath, recipients: impl IntoIterator<Item = Address>) -> Self {
        Envelope {
            reverse_path,
            recipients: recipients.into_iter().map(Recipient::plain).collect(),
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            require_tls: false,
        }
    }
}

impl Envelope {
    /// Whether an address in it can only be written with SMTPUTF8.
    pub fn goes_beyond_ascii(&self) -> bool {
        let sender = self.reverse_path.address().into_iter();
        let mut all = sender.chain(self.recipients.iter().map(|r| &r.address));
        all.any(|address| !address.local.as_str().is_ascii())
    }
}

impl Recipient {
    /// A recipient without parameters.
    pub fn plain(address: Address) -> Self {
        Recipient { address, notify: None, orcpt: None }
    }
}
