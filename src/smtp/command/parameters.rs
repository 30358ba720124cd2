//! Parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), RET, ENVID, NOTIFY and ORCPT (RFC 3461),
//! SMTPUTF8 (RFC 6531), REQUIRETLS (RFC 8689), AUTH (RFC 4954). What is unknown is 555, a bad value 501, a known value that
//! is not supported 504. ENVID and ORCPT travel on: decoded, they must hold no control character.

use crate::mail::{Body, Notify, Ret};
use crate::smtp::reply::{Enhanced, Reply};

/// Parameters of MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Declared bytes of the message; numbers past 64 bits are taken as the largest.
    pub size: Option<u64>,
    pub body: Body,
    pub ret: Option<Ret>,
    /// In `xtext`, at most 100 bytes.
    pub envid: Option<String>,
    pub smtputf8: bool,
    pub require_tls: bool,
    /// AUTH= was given. Whom it names is not taken from a client's word (RFC 4954 §5).
    pub auth: bool,
}

/// Parameters of RCPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    pub notify: Option<Notify>,
    /// `type;xtext`, at most 500 bytes.
    pub orcpt: Option<String>,
    /// The path itself goes beyond ASCII: its local part, or its domain in U-labels.
    pub utf8: bool,
}

/// Bytes of ENVID (RFC 3461 §4.4) and of ORCPT (§4.2).
const ENVID_BYTES_MAX: usize = 100;
const ORCPT_BYTES_MAX: usize = 500;

impl MailParameters {
    /// Parses what follows the path and one space; empty is none.
    pub(super) fn parse(text: &str) -> Result<Self, Reply> {
        let mut all = MailParameters::default();
        let mut seen = Vec::new();
        for parameter in each(text) {
            let (name, value) = parameter?;
            once(&mut seen, &name)?;
            match (name.as_str(), value) {
                ("SIZE", Some(value)) => all.size = Some(size(value)?),
                ("BODY", Some(value)) => all.body = body(value)?,
                ("RET", Some(value)) => all.ret = Some(ret(value)?),
                ("ENVID", Some(value)) => all.envid = Some(envid(value)?),
                ("SMTPUTF8", None) => all.smtputf8 = true,
                ("REQUIRETLS", None) => all.require_tls = true,
                ("AUTH", Some(value)) => all.auth = auth(value)?,
                ("SIZE" | "BODY" | "RET" | "ENVID" | "AUTH", None) => {
                    return Err(bad(&name, "needs a value"));
                }
                ("SMTPUTF8" | "REQUIRETLS", Some(_)) => return Err(bad(&name, "takes no value")),
                _ => return Err(unknown(&name, "MAIL")),
            }
        }
        Ok(all)
    }
}

impl RcptParameters {
    /// Parses what follows the path and one space; empty is none.
    pub(super) fn parse(text: &str) -> Result<Self, Reply> {
        let mut all = RcptParameters::default();
        let mut seen = Vec::new();
        for parameter in each(text) {
            let (name, value) = parameter?;
            once(&mut seen, &name)?;
            match (name.as_str(), value) {
                ("NOTIFY", Some(value)) => all.notify = Some(notify(value)?),
                ("ORCPT", Some(value)) => all.orcpt = Some(orcpt(value)?),
                ("NOTIFY" | "ORCPT", None) => return Err(bad(&name, "needs a value")),
                _ => return Err(unknown(&name, "RCPT")),
            }
        }
        Ok(all)
    }
}

/// Names in upper case, with their values (RFC 5321 §4.1.2, `esmtp-param`).
fn each(text: &str) -> impl Iterator<Item = Result<(String, Option<&str>), Reply>> {
    let words = text.split(' ').filter(|_| !text.is_empty());
    words.map(|word| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(inner) {
            return Err(Reply::new(501, BAD, "The parameters are malformed"));
        }
        let graphic = |v: &str| !v.is_empty() && v.chars().all(|c| !c.is_control() && c != '=');
        match value {
            Some(v) if !graphic(v) => Err(bad(&name.to_ascii_uppercase(), "has a malformed value")),
            _ => Ok((name.to_ascii_uppercase(), value)),
        }
    })
}

const BAD: Enhanced = Enhanced(5, 5, 4);

fn bad(name: &str, text: &str) -> Reply {
    Reply::new(501, BAD, format!("{name} {text}"))
}

