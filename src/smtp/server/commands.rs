//! What each command does to a session (RFC 5321 §4.1.1, order §4.1.4; pipelining RFC 2920).
//! A command that fails changes nothing but the count of errors; past its bound the session ends with 421.

use super::*;
use crate::limits::{LOGGED_COMMAND_BYTES_MAX, SESSION_ERRORS_MAX, SESSION_REFUSED_RECIPIENTS_MAX};
use crate::smtp::command::{self, Command, ForwardPath, RcptParameters};

/// The extensions of EHLO that are always offered and have no parameter.
const EXTENSIONS: &str = "PIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nDSN\nCHUNKING";
const HELP: &str = "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nMAIL FROM:<address> SIZE= BODY= RET= \
                    ENVID=\nRCPT TO:<address> NOTIFY= ORCPT=";

/// The first byte of a TLS client hello; no command begins with it.
const TLS_HANDSHAKE: u8 = 0x16;
const NO_SYNTAX: Enhanced = Enhanced(5, 5, 2);
const WRONG_ORDER: Enhanced = Enhanced(5, 5, 1);

impl Session {
    /// Takes one line from `input`, if its end is there, and replies to it.
    pub(super) fn line_arrives(&mut self, now: Instant, desk: &impl Desk, input: &mut &[u8]) {
        if self.lines.is_empty() && self.client.claimed.is_none() && input.first() == Some(&TLS_HANDSHAKE) {
            self.actions.push_back(Action::SpeaksTls);
            return self.leave();
        }
        // Taken out while the line borrows from it.
        let mut lines = std::mem::take(&mut self.lines);
        let next = match self.settings.tolerant {
            true => lines.next_mended(input),
            false => lines.next(input),
        };
        if let Some(line) = next {
            let mended =
                line.ok().filter(|_| self.settings.tolerant).map(|l| command::mend(l, self.client.ip));
            let command = match line {
                Ok(line) => command::parse(mended.as_deref().unwrap_or(line)),
                Err(fault) => Err(Reply::new(500, NO_SYNTAX, format!("Refused: {fault}"))),
            };
            match command.and_then(|command| self.obey(now, desk, command)) {
                Ok(Some(reply)) => self.reply(now, reply),
                Ok(None) => {}
                Err(reply) => self.refuse(now, without_secret(line.unwrap_or_default()), reply),
            }
        }
        self.lines = lines;
    }

    /// Replies to a command that failed. Errors of protocol and refused recipients are bounded each.
    pub(super) fn refuse(&mut self, now: Instant, line: &[u8], reply: Reply) {
        if reply.is_permanent() {
            self.note_refusal(line, &reply);
        }
        match reply.code() {
            500..=504 | 555 => self.errors += 1,
            550..=554 => self.refused_recipients += 1,
            _ => {}
        }
        let many =
            self.errors >= SESSION_ERRORS_MAX || self.refused_recipients >= SESSION_REFUSED_RECIPIENTS_MAX;
        match many {
            true => self.end(now, Reply::new(421, Enhanced(4, 7, 0), "Too many errors; good bye")),
            false => self.reply(now, reply),
        }
    }

    /// Ends a session in which no command can be believed any more.
    fn send_away(&mut self, now: Instant, line: &[u8], reply: Reply) {
        self.note_refusal(line, &reply);
        self.end(now, reply);
    }

    pub(super) fn note_refusal(&mut self, line: &[u8], reply: &Reply) {
        let shown = &line[..line.len().min(LOGGED_COMMAND_BYTES_MAX)];
        self.actions
            .push_back(Action::Refused { line: shown.escape_ascii().to_string(), reply: reply.clone() });
    }

    /// Does what the command says and returns its reply; `None` when that was or will be queued elsewhere.
    fn obey(&mut self, now: Instant, desk: &impl Desk, command: Command) -> Result<Option<Reply>, Reply> {
        let reply = match command {
            Command::Ehlo(claimed) => return Ok(self.hello(now, claimed, true)),
            Command::Helo(claimed) => return Ok(self.hello(now, claimed, false)),
            Command::Mail(path, parameters) => self.mail(desk, path, parameters)?,
            Command::Rcpt(path, parameters) => self.rcpt(desk, path, parameters)?,
            Command::Data => self.data(now)?,
            Command::Bdat { bytes: Some(bytes), last } => {
                self.bdat(now, bytes, last);
                return Ok(None);
            }
            Command::Bdat { bytes: None, .. } => {
                let text = "Write BDAT bytes, or BDAT bytes LAST; good bye";
                self.send_away(now, b"BDAT", Reply::new(501, Enhanced(5, 5, 4), text));
                return Ok(None);
            }
            Command::Http => {
                self.send_away(
                    now,
                    b"HTTP",
                    Reply::new(421, Enhanced(4, 7, 0), "Only SMTP is spoken here; good bye"),
                );
                return Ok(None);
            }
            Command::Auth(mechanism, initial) => {
                return self.auth(now, desk, mechanism, initial).map(|()| None);
            }
            Command::StartTls => return self.start_tls(now).map(|()| None),
            Command::Rset => {
                self.drop_transaction();
                Reply::new(250, Enhanced(2, 0, 0), "Reset")
            }
            Command::Noop => Reply::new(250, Enhanced(2, 0, 0), "Ok"),
            Command::Vrfy(text) => desk.vrfy(&self.client, text),
            Command::Help(_) => Reply::new(214, Enhanced(2, 0, 0), HELP),
            Command::Quit => {
                let text = format!("{} closing connection", self.settings.name);
                self.end(now, Reply::new(221, Enhanced(2, 0, 0), text));
                return Ok(None);
            }
        };
        Ok(Some(reply))
    }

