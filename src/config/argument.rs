//! The arguments of statements: one word to one value, and back to the word's one canonical spelling.
//! Sources: RFC 1123 §2.1 (host names), RFC 5321 §4.1.2 (addresses). Every refusal says what is wrong and
//! what would be right, in one line.

mod files;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::grammar::shown;
use crate::config::{Carrier, ClockDuty, Destination, HostPort, IpLen, IpNet, Port, Route};
use crate::limits::{
    CONNECTIONS_PER_DOMAIN_MAX, DURATION_S_MAX, NIC_NAME_BYTES_MAX, PASSWORD_BYTES_MAX, QUOTA_BYTES_MIN,
    SIZE_BYTES_MAX,
};
use crate::mail::dkim::Selector;
use crate::mail::{Address, Domain, LocalPart};
use crate::smtp::sasl::Verifier;
pub use files::FilePath;

/// A value that a statement takes as one word.
pub trait Argument: Sized {
    /// The error says what is wrong and what would be right.
    fn read(word: &str) -> Result<Self, String>;
    /// The canonical word; reading it gives an equal value.
    fn write(&self) -> String;
}

const SMTP_PORT: u16 = 25;
const DNS_PORT: u16 = 53;
const SYSLOG_PORT: u16 = 514;
const NTP_PORT: u16 = 123;

fn wrong<T>(word: &str, is_no: &str, right: &str) -> Result<T, String> {
    Err(format!("`{}` is no {is_no}; {right}", shown(word)))
}

/// A word that says whatever it says.
pub struct Verbatim(pub String);

