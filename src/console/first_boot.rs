//! The first dialogue with a new box: a few questions whose answers become a configuration and a test
//! message. Pure: a line in, the next question out. Danger: nothing is written before the operator has seen
//! all of it and said yes.

use crate::config::argument::Argument;
use crate::config::text::{build, parse_statement, print};
use crate::config::{Config, Statement};
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
    Recipient,
    Agreement,
}

const ORDER: [Question; 9] = [
    Question::Name,
    Question::Interface,
    Question::Address,
    Question::Gateway,
    Question::Nameservers,
    Question::Domain,
    Question::DomainAddress,
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
pub const WELCOME: &str = "\
This box is new. A few questions make it a mail relay; Enter takes what stands
in [brackets], `back` returns to the question before.
";

impl Dialogue {
    /// `nics` are the NICs of the box, the likeliest first.
    pub fn new(nics: Vec<String>) -> Self {
        Dialogue { nics, answers: Vec::new() }
    }

    /// The question to put now, for the start of a line.
    pub fn prompt(&self) -> String {
        let text = match self.question() {
            Question::Name => "The box's own name, as in relay.example.com",
            Question::Interface => "The NIC that carries the addresses, or none",
            Question::Address => "The box's own address with its prefix length, as in 192.0.2.1/24",
            Question::Gateway => "The router to everything outside, or nothing",
            Question::Nameservers => "Name servers, up to three with blanks between, or nothing",
            Question::Domain => "A domain that sends mail through this box, as in example.com",
            Question::DomainAddress => "The domain's own address",
            Question::Recipient => "Where to send a test message, or nothing",
            Question::Agreement => "Is this right",
        };
        match self.usual() {
            Some(usual) => format!("{text} [{usual}]: "),
            None => format!("{text}: "),
        }
    }

    /// What is to be printed before the question: the configuration, when it is to be agreed to.
    pub fn preamble(&self) -> String {
        match self.question() {
            Question::Agreement => match self.setup() {
                Ok(setup) => format!("\n{}\n", print(&setup.config)),
                Err(why) => format!("\n{why}\n"),
            },
            _ => String::new(),
        }
    }

    /// Takes an answer, one line without its end.
    pub fn answer(&mut self, line: &str) -> Next {
        let line = line.trim();
        if line == "back" {
            self.answers.pop();
            return Next::Ask;
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
            Question::DomainAddress => self.answer_to(Question::Address).map(str::to_owned),
            Question::Agreement => Some("no".to_owned()),
            _ => None,
        }
    }

    /// The statements that the answers so far make.
    fn lines(&self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for (question, answer) in ORDER.iter().zip(&self.answers) {
            let needed = matches!(question, Question::Name | Question::Address | Question::Domain);
            match (question, answer.as_str()) {
                (_, "") if needed => {
                    return Err("this one is needed; an example stands before the colon".to_owned());
                }
                (_, "") | (Question::Recipient | Question::Agreement, _) => {}
                (Question::Name, name) => lines.push(format!("box name {name}")),
                (Question::Interface, nic) => lines.push(format!("box interface {nic}")),
                (Question::Address, ip) => lines.push(format!("box address {ip}")),
                (Question::Gateway, ip) => lines.push(format!("box gateway {ip}")),
                (Question::Nameservers, all) => {
                    lines.extend(all.split_whitespace().map(|ip| format!("box nameserver {ip}")));
                }
                (Question::Domain, name) => drop(Domain::read(name)?),
                (Question::DomainAddress, ip) => {
                    let name = self.answer_to(Question::Domain).unwrap_or_default();
                    lines.push(format!("domain {name} address {ip}"));
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

#[cfg(test)]
mod tests;
