//! The first dialogue with a new box: a few questions whose answers become a configuration and a test
//! message. Pure: a line in, the next question out. Danger: nothing is written before the operator has seen
//! all of it and said yes.

use std::net::IpAddr;

use crate::config::argument::Argument;
use crate::config::grammar::{one_of, shown};
use crate::config::text::{build, parse_statement, print};
use crate::config::{Config, IpLen, IpNet, Statement};
use crate::mail::{Address, Domain, LocalPart};

/// The questions, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Name,
    Interface,
    Address,
    Gateway,
    Nameservers,
    Domain,
    DomainAddress,
    Client,
    Recipient,
    Agreement,
}

const ORDER: [Question; 10] = [
    Question::Name,
    Question::Interface,
    Question::Address,
    Question::Gateway,
    Question::Nameservers,
    Question::Domain,
    Question::DomainAddress,
    Question::Client,
    Question::Recipient,
    Question::Agreement,
];

/// What the dialogue ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub config: Config,
    /// The test message's sender and recipient, when one is wanted.
    pub test: Option<(Address, Address)>,
}

/// What comes after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next question stands in [`Dialogue::prompt`].
    Ask,
    /// The answer was no use, and why; the question stays.
    Again(String),
    /// The operator said yes.
    Done(Box<Setup>),
}

/// The dialogue, with the answers so far; each is empty where the question was passed over.
#[derive(Debug)]
pub struct Dialogue {
    nics: Vec<String>,
    answers: Vec<String>,
}

/// Printed before the first question.
pub const WELCOME: &str = "
This box is not set up. A few questions make it a mail relay. Enter takes what
stands in [brackets], `back` returns to the question before, ^C leaves it for
the commands, and `setup` goes on from there. Nothing happens before you agree.

";

impl Dialogue {
    /// `nics` are the NICs of the box, the likeliest first.
    pub fn new(nics: Vec<String>) -> Self {
        Dialogue { nics, answers: Vec::new() }
    }

    /// For the start of the line on which the answer is typed.
    pub fn prompt(&self) -> String {
        let word = match self.question() {
            Question::Name => "name",
            Question::Interface => "interface",
            Question::Address => "address",
            Question::Gateway => "gateway",
            Question::Nameservers => "name servers",
            Question::Domain => "domain",
            Question::DomainAddress => "its address",
            Question::Client => "its clients",
            Question::Recipient => "test message to",
            Question::Agreement => "yes or no",
        };
        match self.usual() {
            Some(usual) => format!("{word} [{usual}]: "),
            None => format!("{word}: "),
        }
    }

    /// The question to put now, in lines; with the configuration, when it is to be agreed to.
    pub fn question_text(&self) -> String {
        let text = match self.question() {
            Question::Name => "What is the box's own name, as in relay.example.com?",
            Question::Interface => {
                "Which NIC carries the addresses? `none`: they are there already and stay as they are."
            }
            Question::Address => {
                "What is the box's own address, with the length of its network's prefix, as in 192.0.2.1/24?"
            }
            Question::Gateway => "Which router leads to everything outside? Enter: none.",
            Question::Nameservers => {
                "Which name servers are asked, up to three with blanks between? Enter: none."
            }
            Question::Domain => {
                "Which domain sends its mail through this box, as in example.com? More come later."
            }
            Question::DomainAddress => {
                "From which address does its mail leave, as in 192.0.2.70/24? Its own is best."
            }
            Question::Client => {
                "Who may send as its users without a password: an address, or a network as in \
                 192.168.7.0/24? Enter: nobody."
            }
            Question::Recipient => "Where shall a test message go, as in you@example.net? Enter: nowhere.",
            Question::Agreement => return self.summary(),
        };
        format!("{text}\n")
    }

    fn summary(&self) -> String {
        match self.setup() {
            Ok(setup) => format!("{}Is this right?\n", print(&setup.config)),
            Err(why) => format!("{why}\n"),
        }
    }

    /// Takes an answer, one line without its end.
    pub fn answer(&mut self, line: &str) -> Next {
        let line = line.trim();
        if line == "back" {
            self.answers.pop();
            return Next::Ask;
        }
        if matches!(line, "?" | "help") {
            let how = "answer the question, or write `back` for the one before; ^C leaves for the commands";
            return Next::Again(how.to_owned());
        }
        let line = if line.is_empty() { self.usual().unwrap_or_default() } else { line.to_owned() };
        if self.question() == Question::Agreement {
            return self.agree(&line);
        }
        self.answers.push(line);
        match self.setup() {
            Ok(_) => Next::Ask,
            Err(why) => {
                self.answers.pop();
                Next::Again(why)
            }
        }
    }