impl Argument for Verbatim {
    fn read(word: &str) -> Result<Self, String> {
        Ok(Verbatim(word.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// A host name: HOST, NAME of a domain, DOMAIN.
impl Argument for Domain {
    fn read(word: &str) -> Result<Self, String> {
        const RIGHT: &str = "write letters, digits and inner hyphens parted by dots, as in mail.example.com";
        if let Some(bare) = word.strip_suffix('.').filter(|bare| Domain::host_name(bare).is_ok()) {
            return wrong(word, "host name", &format!("write {bare} without the final dot"));
        }
        Domain::host_name(word).or_else(|_| wrong(word, "host name", RIGHT))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Argument for LocalPart {
    fn read(word: &str) -> Result<Self, String> {
        if word.contains('@') && !word.starts_with('"') {
            return wrong(word, "local part", "write only what stands before the @, as in b1");
        }
        LocalPart::parse(word).or_else(|why| wrong(word, "local part", &format!("{why}; write it as in b1")))
    }

    fn write(&self) -> String {
        local_word(self.as_str())
    }
}

/// A local part that begins with `#` is quoted, or it would be read as a comment.
fn local_word(local: &str) -> String {
    if local.starts_with('#') { format!("\"{local}\"") } else { local.to_owned() }
}

impl Argument for Address {
    fn read(word: &str) -> Result<Self, String> {
        Address::parse(word)
            .or_else(|why| wrong(word, "address", &format!("{why}; write it as in b1@bcd.com")))
    }

    fn write(&self) -> String {
        format!("{}@{}", local_word(self.local.as_str()), self.domain)
    }
}

/// An address of a host: a gateway, a static name. Neither unspecified nor multicast.
impl Argument for IpAddr {
    fn read(word: &str) -> Result<Self, String> {
        const RIGHT: &str = "write it as 192.0.2.1 or 2001:db8::1";
        let Ok(ip) = word.parse::<IpAddr>() else { return wrong(word, "IP address", RIGHT) };
        if ip.to_canonical() != ip {
            return wrong(word, "plain IP address", &format!("write it as {}", ip.to_canonical()));
        }
        let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        if ip.is_unspecified() || ip.is_multicast() || broadcast {
            return wrong(word, "address of one host", RIGHT);
        }
        Ok(ip)
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// The widest prefix length of the address's family.
pub fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// `IP/LEN` in its two parts; the length is at least `least`.
fn ip_and_len(word: &str, least: u8) -> Result<(&str, Option<u8>), String> {
    let Some((ip, len)) = word.split_once('/') else { return Ok((word, None)) };
    let most = if ip.contains(':') { 128 } else { 32 };
    match len.parse::<u8>() {
        Ok(n) if (least..=most).contains(&n) && len.bytes().all(|b| b.is_ascii_digit()) => Ok((ip, Some(n))),
        _ => wrong(
            len,
            "prefix length",
            &format!("write a number from {least} to {most} after {}/", shown(ip)),
        ),
    }
}

impl Argument for IpLen {
    fn read(word: &str) -> Result<Self, String> {
        let (ip, len) = ip_and_len(word, 1)?;
        Ok(IpLen { ip: IpAddr::read(ip)?, len })
    }

    fn write(&self) -> String {
        match self.len {
            Some(len) => format!("{}/{len}", self.ip),
            None => self.ip.to_string(),
        }
    }
}

/// The box's own address: `IP[/LEN]`, or `dhcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnAddress {
    Fixed(IpLen),
    Dhcp,
}

impl Argument for OwnAddress {
    fn read(word: &str) -> Result<Self, String> {
        if word == "dhcp" { Ok(OwnAddress::Dhcp) } else { IpLen::read(word).map(OwnAddress::Fixed) }
    }

    fn write(&self) -> String {
        match self {
            OwnAddress::Fixed(address) => address.write(),
            OwnAddress::Dhcp => "dhcp".to_owned(),
        }
    }
}

impl Argument for IpNet {
    fn read(word: &str) -> Result<Self, String> {
        let (text, len) = ip_and_len(word, 0)?;
        let Ok(ip) = text.parse::<IpAddr>() else {
            return wrong(word, "IP address or network", "write it as 192.0.2.9 or 192.0.2.0/24");
        };
        if ip.to_canonical() != ip {
            return wrong(word, "plain IP address", &format!("write it as {}", ip.to_canonical()));
        }
        let len = len.unwrap_or(width(ip));
        let network = first_of_network(ip, len);
        if network != ip {
            return Err(format!(
                "`{}` has bits set past its prefix; write {network}/{len} for the network or {ip} for the one host",
                shown(word)
            ));
        }
        Ok(IpNet { ip, len })
    }

    fn write(&self) -> String {
        if self.len == width(self.ip) { self.ip.to_string() } else { format!("{}/{}", self.ip, self.len) }
    }
}

fn first_of_network(ip: IpAddr, len: u8) -> IpAddr {
    let host_bits = u32::from(width(ip) - len.min(width(ip)));
    match ip {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)).into()),
    }
}

/// The number of a port, which is never zero.
fn port_number(word: &str) -> Result<u16, String> {
    match word.parse::<u16>() {
        Ok(port) if port != 0 && word.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => wrong(word, "port", "write a number from 1 to 65535"),
    }
}

/// `HOST`, `HOST:PORT`, `IP`, `IPv4:PORT` or `[IPv6]:PORT` in its two parts.
fn host_and_port(word: &str, default: u16) -> Result<(&str, u16), String> {
    if let Some(rest) = word.strip_prefix('[') {
        let Some((inside, after)) = rest.split_once(']').filter(|(v6, _)| v6.parse::<Ipv6Addr>().is_ok())
        else {
            return wrong(word, "IPv6 address with a port", "write it as [2001:db8::1]:25");
        };
        return match after.strip_prefix(':') {
            Some(port) => Ok((inside, port_number(port)?)),
            None if after.is_empty() => Ok((inside, default)),
            None => wrong(word, "IPv6 address with a port", "write it as [2001:db8::1]:25"),
        };
    }
    match word.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, port_number(port)?)),
        _ => Ok((word, default)),
    }
}

/// A name server: `IP[:PORT]`.
impl Argument for SocketAddr {
    fn read(word: &str) -> Result<Self, String> {
        let (ip, port) = host_and_port(word, DNS_PORT)?;
        Ok(SocketAddr::new(IpAddr::read(ip)?, port))
    }

    fn write(&self) -> String {
        if self.port() == DNS_PORT { self.ip().to_string() } else { self.to_string() }
    }
}

impl Argument for HostPort {
    fn read(word: &str) -> Result<Self, String> {
        host_port(word, SMTP_PORT)
    }

    fn write(&self) -> String {
        match &self.host {
            Destination::Name(name) if name.as_str() == "mx" => format!("mx:{}", self.port),
            _ => host_port_word(self, SMTP_PORT),
        }
    }
}

fn host_port(word: &str, usual: u16) -> Result<HostPort, String> {
    let (host, port) = host_and_port(word, usual)?;
    Ok(HostPort { host: Destination::read(host)?, port })
}

fn host_port_word(at: &HostPort, usual: u16) -> String {
    match &at.host {
        host if at.port == usual => host.write(),
        Destination::Name(name) => format!("{name}:{}", at.port),
        Destination::Ip(ip) => SocketAddr::new(*ip, at.port).to_string(),
    }
}

/// A host by its name or its address.
impl Argument for Destination {
    fn read(word: &str) -> Result<Self, String> {
        let looks_like_ip = word.contains(':') || word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match looks_like_ip {
            true => IpAddr::read(word).map(Destination::Ip),
            false => Domain::read(word).map(Destination::Name),
        }
    }