fn unknown(name: &str, command: &str) -> Reply {
    Reply::new(555, BAD, format!("{name} is no parameter of {command} here"))
}

fn once(seen: &mut Vec<String>, name: &str) -> Result<(), Reply> {
    if seen.iter().any(|s| s == name) {
        return Err(bad(name, "is given twice"));
    }
    seen.push(name.to_owned());
    Ok(())
}

fn size(value: &str) -> Result<u64, Reply> {
    let number = value.len() <= 20 && value.bytes().all(|b| b.is_ascii_digit());
    match number {
        true => Ok(value.parse().unwrap_or(u64::MAX)),
        false => Err(bad("SIZE", "is a number of at most 20 digits")),
    }
}

fn body(value: &str) -> Result<Body, Reply> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        "BINARYMIME" => Err(Reply::new(504, BAD, "BODY=BINARYMIME is not implemented")),
        _ => Err(bad("BODY", "is 7BIT or 8BITMIME")),
    }
}

fn ret(value: &str) -> Result<Ret, Reply> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(bad("RET", "is FULL or HDRS")),
    }
}

fn auth(value: &str) -> Result<bool, Reply> {
    match value == "<>" || is_xtext(value) {
        true => Ok(true),
        false => Err(bad("AUTH", "is <> or a mailbox as xtext")),
    }
}

fn envid(value: &str) -> Result<String, Reply> {
    if value.len() > ENVID_BYTES_MAX {
        return Err(bad("ENVID", "is longer than 100 bytes"));
    }
    if !is_xtext(value) {
        return Err(bad("ENVID", "is no xtext of printable characters"));
    }
    Ok(value.to_owned())
}

fn notify(value: &str) -> Result<Notify, Reply> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(',') {
        let flag = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut notify.success,
            "FAILURE" => &mut notify.failure,
            "DELAY" => &mut notify.delay,
            _ => return Err(bad("NOTIFY", "is NEVER, or of SUCCESS,FAILURE,DELAY")),
        };
        if std::mem::replace(flag, true) {
            return Err(bad("NOTIFY", "names one thing twice"));
        }
    }
    Ok(notify)
}

fn orcpt(value: &str) -> Result<String, Reply> {
    if value.len() > ORCPT_BYTES_MAX {
        return Err(bad("ORCPT", "is longer than 500 bytes"));
    }
    let Some((kind, address)) = value.split_once(';') else {
        return Err(bad("ORCPT", "is TYPE;ADDRESS"));
    };
    let atom = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if kind.eq_ignore_ascii_case("utf-8") && !address.is_ascii() {
        let address = embedded(address);
        return match is_xtext(&address) && kind.len() + 1 + address.len() <= ORCPT_BYTES_MAX {
            true => Ok(format!("{kind};{address}")),
            false => Err(bad("ORCPT", "is no utf-8;ADDRESS of at most 500 bytes")),
        };
    }
    if kind.is_empty() || !kind.bytes().all(atom) || address.is_empty() || !is_xtext(address) {
        return Err(bad("ORCPT", "is TYPE;ADDRESS with the address as xtext"));
    }
    Ok(value.to_owned())
}

/// An address of the type `utf-8` in the form that needs no SMTPUTF8: `\x{F6}` for `ö` (RFC 6533 §3).
fn embedded(address: &str) -> String {
    let mut out = String::with_capacity(address.len() * 2);
    for c in address.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => out += &format!("\\x{{{:X}}}", u32::from(c)),
        }
    }
    out
}

/// Whether this is `xtext` of RFC 3461 §4 whose meaning is printable. Beyond ASCII the meaning is UTF-8: so
/// hosts write addresses that go beyond it where the type is still `rfc822`.
fn is_xtext(text: &str) -> bool {
    let mut bytes = text.bytes();
    let mut meaning = Vec::with_capacity(text.len());
    while let Some(b) = bytes.next() {
        meaning.push(match b {
            b'+' => {
                let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) else {
                    return false;
                };
                high * 16 + low
            }
            b'!'..=b'~' if b != b'=' => b,
            _ => return false,
        });
    }
    std::str::from_utf8(&meaning).is_ok_and(|meaning| !meaning.chars().any(char::is_control))
}

/// The value of an upper-case hexadecimal digit.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