    fn agree(&mut self, line: &str) -> Next {
        match line {
            "yes" | "y" => match self.setup() {
                Ok(setup) => Next::Done(Box::new(setup)),
                Err(why) => Next::Again(why),
            },
            "no" | "n" => {
                self.answers.clear();
                Next::Ask
            }
            _ => Next::Again("write yes or no; no begins again".to_owned()),
        }
    }

    fn question(&self) -> Question {
        ORDER[self.answers.len().min(ORDER.len() - 1)]
    }

    fn answer_to(&self, question: Question) -> Option<&str> {
        let at = ORDER.iter().position(|asked| *asked == question)?;
        self.answers.get(at).map(String::as_str).filter(|answer| !answer.is_empty())
    }

    /// What Enter alone means.
    fn usual(&self) -> Option<String> {
        match self.question() {
            Question::Interface => Some(self.nics.first().cloned().unwrap_or("none".to_owned())),
            Question::DomainAddress => self
                .answer_to(Question::Address)
                .filter(|answer| answer.contains('.') || answer.contains(':'))
                .map(str::to_owned),
            Question::Agreement => Some("no".to_owned()),
            _ => None,
        }
    }

    /// Whether a NIC can be had: it is there, a VLAN of it, or what there is could not be told.
    fn has_nic(&self, name: &str) -> bool {
        let wire = name.split_once('.').map_or(name, |(wire, _)| wire);
        name == "none" || self.nics.is_empty() || self.nics.iter().any(|nic| nic == wire || nic == name)
    }

    /// The statements that the answers so far make.
    fn lines(&self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for (question, answer) in ORDER.iter().zip(&self.answers) {
            let needed = matches!(
                question,
                Question::Name | Question::Address | Question::Domain | Question::DomainAddress
            );
            match (question, answer.as_str()) {
                (_, "") if needed => {
                    return Err("this one is needed; the question shows an example".to_owned());
                }
                (_, "") | (Question::Recipient | Question::Agreement, _) => {}
                (Question::Name, name) => lines.push(format!("box name {name}")),
                (Question::Interface, nic) if !self.has_nic(nic) => {
                    let nics: Vec<&str> = self.nics.iter().map(String::as_str).chain(["none"]).collect();
                    return Err(format!("there is no NIC `{}`; write {}", shown(nic), one_of(&nics)));
                }
                (Question::Interface, nic) => lines.push(format!("box interface {nic}")),
                (Question::Address, ip) => lines.push(format!("box address {ip}")),
                (Question::Gateway, ip) => lines.push(format!("box gateway {ip}")),
                (Question::Nameservers, all) => {
                    lines.extend(servers(all).map(|ip| format!("box nameserver {ip}")));
                }
                (Question::Domain, name) => drop(Domain::read(name)?),
                (Question::DomainAddress, ip) => {
                    let name = self.answer_to(Question::Domain).unwrap_or_default();
                    lines.push(format!("domain {name} address {ip}"));
                }
                (Question::Client, net) => {
                    let name = self.answer_to(Question::Domain).unwrap_or_default();
                    lines.push(format!("domain {name} client {net}"));
                }
            }
        }
        Ok(lines)
    }

    /// What the answers so far come to, or why they do not.
    fn setup(&self) -> Result<Setup, String> {
        let mut statements: Vec<(usize, Statement)> = Vec::new();
        for line in self.lines()? {
            statements.extend(parse_statement(&line)?.map(|statement| (1, statement)));
        }
        let config = build(&statements).map_err(|found| found[0].what.clone())?;
        reachable_router(&config)?;
        Ok(Setup { config, test: self.test()? })
    }

    /// The test message goes from the domain's postmaster, whom every domain has.
    fn test(&self) -> Result<Option<(Address, Address)>, String> {
        let (Some(domain), Some(to)) =
            (self.answer_to(Question::Domain), self.answer_to(Question::Recipient))
        else {
            return Ok(None);
        };
        let from = Address::new(LocalPart::read("postmaster")?, Domain::read(domain)?);
        Ok(Some((from, Address::read(to)?)))
    }
}

/// The name servers of an answer, with blanks or commas between.
fn servers(all: &str) -> impl Iterator<Item = &str> {
    all.split(|c: char| c == ',' || c.is_whitespace()).filter(|server| !server.is_empty())
}

/// A router that no address of the box reaches is a mistyped one; a network of one address says nothing of it.
fn reachable_router(config: &Config) -> Result<(), String> {
    for gateway in &config.machine.gateways {
        let own = config.machine.addresses.iter().find(|own| own.ip.is_ipv4() == gateway.is_ipv4());
        let Some(IpLen { ip, len: Some(len) }) = own.copied() else { continue };
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        if len < whole && !(IpNet { ip, len }).contains(*gateway) && !is_link_local(*gateway) {
            return Err(format!("{gateway} is not in the network of {ip}/{len}; name a router that is"));
        }
    }
    Ok(())
}

/// A router of an IPv6 link may go by its own address on that (RFC 4291 §2.5.6).
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests;