    fn write(&self) -> String {
        match self {
            Destination::Name(name) => name.to_string(),
            Destination::Ip(ip) => ip.to_string(),
        }
    }
}

/// A host that gathers logs; the port is 514 where none is given (RFC 5426 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHost(pub HostPort);

impl Argument for LogHost {
    fn read(word: &str) -> Result<Self, String> {
        host_port(word, SYSLOG_PORT).map(LogHost)
    }

    fn write(&self) -> String {
        host_port_word(&self.0, SYSLOG_PORT)
    }
}

/// A server of time; the port is 123 where none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeHost(pub HostPort);

impl Argument for TimeHost {
    fn read(word: &str) -> Result<Self, String> {
        host_port(word, NTP_PORT).map(TimeHost)
    }

    fn write(&self) -> String {
        host_port_word(&self.0, NTP_PORT)
    }
}

impl Argument for ClockDuty {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "keep" => Ok(ClockDuty::Keep),
            "leave" => Ok(ClockDuty::Leave),
            _ => wrong(word, "way to treat the clock", "write keep or leave"),
        }
    }

    fn write(&self) -> String {
        match self {
            ClockDuty::Keep => "keep".to_owned(),
            ClockDuty::Leave => "leave".to_owned(),
        }
    }
}

impl Argument for Carrier {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "udp" => Ok(Carrier::Udp),
            "tcp" => Ok(Carrier::Tcp),
            _ => wrong(word, "way to send logs", "write udp or tcp"),
        }
    }

    fn write(&self) -> String {
        match self {
            Carrier::Udp => "udp".to_owned(),
            Carrier::Tcp => "tcp".to_owned(),
        }
    }
}

/// `mx|HOST[:PORT]`. A host whose name is `mx` is written with its port.
impl Argument for Route {
    fn read(word: &str) -> Result<Self, String> {
        if word == "mx" { Ok(Route::Mx) } else { HostPort::read(word).map(Route::Host) }
    }

    fn write(&self) -> String {
        match self {
            Route::Mx => "mx".to_owned(),
            Route::Host(host) => host.write(),
        }
    }
}

/// The beginning of a domain's DKIM selectors.
impl Argument for Selector {
    fn read(word: &str) -> Result<Self, String> {
        Selector::parse(word)
            .or_else(|_| wrong(word, "selector", "write letters, digits and inner hyphens, as in mail"))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// `default|DOMAIN`: `None` is the default.
impl Argument for Option<Domain> {
    fn read(word: &str) -> Result<Self, String> {
        if word == "default" { Ok(None) } else { Domain::read(word).map(Some) }
    }

    fn write(&self) -> String {
        self.as_ref().map_or("default".to_owned(), Domain::to_string)
    }
}

impl Argument for Port {
    fn read(word: &str) -> Result<Self, String> {
        if word == "off" { Ok(Port::Off) } else { port_number(word).map(Port::On) }
    }

    fn write(&self) -> String {
        match self {
            Port::Off => "off".to_owned(),
            Port::On(port) => port.to_string(),
        }
    }
}

/// The name of a NIC as Linux takes it, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic(pub Option<String>);

impl Argument for Nic {
    fn read(word: &str) -> Result<Self, String> {
        let plain = word.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'"' | b'#'));
        if word == "none" {
            return Ok(Nic(None));
        }
        if word.len() > NIC_NAME_BYTES_MAX {
            return wrong(word, "name of a NIC", "write at most 15 letters, as in eth0");
        }
        if !plain || word == "." || word == ".." {
            return wrong(word, "name of a NIC", "write it as in eth0, or none");
        }
        Ok(Nic(Some(word.to_owned())))
    }

    fn write(&self) -> String {
        self.0.clone().unwrap_or("none".to_owned())
    }
}

/// What is shown in the place of a password.
pub const HIDDEN: &str = "(hidden)";

/// The name of a user at another host, or a password. Neither is repeated in a refusal.
#[derive(Clone, PartialEq, Eq)]
pub struct Word(pub String);

