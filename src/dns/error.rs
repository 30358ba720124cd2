//! Why a name led nowhere, and what that means for mail (RFC 5321 §5.1, RFC 3463, RFC 7505 §4).
//! Danger: only a fact may be permanent; whatever is merely unknown has to be temporary, or mail bounces
//! because a nameserver slept.

use std::fmt;

/// Why there is no host to send to. The texts name the domain, ready for a log or a bounce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The name does not exist in DNS.
    NoSuchDomain(String),
    /// The domain says that it takes no mail (RFC 7505).
    NullMx(String),
    /// The name exists, but neither it nor its mail hosts have an address.
    NoAddress(String),
    /// The best mail host is this box itself, which does not host the domain (RFC 5321 §5.1).
    LoopsBack(String),
    /// Nobody could say; the text says who answered what.
    Temporary(String),
}

impl LookupError {
    /// Whether trying again is in vain.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, LookupError::Temporary(_))
    }

    /// The reply code that says the same (RFC 5321 §4.2.3; 556 is RFC 7504).
    pub fn code(&self) -> u16 {
        match self {
            LookupError::NoSuchDomain(_) | LookupError::NoAddress(_) => 550,
            LookupError::NullMx(_) => 556,
            LookupError::LoopsBack(_) => 554,
            LookupError::Temporary(_) => 451,
        }
    }

    /// The enhanced status code (RFC 3463 §3.2 and §3.5, RFC 7505 §4.2).
    pub fn status(&self) -> &'static str {
        match self {
            LookupError::NoSuchDomain(_) => "5.1.2",
            LookupError::NullMx(_) => "5.1.10",
            LookupError::NoAddress(_) => "5.4.4",
            LookupError::LoopsBack(_) => "5.4.6",
            LookupError::Temporary(_) => "4.4.3",
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookupError::NoSuchDomain(name) => write!(f, "there is no domain {name}"),
            LookupError::NullMx(name) => write!(f, "{name} accepts no mail (null MX)"),
            LookupError::NoAddress(name) => write!(f, "{name} has no mail host with an address"),
            LookupError::LoopsBack(name) => {
                write!(f, "mail for {name} loops back to this host, which does not host it")
            }
            LookupError::Temporary(why) => write!(f, "DNS lookup failed: {why}"),
        }
    }
}

impl std::error::Error for LookupError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unknown_is_temporary() {
        let name = || "xyz.com".to_owned();
        for (error, code, status) in [
            (LookupError::NoSuchDomain(name()), 550, "5.1.2"),
            (LookupError::NullMx(name()), 556, "5.1.10"),
            (LookupError::NoAddress(name()), 550, "5.4.4"),
            (LookupError::LoopsBack(name()), 554, "5.4.6"),
            (LookupError::Temporary(name()), 451, "4.4.3"),
        ] {
            assert_eq!((error.code(), error.status()), (code, status), "{error}");
            assert_eq!(error.is_permanent(), status.starts_with('5'), "{error}");
            assert!(error.to_string().contains("xyz.com"));
        }
    }
}
