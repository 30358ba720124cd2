//! The table of console commands: how each is written, what it is for, and the [`Command`] it makes. Parsing,
//! `help`, TAB and `?` all read it; words may be shortened to what tells them apart. Danger: a shortened word
//! must never choose a command that the user did not mean, so anything doubtful is refused.

use crate::config::argument::Argument;
use crate::config::candidate::CONFIRM_MINUTES_USUAL;
use crate::config::grammar::{self, Spelling, shown};
use crate::config::{Destination, HostPort, words};
use crate::console::machine::Order;
use crate::console::mailbox;
use crate::dns::Question;
use crate::limits::{CONFIRM_MINUTES_MAX, LOG_RING_LINES_MAX, MAILBOX_LISTED_MAX};
use crate::mail::{Address, Domain, LocalPart, QueueId};
use crate::relay::{QueueAction, Target};
use crate::time::WallTime;

/// One row of the table.
pub struct Row {
    /// As `config::grammar` reads it.
    pub form: &'static str,
    /// One line for `help` and `?`.
    pub help: &'static str,
    /// A line that parses.
    pub example: &'static str,
    make: fn(&[String]) -> Result<Command, String>,
}

/// A command, with its arguments read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `help WORDS`: what begins with these words.
    Help(Vec<String>),
    ShowStatus,
    ShowDomains,
    ShowQueue(Option<Domain>),
    ShowMessage(QueueId),
    /// The newest lines of the ring, this many.
    ShowLog(usize),
    ShowMemory,
    ShowDkim(Domain),
    ShowCertificates,
    ShowFlash,
    ShowConfig,
    /// The configuration with its passwords, keys and certificates.
    ExportSecrets,
    ShowCrash,
    ClearCrash,
    /// The dialogue with a new box.
    Setup,
    /// A new password for the serial console.
    Password,
    /// Everything back to the state of a new box; `sure`: without asking.
    FactoryReset {
        sure: bool,
    },
    Queue(QueueAction, Target),
    /// The text follows, line by line, until a line with a dot.
    Send {
        from: Address,
        to: Vec<Address>,
        subject: Option<String>,
    },
    /// What changes the configuration, or shows it.
    Edit(Edit),
    /// What is about the machine itself.
    Machine(Order),
    /// What lies in the mailboxes here.
    Mailbox(mailbox::Order),
    /// Asks DNS.
    Resolve(Question),
    /// An SMTP conversation up to QUIT, from a domain's address; the first domain's where none is named.
    Connect {
        host: HostPort,
        sender: Option<Domain>,
    },
    /// ICMP echoes, from a domain's address or the box's own.
    Ping {
        host: Destination,
        sender: Option<Domain>,
    },
    /// Live counters until a key is hit.
    Watch,
    /// The end of an interactive console.
    Exit,
}

/// A command about the configuration and its candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A statement, word by word.
    Set(Vec<String>),
    /// The first words of statements.
    Delete(Vec<String>),
    ShowChanges,
    ShowHistory,
    Check,
    /// For good, or on trial for so many minutes.
    Commit(Option<u64>),
    Confirm,
    Rollback(usize),
    /// The statements follow, line by line, until a line with a dot.
    Import,
    /// A domain's certificate with its key follows, as PEM, until a line with a dot.
    ImportCertificate(Domain),
    /// Certificates of authorities follow in the same way.
    ImportAuthority,
}

/// A command as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub command: Command,
    /// `--json`: the answer is JSON.
    pub json: bool,
}

