//! The saved configuration, which a later version may have written before an update was taken back: what this one
//! does not know of it is left out and kept, so that a box never loses its network to one new statement.
//! Danger: only what is saved is read so; what an operator writes is taken whole or not at all.

use std::collections::HashSet;

use crate::config::grammar::{self, Spelling};
use crate::config::text::{self, Problem, Statement, assemble, line_statement, parse};
use crate::config::{Config, words};
use crate::limits::{CONFIG_BYTES_MAX, CONFIG_LINE_BYTES_MAX};

/// Reads a saved configuration, which a later version may have written: a statement of a form that is not known here
/// is left out, kept, and told by its line and its text, passwords hidden, and so is one that makes no sense without
/// it. What is wrong in another way, or wholly, is refused as [`parse`] refuses it.
pub fn read(text: &[u8]) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let refused = match parse(text) {
        Ok(config) => return Ok((config, Vec::new())),
        Err(problems) => problems,
    };
    if text.len() > CONFIG_BYTES_MAX {
        return Err(refused);
    }
    let (mut statements, mut left_out) = (Vec::new(), Vec::new());
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        match (line_statement(line), unread(line)) {
            (Ok(statement), _) => statements.extend(statement.map(|statement| (at + 1, statement))),
            (Err(_), Some(statement)) => {
                left_out.push(Problem { line: at + 1, what: format!("`{statement}`") });
                statements.push((at + 1, statement));
            }
            (Err(_), None) => return Err(refused),
        }
    }
    if left_out.is_empty() || left_out.len() == statements.len() {
        return Err(refused);
    }
    // What makes no sense now may do so for want of what is left out.
    loop {
        let (config, found) = assemble(&statements, HashSet::new());
        if found.is_empty() {
            left_out.sort();
            return Ok((config, left_out));
        }
        let at_fault = |problem: &Problem| {
            statements.iter().position(|(line, said)| *line == problem.line && !said.is_unread())
        };
        let Some(at) = found.iter().find_map(at_fault) else { return Err(refused) };
        let (line, statement) = &mut statements[at];
        left_out.push(Problem { line: *line, what: format!("`{statement}`") });
        *statement = Statement::unread(&statement.whole());
    }
}

/// A line of words that no form takes, as a statement that is not known.
fn unread(line: &[u8]) -> Option<Statement> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?;
    let words = words::split(line).ok().filter(|words| matches!(words[..], ["box" | "domain", ..]))?;
    let is_known = grammar::find(&text::forms(), &words, Spelling::Full).is_ok();
    (line.len() <= CONFIG_LINE_BYTES_MAX && !is_known).then(|| Statement::unread(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::print;
    use crate::mail::Domain;

    const PLAIN: &str = "box name abc.com\ndomain bcd.com address 10.0.0.7\ndomain bcd.com user b1 verifier \
        SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";

    fn lacks(more: &str) -> (Config, Vec<String>) {
        let (config, left_out) =
            read(format!("{PLAIN}{more}").as_bytes()).unwrap_or_else(|why| panic!("{more}: {why:?}"));
        (config, left_out.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_statement_of_a_later_version_is_left_out_and_kept() {
        let of_now = parse(PLAIN.as_bytes()).unwrap();
        for (line, wanted) in [
            ("box teleport on", "4: `box teleport on`"),
            ("domain bcd.com teleport \"a b\" # far", "4: `domain bcd.com teleport \"a b\"`"),
            ("domain new.com teleport on", "4: `domain new.com teleport on`"),
            ("box syslog 192.0.2.9 tls", "4: `box syslog 192.0.2.9 tls`"),
            ("box name abc.com twice", "4: `box name abc.com twice`"),
        ] {
            let (mut config, told) = lacks(&format!("{line}\n"));
            assert!(told.len() == 1 && told[0].starts_with(wanted), "{line}: {told:?}");
            let kept = line.split(" #").next().unwrap();
            assert_eq!(print(&config), format!("{PLAIN}{kept}\n"));
            let (again, _) = read(print(&config).as_bytes()).unwrap();
            assert_eq!(again, config, "{line}");
            config.machine.unread.clear();
            assert_eq!(config, of_now, "{line}: all else counts");
            assert!(
                parse(format!("{PLAIN}{line}\n").as_bytes()).is_err(),
                "what is written now is strict: {line}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_without_it_is_left_out_with_it() {
        let more = "domain cde.com address 10.0.0.8 far\ndomain cde.com mailbox c1\n\
                    domain bcd.com user b9 key ed25519 c2VjcmV0\ndomain bcd.com user b9 sends-as x@bcd.com\n";
        let (config, told) = lacks(more);
        assert_eq!(told.len(), 3, "{told:?}");
        let name = |text| Domain::parse(text).unwrap();
        assert!(config.domain(&name("cde.com")).unwrap().addresses.is_empty(), "its mail waits");
        assert!(config.lacks_roads(&name("cde.com")) && !config.lacks_roads(&name("bcd.com")));
        assert!(config.domain(&name("bcd.com")).unwrap().users.len() == 1);
        let (_, told) = lacks("domain bcd.com route default mx dane required\n");
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn a_secret_in_it_is_not_shown() {
        for line in [
            "domain bcd.com route default h.example user b password letmein dane required",
            "domain bcd.com route default h.example user b PASSWORD letmein oauth",
            "domain bcd.com route default h.example token letmein",
            "box teleport secret letmein",
            "domain bcd.com user b9 key ed25519 letmein",
        ] {
            let (more, wrong) =
                (format!("{line}\ndomain far.com address 10.0.0.9 far\n"), "box name a b c\n");
            let (config, told) = lacks(&more);
            let shown = crate::config::print_shown(&config);
            assert!(!shown.contains("letmein") && print(&config).contains("letmein"), "{shown}");
            assert!(!told.concat().contains("letmein") && told.concat().contains("(hidden)"), "{told:?}");
            let refused = format!("{:?}", parse(format!("{PLAIN}{more}{wrong}").as_bytes()).unwrap_err());
            assert!(!refused.contains("letmein"), "{refused}");
        }
    }

    #[test]
    fn what_is_wrong_in_another_way_is_refused_as_ever() {
        for (caption, text) in [
            ("a value", format!("{PLAIN}box teleport on\nbox address 300.0.0.1\n")),
            ("a contradiction alone", format!("{PLAIN}box name cde.com\n")),
            ("no statement at all", "box teleport on\ndomain x y z\n".to_owned()),
            ("another language", format!("{PLAIN}teleport on\n")),
            ("control characters", format!("{PLAIN}box teleport \u{1b}[2J\n")),
            ("too long", format!("{PLAIN}box teleport {}\n", "x".repeat(CONFIG_LINE_BYTES_MAX))),
        ] {
            assert_eq!(read(text.as_bytes()), Err(parse(text.as_bytes()).unwrap_err()), "{caption}");
        }
        assert!(read(&[0xff; 100]).is_err());
        assert_eq!(read(PLAIN.as_bytes()).unwrap(), (parse(PLAIN.as_bytes()).unwrap(), vec![]));
    }
}
