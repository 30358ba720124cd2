//! Commands: one line in, one value out, or the reply that says what is wrong (RFC 5321 §4.1, §4.2.4).
//! The grammar is strict for everybody: no space after the colon, angle brackets, one spelling of each path.
//! A path that means one thing here and another at the next host is how relays are fooled.

mod mend;
mod parameters;
#[cfg(test)]
mod tests;

use std::fmt;

pub use mend::mend;
pub use parameters::{MailParameters, RcptParameters};

use crate::limits::HELLO_BYTES_MAX;
use crate::mail::{Address, AddressError, Domain, LocalPart, ReversePath};
use crate::smtp::reply::{Enhanced, Reply};

/// A command that is well formed. Whether it comes in order is the session's matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    Ehlo(Claimed),
    Helo(Claimed),
    Mail(ReversePath, MailParameters),
    Rcpt(ForwardPath, RcptParameters),
    Data,
    /// A chunk; without a readable length, nobody can tell what follows from commands.
    Bdat {
        bytes: Option<u64>,
        last: bool,
    },
    StartTls,
    /// The mechanism's name, and the initial response in base64.
    Auth(&'a str, Option<&'a str>),
    Rset,
    Noop,
    Quit,
    Vrfy(&'a str),
    Help(&'a str),
    /// A request of HTTP: a browser that was led here, with commands in what it posts.
    Http,
}

/// What a client calls itself in EHLO or HELO: graphic ASCII without brackets of comments and routes, at
/// most 255 bytes, so that it can stand in a `Received:` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// A host name or an address literal.
    Name(Domain),
    /// What is neither, such as `my_laptop`; receivers take it, and so does the house.
    Text(String),
}

/// Where RCPT wants the mail to go, source routes dropped (RFC 5321 §3.3, appendix C).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    Address(Address),
    /// `<postmaster>` without a domain (RFC 5321 §4.5.1).
    Postmaster(LocalPart),
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claimed::Name(domain) => domain.fmt(f),
            Claimed::Text(text) => f.write_str(text),
        }
    }
}

const NO_SYNTAX: Enhanced = Enhanced(5, 5, 2);
const BAD_ARGUMENT: Enhanced = Enhanced(5, 5, 4);
const BAD_SENDER: Enhanced = Enhanced(5, 1, 7);
const BAD_RECIPIENT: Enhanced = Enhanced(5, 1, 3);

/// Parses a line without its CRLF. Spaces at its end are dropped (RFC 5321 §4.1.1).
pub fn parse(line: &[u8]) -> Result<Command<'_>, Reply> {
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(Reply::new(500, NO_SYNTAX, "The line is no ASCII"));
    };
    let line = line.trim_end_matches([' ', '\t']);
    let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    if !argument.is_ascii() && !["MAIL", "RCPT", "VRFY"].into_iter().any(is) {
        return Err(Reply::new(501, NO_SYNTAX, "Only addresses may go beyond ASCII"));
    }
    let alone = |command| match argument {
        "" => Ok(command),
        _ => Err(Reply::new(501, BAD_ARGUMENT, "This command takes no argument")),
    };
    match verb {
        _ if is("MAIL") => mail(argument),
        _ if is("RCPT") => rcpt(argument),
        _ if is("DATA") => alone(Command::Data),
        _ if is("BDAT") => Ok(bdat(argument)),
        _ if is("EHLO") => claimed(argument).map(Command::Ehlo),
        _ if is("HELO") => claimed(argument).map(Command::Helo),
        _ if is("AUTH") => auth(argument),
        _ if is("STARTTLS") => alone(Command::StartTls),
        _ if is("RSET") => alone(Command::Rset),
        _ if is("NOOP") => Ok(Command::Noop),
        _ if is("QUIT") => alone(Command::Quit),
        _ if is("HELP") => Ok(Command::Help(argument)),
        _ if is("VRFY") => match argument {
            "" => Err(Reply::new(501, BAD_ARGUMENT, "VRFY needs a user or an address")),
            _ => Ok(Command::Vrfy(argument)),
        },
        _ if ["EXPN", "TURN", "ETRN", "SEND", "SOML", "SAML"].into_iter().any(is) => {
            Err(Reply::new(502, Enhanced(5, 5, 1), "This command is not implemented"))
        }
        _ if ["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"].into_iter().any(is) => Ok(Command::Http),
        "" => Err(Reply::new(500, NO_SYNTAX, "The line is empty; a command was expected")),
        _ => Err(Reply::new(500, NO_SYNTAX, "There is no such command")),
    }
}

fn claimed(argument: &str) -> Result<Claimed, Reply> {
    let fault = |text: &'static str| Err(Reply::new(501, BAD_ARGUMENT, text));
    let allowed = |b: u8| b.is_ascii_graphic() && !b"()<>,;\"\\".contains(&b);
    match argument {
        "" => fault("Say your host name or your address after the command"),
        _ if argument.len() > HELLO_BYTES_MAX => fault("The name is longer than 255 bytes"),
        _ if !argument.bytes().all(allowed) => fault("This is neither a host name nor an address literal"),
        _ => Ok(match Domain::parse(argument.strip_suffix('.').unwrap_or(argument)) {
            Ok(domain) => Claimed::Name(domain),
            Err(_) => Claimed::Text(argument.to_owned()),
        }),
    }
}