/// The table, in the order of `help`.
pub static COMMANDS: &[Row] = &[
    Row {
        form: "help [WORDS...]",
        help: "the commands, or what begins with these words",
        example: "help show",
        make: |words| Ok(Command::Help(words[1..].to_vec())),
    },
    Row {
        form: "show status",
        help: "the box in one screen: name, uptime, domains, queue, alarms",
        example: "show status",
        make: |_| Ok(Command::ShowStatus),
    },
    Row {
        form: "show domains",
        help: "each domain's address, EHLO name, queue and last reply",
        example: "show domains",
        make: |_| Ok(Command::ShowDomains),
    },
    Row {
        form: "show queue [DOMAIN]",
        help: "the mail that waits, and why",
        example: "show queue bcd.com",
        make: |words| words.get(2).map(|name| Domain::read(name)).transpose().map(Command::ShowQueue),
    },
    Row {
        form: "show message ID",
        help: "one message: envelope, recipients, last reply, next attempt",
        example: "show message 0000000001",
        make: |words| queue_id(&words[2]).map(Command::ShowMessage),
    },
    Row {
        form: "show mailboxes",
        help: "the mailboxes of this box, and how full they are",
        example: "show mailboxes",
        make: |_| Ok(Command::Mailbox(mailbox::Order::ShowAll)),
    },
    Row {
        form: "show mailbox MAILBOX [COUNT]",
        help: "the newest mail in it: number, time, size, sender, subject",
        example: "show mailbox postmaster@bcd.com 50",
        make: |words| {
            let count = words.get(3).map_or(Ok(LOG_LINES_USUAL), |n| counted(n, MAILBOX_LISTED_MAX))?;
            Ok(Command::Mailbox(mailbox::Order::Show(Address::read(&words[2])?, count)))
        },
    },
    Row {
        form: "mailbox read MAILBOX LETTER [PAGE]",
        help: "one message that lies there, page by page",
        example: "mailbox read postmaster@bcd.com 3 2",
        make: |words| {
            let (mailbox, number) = (Address::read(&words[2])?, letter(&words[3])?);
            let page = words.get(4).map_or(Ok(1), |n| counted(n, MAILBOX_PAGES_MAX))?;
            Ok(Command::Mailbox(mailbox::Order::Read { mailbox, number, page }))
        },
    },
    Row {
        form: "mailbox delete MAILBOX LETTER|all",
        help: "take out one message, or all of them",
        example: "mailbox delete postmaster@bcd.com 3",
        make: |words| {
            let one = (words[3] != "all").then(|| letter(&words[3])).transpose()?;
            Ok(Command::Mailbox(mailbox::Order::Delete(Address::read(&words[2])?, one)))
        },
    },
    Row {
        form: "show log [N]",
        help: "the newest lines of the log",
        example: "show log 50",
        make: |words| words.get(2).map_or(Ok(LOG_LINES_USUAL), |n| lines(n)).map(Command::ShowLog),
    },
    Row {
        form: "show memory",
        help: "every bound, what is in use, and the sum",
        example: "show memory",
        make: |_| Ok(Command::ShowMemory),
    },
    Row {
        form: "show flash",
        help: "what each spool wrote, and how long the medium lasts",
        example: "show flash",
        make: |_| Ok(Command::ShowFlash),
    },
    Row {
        form: "show config",
        help: "the configuration that runs, as text",
        example: "show config",
        make: |_| Ok(Command::ShowConfig),
    },
    Row {
        form: "show dkim DOMAIN",
        help: "the DNS records of the keys that sign a domain's mail, to be pasted",
        example: "show dkim bcd.com",
        make: |words| Domain::read(&words[2]).map(Command::ShowDkim),
    },
    Row {
        form: "show certificates",
        help: "what each domain shows under TLS, and the authorities that you trust: whose, until when",
        example: "show certificates",
        make: |_| Ok(Command::ShowCertificates),
    },
    Row {
        form: "show changes",
        help: "what commit would take out and put in",
        example: "show changes",
        make: |_| Ok(Command::Edit(Edit::ShowChanges)),
    },
    Row {
        form: "show history",
        help: "the former configurations that rollback knows",
        example: "show history",
        make: |_| Ok(Command::Edit(Edit::ShowHistory)),
    },
    Row {
        form: "queue retry ID|DOMAIN|all",
        help: "try this mail now",
        example: "queue retry bcd.com",
        make: |words| target(&words[2]).map(|target| Command::Queue(QueueAction::Retry, target)),
    },
    Row {
        form: "queue delete ID|DOMAIN|all",
        help: "drop this mail without a bounce",
        example: "queue delete 0000000001",
        make: |words| target(&words[2]).map(|target| Command::Queue(QueueAction::Delete, target)),
    },
    Row {
        form: "queue hold ID|DOMAIN|all",
        help: "keep this mail back until it is released; of a domain, what comes later too",
        example: "queue hold all",
        make: |words| target(&words[2]).map(|target| Command::Queue(QueueAction::Hold, target)),
    },
    Row {
        form: "queue release ID|DOMAIN|all",
        help: "let held mail go",
        example: "queue release all",
        make: |words| target(&words[2]).map(|target| Command::Queue(QueueAction::Release, target)),
    },
    Row {
        form: "send FROM TO [SUBJECT...]",
        help: "send a message; its text runs until a line with a dot",
        example: "send b1@bcd.com x1@xyz.com,b2 Test Message 2",
        make: send,
    },
    Row {
        form: "resolve NAME [TYPE]",
        help: "what DNS says of a name: A, AAAA, MX, TXT, CNAME; of an address, its names",
        example: "resolve xyz.com MX",
        make: |words| {
            let question = Question::parse(&words[1], words.get(2).map(String::as_str));
            question.map(Command::Resolve).map_err(str::to_owned)
        },
    },
    Row {
        form: "connect HOST [DOMAIN]",
        help: "an SMTP conversation up to QUIT, from that domain's address",
        example: "connect mail.xyz.com bcd.com",
        make: |words| {
            let sender = words.get(2).map(|name| Domain::read(name)).transpose()?;
            Ok(Command::Connect { host: HostPort::read(&words[1])?, sender })
        },
    },
    Row {
        form: "ping PEER [DOMAIN]",
        help: "echoes of a host, from that domain's address; any key ends",
        example: "ping 192.0.2.254 bcd.com",
        make: |words| {
            let sender = words.get(2).map(|name| Domain::read(name)).transpose()?;
            Ok(Command::Ping { host: Destination::read(&words[1])?, sender })
        },
    },
    Row {
        form: "watch",
        help: "the counters as they run; any key ends",
        example: "watch",
        make: |_| Ok(Command::Watch),
    },
    Row {
        form: "set STATEMENT...",
        help: "put a statement into the candidate; help config lists them",
        example: "set box name abc.com",
        make: |words| statement(&words[1..]).map(|words| Command::Edit(Edit::Set(words))),
    },
    Row {
        form: "delete STATEMENT...",
        help: "take out every statement that begins with these words",
        example: "delete domain bcd.com mailbox b2",
        make: |words| statement(&words[1..]).map(|words| Command::Edit(Edit::Delete(words))),
    },
    Row {
        form: "check",
        help: "what is wrong with the candidate",
        example: "check",
        make: |_| Ok(Command::Edit(Edit::Check)),
    },
    Row {
        form: "commit",
        help: "make the candidate run, and save it",
        example: "commit",
        make: |_| Ok(Command::Edit(Edit::Commit(None))),
    },
    Row {
        form: "commit confirm [MINUTES]",
        help: "make it run on trial: without confirm in time the old one returns",
        example: "commit confirm 5",
        make: |words| {
            words
                .get(2)
                .map_or(Ok(CONFIRM_MINUTES_USUAL), |n| minutes(n))
                .map(|n| Command::Edit(Edit::Commit(Some(n))))
        },
    },
    Row {
        form: "confirm",
        help: "keep and save what runs on trial",
        example: "confirm",
        make: |_| Ok(Command::Edit(Edit::Confirm)),
    },
    Row {
        form: "rollback NUMBER",
        help: "make a former configuration the candidate; 0 drops the candidate",
        example: "rollback 1",
        make: |words| former(&words[1]).map(|n| Command::Edit(Edit::Rollback(n))),
    },
    Row {
        form: "export [secrets]",
        help: "the configuration that runs, as text for import; passwords and keys only with secrets",
        example: "export secrets",
        make: |words| Ok(if words.len() > 1 { Command::ExportSecrets } else { Command::ShowConfig }),
    },
    Row {
        form: "import",
        help: "make pasted statements the candidate; they run until a line with a dot",
        example: "import",
        make: |_| Ok(Command::Edit(Edit::Import)),
    },
    Row {
        form: "import certificate DOMAIN",
        help: "take a pasted certificate and its key for a domain's TLS; they run until a line with a dot",
        example: "import certificate bcd.com",
        make: |words| Domain::read(&words[2]).map(|name| Command::Edit(Edit::ImportCertificate(name))),
    },
    Row {
        form: "import authority",
        help: "take pasted certificates of authorities that may vouch for other hosts",
        example: "import authority",
        make: |_| Ok(Command::Edit(Edit::ImportAuthority)),
    },
    Row {
        form: "setup",
        help: "a few questions that make a new box a mail relay; ^C leaves them, setup goes on",
        example: "setup",
        make: |_| Ok(Command::Setup),
    },
    Row {
        form: "password",
        help: "choose another password for the serial console",
        example: "password",
        make: |_| Ok(Command::Password),
    },
    Row {
        form: "factory-reset [yes]",
        help: "erase the configuration, the password and all mail, after asking",
        example: "factory-reset yes",
        make: |words| Ok(Command::FactoryReset { sure: words.len() > 1 }),
    },
    Row {
        form: "show interface",
        help: "the NIC, and whether each address can be used",
        example: "show interface",
        make: |_| Ok(Command::Machine(Order::ShowInterface)),
    },
    Row {
        form: "show clock",
        help: "the time, whether it is right, and what each time server says",
        example: "show clock",
        make: |_| Ok(Command::Machine(Order::ShowClock)),
    },
    Row {
        form: "clock TIME",
        help: "set the clock by hand, where no time server can be reached",
        example: "clock 2026-11-27T13:00:00Z",
        make: |words| {
            let time = WallTime::parse_rfc3339(&words[1]).ok_or_else(|| {
                format!("`{}` is no time; write it as in 2026-11-27T13:00:00Z", shown(&words[1]))
            })?;
            Ok(Command::Machine(Order::SetClock(time)))
        },
    },
    Row {
        form: "show slots",
        help: "the firmware slots: which runs, which is good, which is on trial",
        example: "show slots",
        make: |_| Ok(Command::Machine(Order::ShowSlots)),
    },
    Row {
        form: "update SOURCE",
        help: "write a signed firmware update to the other slot while mail flows",
        example: "update http://192.0.2.9/pc.update",
        make: |words| Ok(Command::Machine(Order::Update(words[1].clone()))),
    },
    Row {
        form: "show crash",
        help: "what the box said when it last crashed, and the log before it",
        example: "show crash",
        make: |_| Ok(Command::ShowCrash),
    },
    Row {
        form: "clear crash",
        help: "forget the last crash",
        example: "clear crash",
        make: |_| Ok(Command::ClearCrash),
    },
    Row {
        form: "reboot",
        help: "finish what is being answered, then start the box anew",
        example: "reboot",
        make: |_| Ok(Command::Machine(Order::Reboot)),
    },
    Row {
        form: "poweroff",
        help: "finish what is being answered, then switch the box off",
        example: "poweroff",
        make: |_| Ok(Command::Machine(Order::PowerOff)),
    },
    Row {
        form: "exit",
        help: "end this console; ^D does it too",
        example: "exit",
        make: |_| Ok(Command::Exit),
    },
];

