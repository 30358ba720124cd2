//! A real mail server as the remote host: it keeps every message for its own name in one mailbox file.

use std::path::PathBuf;

use super::super::{Dialogue, Host, Message, PATIENCE, Running, split_mbox, until, until_true};

/// Which server, and so how it words its `Received:` fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sendmail,
    Postfix,
    /// Postfix, with Cyrus SASL and its mechanisms.
    PostfixWithUsers,
    Exim,
    OpenSmtpd,
}

impl Kind {
    /// Its name in `scripts/peers`, and what starts it.
    fn peer(self) -> (&'static str, &'static str) {
        match self {
            Kind::Sendmail => ("sendmail", include_str!("sendmail.sh")),
            Kind::Postfix => ("postfix", include_str!("postfix.sh")),
            Kind::PostfixWithUsers => ("cyrus", include_str!("postfix.sh")),
            Kind::Exim => ("exim", include_str!("exim.sh")),
            Kind::OpenSmtpd => ("opensmtpd", include_str!("opensmtpd.sh")),
        }
    }
}

/// A running mail server; stopped with its host.
pub struct Mta {
    kind: Kind,
    upper: PathBuf,
    /// Ends with this.
    _running: Running,
}

impl Mta {
    /// Debian's Sendmail 8.17 on `host`, as the mail host `name`; resolves through the name server `dns`.
    pub fn sendmail(host: &Host, name: &str, dns: &str) -> Mta {
        Mta::start(host, Kind::Sendmail, name, dns, &[])
    }

    pub fn postfix(host: &Host, name: &str, dns: &str) -> Mta {
        Mta::start(host, Kind::Postfix, name, dns, &[])
    }

    /// Postfix with further lines in its main.cf.
    pub fn postfix_with(host: &Host, name: &str, dns: &str, lines: &[&str]) -> Mta {
        Mta::start(host, Kind::Postfix, name, dns, lines)
    }

    /// Postfix whose users are those of the lines `user NAME PASSWORD`.
    pub fn postfix_with_users(host: &Host, name: &str, dns: &str, lines: &[&str]) -> Mta {
        Mta::start(host, Kind::PostfixWithUsers, name, dns, lines)
    }

    /// Exim with further lines in its configuration.
    pub fn exim_with(host: &Host, name: &str, dns: &str, lines: &[&str]) -> Mta {
        Mta::start(host, Kind::Exim, name, dns, lines)
    }

    pub fn exim(host: &Host, name: &str, dns: &str) -> Mta {
        Mta::start(host, Kind::Exim, name, dns, &[])
    }

    /// A server of this kind that offers STARTTLS with a certificate of its own making.
    pub fn with_tls(host: &Host, kind: Kind, name: &str, dns: &str) -> Mta {
        let lab = super::lab_dir(host, kind.peer().0);
        std::fs::create_dir_all(&lab).unwrap();
        let path = |file: &str| lab.join(file).to_str().unwrap().to_owned();
        let subject = format!("/CN={name}");
        let made = host
            .command("openssl", &["req", "-x509", "-newkey", "ec", "-nodes", "-days", "9"])
            .args([
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-subj",
                &subject,
                "-keyout",
                &path("host.key"),
                "-out",
                &path("host.pem"),
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let of_postfix = [
            "smtpd_tls_cert_file=/lab/host.pem",
            "smtpd_tls_key_file=/lab/host.key",
            "smtpd_tls_security_level=may",
            "smtp_tls_security_level=may",
        ];
        Mta::start(host, kind, name, dns, if kind == Kind::Postfix { &of_postfix } else { &[] })
    }

    pub fn start(host: &Host, kind: Kind, name: &str, dns: &str, more: &[&str]) -> Mta {
        let (peer, script) = kind.peer();
        let upper = super::written(host, peer);
        std::fs::create_dir_all(upper.join("etc")).unwrap();
        std::fs::write(upper.join("etc/resolv.conf"), format!("nameserver {dns}\n")).unwrap();
        std::fs::write(upper.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n").unwrap();
        std::fs::write(upper.join("etc/hostname"), format!("{name}\n")).unwrap();
        let mut args = vec![name];
        args.extend(more);
        let mut running = super::start(host, peer, "start.sh", script, &args);
        until(&format!("{kind:?} listens"), PATIENCE, || {
            if let Some(code) = running.ended() {
                panic!("{kind:?} ended with {code:?}:\n{}", running.printed());
            }
            host.within(|| std::net::TcpStream::connect("127.0.0.1:25").is_ok()).then_some(())
        });
        Mta { kind, upper, _running: running }
    }

    /// What has arrived, in the order of arrival.
    pub fn messages(&self) -> Vec<Message> {
        let mbox = std::fs::read(self.upper.join("var/mail/inbox")).unwrap_or_default();
        split_mbox(&String::from_utf8_lossy(&mbox))
    }

    /// Waits for a message with this subject.
    #[track_caller]
    pub fn message(&self, subject: &str) -> Message {
        let arrived = || self.messages().into_iter().find(|m| m.fields("Subject") == [subject]);
        until(&format!("{subject:?} arrives at {:?}", self.kind), PATIENCE, arrived)
    }

    /// Waits until `count` messages are there.
    #[track_caller]
    pub fn await_count(&self, count: usize) -> Vec<Message> {
        until_true(&format!("{count} messages arrive at {:?}", self.kind), || self.messages().len() >= count);
        self.messages()
    }

    /// Sendmail's record of every SMTP line it heard and said.
    pub fn traffic(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.upper.join("lab/traffic")).unwrap_or_default())
            .into_owned()
    }

    /// Postfix's own log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.upper.join("lab/maillog")).unwrap_or_default())
            .into_owned()
    }

    /// How this server records a client that calls itself `ehlo` and whose address has the name `known`.
    pub fn clause_from(&self, ehlo: &str, known: &str, ip: &str) -> String {
        match self.kind {
            Kind::Sendmail | Kind::Postfix | Kind::PostfixWithUsers | Kind::OpenSmtpd => {
                format!("from {ehlo} ({known} [{ip}])")
            }
            Kind::Exim if ehlo == known => format!("from {ehlo} ([{ip}]"),
            Kind::Exim => format!("from {known} ([{ip}] helo={ehlo})"),
        }
    }
}

/// Hands `text` over to the server at `to`, as an ordinary client on `from` that calls itself `ehlo`.
#[track_caller]
pub fn ordinary_client(
    from: &Host,
    to: &str,
    ehlo: &str,
    sender: &str,
    recipient: &str,
    text: &str,
) -> String {
    let mut dialogue = Dialogue::connect(from, to);
    dialogue.expect("220");
    let hello = dialogue.ask(&format!("EHLO {ehlo}"), "250");
    let reply = dialogue.hand_over(sender, &[recipient], text);
    assert!(reply.starts_with("250"), "{reply}");
    dialogue.quit();
    hello
}