    fn hello(&mut self, now: Instant, claimed: Claimed, extended: bool) -> Option<Reply> {
        self.drop_transaction();
        self.client.claimed = Some(claimed);
        self.client.extended = extended;
        if self.naming {
            self.state = State::Naming;
            self.deadline = now + Duration::from_secs(PEER_NAME_WAIT_S);
        } else {
            self.greet(now);
        }
        None
    }

    /// Replies to HELO or EHLO, now that all that can be known of the peer's name is known.
    pub(super) fn greet(&mut self, now: Instant) {
        let Some(claimed) = &self.client.claimed else { return };
        let mut text = format!("{} Hello {claimed}", self.settings.name);
        if let Some(verified) = self.client.contradicting_name() {
            text += &format!(" ({verified})");
            let (claimed, verified) = (claimed.to_string(), verified.clone());
            self.actions.push_back(Action::ClaimDiffers { claimed, verified });
        }
        if self.client.extended {
            text += &self.offer();
        }
        self.reply(now, Reply::new(250, None, text));
    }

    /// The lines of EHLO after the first, each with a line break before it.
    fn offer(&self) -> String {
        let Settings { message_bytes_max, recipients_max, smtputf8, starttls, .. } = self.settings;
        let under_tls = self.client.tls.is_some();
        let mut offer = format!("\nSIZE {message_bytes_max}\n{EXTENSIONS}\nLIMITS RCPTMAX={recipients_max}");
        for (keyword, offered) in
            [("SMTPUTF8", smtputf8), ("STARTTLS", starttls && !under_tls), ("REQUIRETLS", under_tls)]
        {
            if offered {
                offer.push('\n');
                offer.push_str(keyword);
            }
        }
        let mechanisms = self.mechanisms();
        if !mechanisms.is_empty() {
            offer.push_str("\nAUTH");
            mechanisms.iter().for_each(|mechanism| offer += &format!(" {mechanism}"));
        }
        offer + "\nHELP"
    }

    fn mail(
        &mut self,
        desk: &impl Desk,
        path: ReversePath,
        parameters: MailParameters,
    ) -> Result<Reply, Reply> {
        if self.client.claimed.is_none() {
            return Err(Reply::new(503, WRONG_ORDER, "Say EHLO or HELO first"));
        }
        if !matches!(self.state, State::Idle) {
            return Err(Reply::new(503, WRONG_ORDER, "A transaction is open already"));
        }
        if parameters.smtputf8 && !self.settings.smtputf8 {
            return Err(Reply::new(555, Enhanced(5, 5, 4), "SMTPUTF8 is not offered"));
        }
        if parameters.require_tls && self.client.tls.is_none() {
            return Err(Reply::new(555, Enhanced(5, 5, 4), "REQUIRETLS is offered under TLS only"));
        }
        if parameters.auth && self.settings.auth.is_none() {
            return Err(Reply::new(555, Enhanced(5, 5, 4), "AUTH is not offered"));
        }
        let bytes_max = self.settings.message_bytes_max;
        if parameters.size.is_some_and(|size| size > bytes_max) {
            let text = format!("At most {bytes_max} bytes are taken");
            return Err(Reply::new(552, Enhanced(5, 3, 4), text));
        }
        desk.mail(&self.client, &path, &parameters)?;
        self.chunks_skipped = false;
        self.state = State::Mail(Envelope {
            reverse_path: path,
            recipients: Vec::new(),
            body: parameters.body,
            smtputf8: parameters.smtputf8,
            ret: parameters.ret,
            envid: parameters.envid,
            require_tls: parameters.require_tls,
        });
        Ok(Reply::new(250, Enhanced(2, 1, 0), "Sender ok"))
    }

    fn rcpt(
        &mut self,
        desk: &impl Desk,
        path: ForwardPath,
        parameters: RcptParameters,
    ) -> Result<Reply, Reply> {
        let State::Mail(envelope) = &mut self.state else {
            return Err(Reply::new(503, WRONG_ORDER, "MAIL comes before RCPT"));
        };
        if envelope.recipients.len() >= self.settings.recipients_max {
            return Err(Reply::new(452, Enhanced(4, 5, 3), "Too many recipients; send them later"));
        }
        let address = match path {
            ForwardPath::Address(address) => address,
            ForwardPath::Postmaster(user) => desk.complete(user),
        };
        if (parameters.utf8 || !address.local.as_str().is_ascii()) && !envelope.smtputf8 {
            let text = "An address beyond ASCII needs SMTPUTF8";
            return Err(Reply::new(553, Enhanced(5, 6, 7), text));
        }
        let recipient = Recipient { address, notify: parameters.notify, orcpt: parameters.orcpt };
        desk.rcpt(&self.client, envelope, &recipient)?;
        // Who is named twice gets one copy.
        if envelope.recipients.iter().all(|known| known.address != recipient.address) {
            envelope.recipients.push(recipient);
        }
        Ok(Reply::new(250, Enhanced(2, 1, 5), "Recipient ok"))
    }
}

/// What of a line may be logged: of AUTH only the verb, for a password may stand behind it.
fn without_secret(line: &[u8]) -> &[u8] {
    let is_auth = line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
    if is_auth { &line[..4] } else { line }
}