/// What `show log` and `show mailbox` show when no number is given.
const LOG_LINES_USUAL: usize = 20;
const _: () = assert!(LOG_LINES_USUAL <= LOG_RING_LINES_MAX && LOG_LINES_USUAL <= MAILBOX_LISTED_MAX);
/// More than any message has.
const MAILBOX_PAGES_MAX: usize = 1_000_000;

/// The arguments of commands, with what `?` says of each.
pub const ARGUMENTS: &[(&str, &str)] = &[
    ("WORDS", "the first words of a command or statement"),
    ("DOMAIN", "a virtual domain, as in bcd.com"),
    ("ID", "a message, by its ten digits in show queue"),
    ("MAILBOX", "a mailbox here, as in postmaster@bcd.com"),
    ("LETTER", "a message that lies there, by its number in show mailbox"),
    ("COUNT", "how many, the newest"),
    ("PAGE", "a page of its text"),
    ("N", "a number of lines"),
    ("FROM", "the sender, as in b1@bcd.com"),
    ("TO", "the recipients, with commas and no blanks: x1@xyz.com,b2"),
    ("NAME", "a name in DNS, or an address"),
    ("TYPE", "A, AAAA, MX, TXT, PTR or CNAME"),
    ("HOST", "a host, as in mail.xyz.com, 192.0.2.25 or mail.xyz.com:26"),
    ("PEER", "a host, as in mail.xyz.com or 192.0.2.254"),
    ("STATEMENT", "a statement of the configuration, as in domain bcd.com mailbox b2"),
    ("TIME", "date and time in UTC, as in 2026-11-27T13:00:00Z"),
    ("MINUTES", "minutes of a trial"),
    ("NUMBER", "a former configuration, by its number in show history"),
    ("SOURCE", "a file on a USB stick, a whole path on this box, an http:// URL, or serial: pasted base64"),
    ("SUBJECT", "the subject, to the end of the line"),
];

