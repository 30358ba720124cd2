//! Rewrites what old devices say into what RFC 5321 means, before the strict parser sees it: an empty HELO,
//! spaces around the colon, an address without angle brackets. Only for clients that the operator has named;
//! what stays wrong after this is refused as for everybody.

use std::net::IpAddr;

use crate::mail::Domain;

/// `line` as the parser wants it. `ip` stands in for a name that is missing or unusable.
pub fn mend(line: &[u8], ip: IpAddr) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(line) else { return line.to_vec() };
    let text = text.trim();
    let verb = text.split([' ', '\t', ':']).next().unwrap_or_default();
    let rest = text[verb.len()..].trim_start();
    match verb.to_ascii_uppercase().as_str() {
        verb @ ("HELO" | "EHLO") => hello(verb, rest, ip),
        "MAIL" => path(rest, "FROM", "MAIL FROM:").unwrap_or_else(|| text.to_owned()),
        "RCPT" => path(rest, "TO", "RCPT TO:").unwrap_or_else(|| text.to_owned()),
        _ => text.to_owned(),
    }
    .into_bytes()
}

fn hello(verb: &str, rest: &str, ip: IpAddr) -> String {
    let name = rest.split_ascii_whitespace().next().filter(|name| super::claimed(name).is_ok());
    match name {
        Some(name) => format!("{verb} {name}"),
        None => format!("{verb} {}", Domain::literal(ip)),
    }
}

/// `FROM : a@b  SIZE=1` as `MAIL FROM:<a@b> SIZE=1`.
fn path(rest: &str, keyword: &str, form: &str) -> Option<String> {
    let begins = rest.get(..keyword.len()).is_some_and(|k| k.eq_ignore_ascii_case(keyword));
    let rest = rest[if begins { keyword.len() } else { return None }..].trim_start();
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    let (address, parameters) = match rest.strip_prefix('<') {
        Some(inside) => {
            let end = super::closing_bracket(inside)?;
            (inside[..end].trim(), &inside[end + 1..])
        }
        None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
    };
    let parameters = parameters.split_ascii_whitespace().map(|parameter| format!(" {parameter}"));
    Some(format!("{form}<{address}>{}", parameters.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_old_devices_say_is_mended() {
        for (said, meant) in [
            ("HELO", "HELO [192.0.2.1]"),
            ("EHLO my scanner", "EHLO my"),
            ("helo (scanner)", "HELO [192.0.2.1]"),
            ("MAIL FROM: <a@b.example>", "MAIL FROM:<a@b.example>"),
            ("mail from:a@b.example", "MAIL FROM:<a@b.example>"),
            ("MAIL  From : < a@b.example >  SIZE=1  BODY=7BIT", "MAIL FROM:<a@b.example> SIZE=1 BODY=7BIT"),
            ("MAIL FROM:<a@b.example>SIZE=1", "MAIL FROM:<a@b.example> SIZE=1"),
            ("MAIL FROM a@b.example SIZE=1", "MAIL FROM:<a@b.example> SIZE=1"),
            ("MAIL FROM:", "MAIL FROM:<>"),
            ("RCPT TO: <\"a> b\"@b.example>", "RCPT TO:<\"a> b\"@b.example>"),
            ("RCPT TO:postmaster", "RCPT TO:<postmaster>"),
            ("RCPT TO:<a@b.example", "RCPT TO:<a@b.example"),
            ("RCPT FROM:<a@b.example>", "RCPT FROM:<a@b.example>"),
            ("  DATA  ", "DATA"),
            ("", ""),
        ] {
            let mended = mend(said.as_bytes(), "192.0.2.1".parse().unwrap());
            assert_eq!(String::from_utf8(mended).unwrap(), meant, "{said:?}");
        }
    }
}