impl Argument for Word {
    fn read(word: &str) -> Result<Self, String> {
        let quoted = word.len() > 1 && word.starts_with('"') && word.ends_with('"');
        let text = if quoted { unquoted(&word[1..word.len() - 1]) } else { word.to_owned() };
        if word == HIDDEN {
            return Err(format!("`{HIDDEN}` stands for a password that is not shown; write the password"));
        }
        if text.is_empty() || text.len() > PASSWORD_BYTES_MAX {
            return Err(format!("a user or a password has 1 to {PASSWORD_BYTES_MAX} characters"));
        }
        // Beyond ASCII, what is typed and what is meant differ by keyboard (RFC 4013).
        if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err("a user or a password is of ASCII's letters, digits, signs and blanks".to_owned());
        }
        Ok(Word(text))
    }

    fn write(&self) -> String {
        let plain = !self.0.contains([' ', '"']) && !self.0.starts_with('#') && self.0 != HIDDEN;
        if plain {
            self.0.clone()
        } else {
            format!("\"{}\"", self.0.replace('\\', r"\\").replace('"', "\\\""))
        }
    }
}

fn unquoted(inside: &str) -> String {
    let mut chars = inside.chars();
    let mut text = String::with_capacity(inside.len());
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

impl Argument for Verifier {
    fn read(word: &str) -> Result<Self, String> {
        Verifier::parse(word)
            .ok_or_else(|| "this is no verifier; write `password` and the password instead".to_owned())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

/// What a client is granted beside sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Favour {
    Tolerant,
    PlaintextAuth,
}

impl Argument for Favour {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "tolerant" => Ok(Favour::Tolerant),
            "plaintext-auth" => Ok(Favour::PlaintextAuth),
            _ => wrong(word, "favour", "write tolerant or plaintext-auth"),
        }
    }

    fn write(&self) -> String {
        match self {
            Favour::Tolerant => "tolerant",
            Favour::PlaintextAuth => "plaintext-auth",
        }
        .to_owned()
    }
}

/// Outgoing connections of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections(pub u16);

impl Argument for Connections {
    fn read(word: &str) -> Result<Self, String> {
        match word.parse::<u16>() {
            Ok(n) if (1..=CONNECTIONS_PER_DOMAIN_MAX).contains(&n) && !word.starts_with('+') => {
                Ok(Connections(n))
            }
            _ => wrong(
                word,
                "number of connections",
                &format!("write a number from 1 to {CONNECTIONS_PER_DOMAIN_MAX}"),
            ),
        }
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const SIZE_UNITS: &[(char, u64)] = &[('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];

impl Argument for Size {
    fn read(word: &str) -> Result<Self, String> {
        match number_and_unit(word, SIZE_UNITS) {
            None => wrong(word, "size", "write a number and K, M, G or T, as in 64K, 10M, 2G"),
            Some(bytes) if !(QUOTA_BYTES_MIN..=SIZE_BYTES_MAX).contains(&bytes) => {
                let (least, most) =
                    (with_unit(QUOTA_BYTES_MIN, SIZE_UNITS), with_unit(SIZE_BYTES_MAX, SIZE_UNITS));
                wrong(word, "useful size", &format!("write {least} to {most}"))
            }
            Some(bytes) => Ok(Size(bytes)),
        }
    }

    fn write(&self) -> String {
        with_unit(self.0, SIZE_UNITS)
    }
}

/// A number and the letter of its unit, as in `90s` or `64K`; the letter's worth is in `units`.
fn number_and_unit(word: &str, units: &[(char, u64)]) -> Option<u64> {
    let unit = word.chars().next_back()?;
    let worth = units.iter().find(|(letter, _)| *letter == unit)?.1;
    let digits = &word[..word.len() - unit.len_utf8()];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(worth)
}

/// The largest unit of `units` (ascending) that divides `value`.
fn with_unit(value: u64, units: &[(char, u64)]) -> String {
    let fits = units.iter().rev().find(|(_, worth)| value >= *worth && value.is_multiple_of(*worth));
    fits.map_or_else(|| value.to_string(), |(letter, worth)| format!("{}{letter}", value / worth))
}

const TIME_UNITS: &[(char, u64)] = &[('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];

/// Seconds to some hundred days; never zero.
impl Argument for Duration {
    fn read(word: &str) -> Result<Self, String> {
        match number_and_unit(word, TIME_UNITS) {
            None => wrong(word, "duration", "write a number and s, m, h or d, as in 90s, 5m, 4h, 5d"),
            Some(0) => wrong(word, "useful duration", "write at least 1s"),
            Some(s) if s > DURATION_S_MAX => wrong(
                word,
                "useful duration",
                &format!("write at most {}", with_unit(DURATION_S_MAX, TIME_UNITS)),
            ),
            Some(s) => Ok(Duration::from_secs(s)),
        }
    }

    fn write(&self) -> String {
        with_unit(self.as_secs(), TIME_UNITS)
    }
}