/// The forms of the table, for `config::grammar`.
pub fn forms() -> Vec<&'static str> {
    COMMANDS.iter().map(|row| row.form).collect()
}

/// Parses a line of the console; `None` when it is empty.
pub fn parse_line(line: &str) -> Result<Option<Asked>, String> {
    let words = words::split(line)?;
    if words.is_empty() { Ok(None) } else { parse_words(&words).map(Some) }
}

/// Parses words as a shell gives them. One single word may be a whole line.
pub fn parse(words: &[&str]) -> Result<Asked, String> {
    match words {
        [line] if line.contains(words::is_blank) => parse_words(&words::split(line)?),
        _ => parse_words(words),
    }
}

fn parse_words(words: &[&str]) -> Result<Asked, String> {
    if let Some(word) = words.iter().find(|word| word.contains(char::is_control)) {
        let shown = shown(&word.escape_default().to_string());
        return Err(format!("`{shown}` holds a control character; write plain text"));
    }
    let json = words.contains(&"--json");
    let words: Vec<&str> = words.iter().copied().filter(|word| *word != "--json").collect();
    if let Some(option) = words.first().filter(|word| word.starts_with("--")) {
        return Err(format!("`{}` is no option; the only one is --json", shown(option)));
    }
    let found = grammar::find(&forms(), &words, Spelling::Prefixes)?;
    let command = (COMMANDS[found.form].make)(&found.words)?;
    Ok(Asked { command, json })
}

