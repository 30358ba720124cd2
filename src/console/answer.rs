//! How `send` and `sendmail -v` tell what became of each recipient, in the manner of Figures 1D and 3A:
//! `x1@xyz.com... Sent (GAA20115 Message accepted for delivery)`. The exchange itself is printed by
//! `smtp::client`; danger: a remote reply may hold escape sequences, which are taken out here.

use crate::console::layout::clean;
use crate::mail::Address;

/// What became of one recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A host took it; its reply without the code.
    Sent(String),
    /// It will be tried again; why.
    Deferred(String),
    /// It never will be; why.
    Refused(String),
    /// It lies in a mailbox of this box.
    Kept,
}

impl Fate {
    /// The line that ends the exchange for this recipient, without its line end.
    pub fn line(&self, recipient: &Address) -> String {
        let end = match self {
            Fate::Sent(reply) => format!("Sent ({})", clean(reply)),
            Fate::Deferred(why) => format!("Deferred: {}", clean(why)),
            Fate::Refused(why) => format!("Refused: {}", clean(why)),
            Fate::Kept => "Sent (kept here)".to_owned(),
        };
        format!("{}... {end}", clean(&recipient.to_string()))
    }
}

/// The line before QUIT, without its line end.
pub fn closing(host: &str) -> String {
    format!("Closing connection to {}", clean(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_figures() {
        let x1 = Address::parse("x1@xyz.com").unwrap();
        let reply = "GAA20115 Message accepted for delivery".to_owned();
        for (fate, line) in [
            (Fate::Sent(reply), "x1@xyz.com... Sent (GAA20115 Message accepted for delivery)"),
            (Fate::Deferred("450 busy\x07".to_owned()), "x1@xyz.com... Deferred: 450 busy?"),
            (Fate::Refused("550 no such user".to_owned()), "x1@xyz.com... Refused: 550 no such user"),
            (Fate::Kept, "x1@xyz.com... Sent (kept here)"),
        ] {
            assert_eq!(fate.line(&x1), line);
        }
        assert_eq!(closing("xyz.com"), "Closing connection to xyz.com");
    }
}