/// `AUTH mechanism [initial-response]` (RFC 4954 §4).
fn auth(argument: &str) -> Result<Command<'_>, Reply> {
    let (mechanism, initial) = match argument.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial)),
        None => (argument, None),
    };
    if mechanism.is_empty() || initial.is_some_and(|i| i.is_empty() || i.contains(' ')) {
        return Err(Reply::new(501, BAD_ARGUMENT, "Write AUTH mechanism, or AUTH mechanism response"));
    }
    Ok(Command::Auth(mechanism, initial))
}

/// `BDAT bytes [LAST]` (RFC 3030 §2).
fn bdat(argument: &str) -> Command<'static> {
    let (bytes, last) = match argument.split_once(' ') {
        Some((bytes, last)) if last.eq_ignore_ascii_case("LAST") => (bytes, true),
        Some(_) => ("", false),
        None => (argument, false),
    };
    let digits = bytes.bytes().all(|b| b.is_ascii_digit());
    Command::Bdat { bytes: bytes.parse().ok().filter(|_| digits), last }
}

fn mail(argument: &str) -> Result<Command<'static>, Reply> {
    let (path, rest) = path(argument, "FROM:", "Write MAIL FROM:<address>", BAD_SENDER)?;
    let parameters = MailParameters::parse(rest)?;
    let utf8 = !path.is_ascii();
    let path = match path {
        "" => ReversePath::Null,
        _ => ReversePath::Address(address(path, BAD_SENDER)?),
    };
    if utf8 && !parameters.smtputf8 {
        return Err(Reply::new(553, Enhanced(5, 6, 7), "An address beyond ASCII needs SMTPUTF8"));
    }
    Ok(Command::Mail(path, parameters))
}

fn rcpt(argument: &str) -> Result<Command<'static>, Reply> {
    let (path, rest) = path(argument, "TO:", "Write RCPT TO:<address>", BAD_RECIPIENT)?;
    let parameters = RcptParameters { utf8: !path.is_ascii(), ..RcptParameters::parse(rest)? };
    if path.is_empty() {
        return Err(Reply::new(501, BAD_RECIPIENT, "The recipient's address is missing"));
    }
    let path = match LocalPart::parse(path) {
        Ok(local) if local.is_postmaster() => ForwardPath::Postmaster(local),
        _ => ForwardPath::Address(address(path, BAD_RECIPIENT)?),
    };
    Ok(Command::Rcpt(path, parameters))
}

/// Splits `FROM:<path> parameters` into the inside of the brackets and the parameters.
fn path<'a>(
    argument: &'a str,
    keyword: &str,
    form: &'static str,
    bad: Enhanced,
) -> Result<(&'a str, &'a str), Reply> {
    let said = |text: &str| Reply::new(501, NO_SYNTAX, format!("{form}: {text}"));
    let begins = argument.get(..keyword.len()).is_some_and(|k| k.eq_ignore_ascii_case(keyword));
    if !begins {
        return Err(said(&format!("{keyword} does not follow")));
    }
    let rest = &argument[keyword.len()..];
    if rest.starts_with([' ', '\t']) {
        return Err(said("no space may follow the colon"));
    }
    let rest = rest.strip_prefix('<').ok_or_else(|| said("the address stands in angle brackets"))?;
    let end = closing_bracket(rest).ok_or_else(|| said("the closing > is missing"))?;
    let (inside, after) = (&rest[..end], &rest[end + 1..]);
    let parameters = match after.strip_prefix(' ') {
        Some(parameters) => parameters,
        None if after.is_empty() => "",
        None => return Err(said("a space stands between > and the parameters")),
    };
    let inside = without_route(inside).map_err(|e| Reply::new(501, bad, e.to_string()))?;
    Ok((inside, parameters))
}

/// The position of the first `>` outside of a quoted string.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|b| {
        let here = b == b'>' && !quoted;
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        here
    })
}

/// Drops `@a.example,@b.example:` before an address, after a look at it.
fn without_route(path: &str) -> Result<&str, AddressError> {
    if !path.starts_with('@') {
        return Ok(path);
    }
    let no_route = AddressError("the source route is malformed");
    let (route, address) = path.split_once(':').ok_or(no_route)?;
    if address.is_empty() {
        return Err(no_route);
    }
    for hop in route.split(',') {
        Domain::host_name(hop.strip_prefix('@').ok_or(no_route)?).map_err(|_| no_route)?;
    }
    Ok(address)
}

fn address(path: &str, bad: Enhanced) -> Result<Address, Reply> {
    Address::parse(path).map_err(|e| Reply::new(501, bad, e.0))
}