fn queue_id(word: &str) -> Result<QueueId, String> {
    QueueId::parse(word)
        .ok_or_else(|| format!("`{}` is no message; write its ten digits from show queue", shown(word)))
}

/// An id before a domain: a name of ten letters without a dot is no mail domain of a box.
fn target(word: &str) -> Result<Target, String> {
    if word == "all" {
        return Ok(Target::All);
    }
    if let Some(id) = QueueId::parse(word) {
        return Ok(Target::Message(id));
    }
    let domain = Domain::host_name(word).map(Target::Domain);
    domain
        .map_err(|_| format!("`{}` is no mail; write a message's ten digits, a domain, or all", shown(word)))
}

fn lines(word: &str) -> Result<usize, String> {
    match word.parse::<usize>() {
        Ok(n) if (1..=LOG_RING_LINES_MAX).contains(&n) => Ok(n),
        _ => {
            Err(format!("`{}` is no number of lines; write one from 1 to {LOG_RING_LINES_MAX}", shown(word)))
        }
    }
}

fn counted(word: &str, max: usize) -> Result<usize, String> {
    let number = word.parse::<usize>().ok().filter(|n| (1..=max).contains(n));
    number.ok_or_else(|| format!("`{}` is no number; write one from 1 to {max}", shown(word)))
}

fn letter(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{}` is no message; write its number in show mailbox", shown(word)))
}

/// The words of a statement, which a shell may have handed over as one.
fn statement(words: &[String]) -> Result<Vec<String>, String> {
    match words {
        [line] if line.contains(words::is_blank) => {
            Ok(words::split(line)?.into_iter().map(str::to_owned).collect())
        }
        words => Ok(words.to_vec()),
    }
}

fn minutes(word: &str) -> Result<u64, String> {
    match word.parse::<u64>() {
        Ok(n) if (1..=CONFIRM_MINUTES_MAX).contains(&n) => Ok(n),
        _ => Err(format!("`{}` is no time; write minutes from 1 to {CONFIRM_MINUTES_MAX}", shown(word))),
    }
}

fn former(word: &str) -> Result<usize, String> {
    word.parse()
        .map_err(|_| format!("`{}` is no number; show history lists those that there are", shown(word)))
}

fn send(words: &[String]) -> Result<Command, String> {
    let from = Address::read(&words[1])?;
    let to = words[2].split(',').filter(|one| !one.is_empty()).map(|one| recipient(one, &from.domain));
    let to: Vec<Address> = to.collect::<Result<_, _>>()?;
    if to.is_empty() {
        return Err(format!("`{}` names no recipient; write it as in x1@xyz.com", shown(&words[2])));
    }
    let subject = (words.len() > 3).then(|| words[3..].join(" "));
    let subject =
        subject.map(|s| s.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or(&s).to_owned());
    Ok(Command::Send { from, to, subject })
}

/// A recipient without a domain is a user of the sender's.
fn recipient(word: &str, home: &Domain) -> Result<Address, String> {
    if word.contains('@') {
        return Address::read(word);
    }
    Ok(Address::new(LocalPart::read(word)?, home.clone()))
}

#[cfg(test)]
mod tests;
