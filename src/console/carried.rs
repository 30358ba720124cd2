//! Keys and certificates within the text of a configuration: `export secrets` writes them as comments, so that
//! whatever reads statements passes over them, and `import` takes them from there. Source: RFC 7468 (PEM).
//! Danger: what a section is for comes from a paste; it is a name that was parsed, never a path.
//!
//! ```text
//! # = certificate bcd.com
//! # -----BEGIN CERTIFICATE-----
//! # ...
//! # = authority
//! # = dkim bcd.com mail-ed25519
//! ```

use std::fmt;

use crate::config::Problem;
use crate::config::grammar::shown;
use crate::mail::Domain;

/// What begins each section, before what it is for.
const HEAD: &str = "# = ";
/// Stands before them all.
const TITLE: &str = "# keys and certificates, which import takes too:";

/// What a section is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// What a domain shows under TLS, and its key.
    Certificate(Domain),
    /// Those that vouch for other hosts.
    Authority,
    /// The key that signs a domain's mail under this selector.
    Dkim { domain: Domain, selector: Domain },
}

impl Carried {
    fn parse(words: &str) -> Option<Self> {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let name = |word: &str| Domain::host_name(word).ok();
        match words[..] {
            ["certificate", domain] => name(domain).map(Carried::Certificate),
            ["authority"] => Some(Carried::Authority),
            ["dkim", domain, selector] => {
                Some(Carried::Dkim { domain: name(domain)?, selector: name(selector)? })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Carried::Certificate(domain) => write!(f, "certificate {domain}"),
            Carried::Authority => f.write_str("authority"),
            Carried::Dkim { domain, selector } => write!(f, "dkim {domain} {selector}"),
        }
    }
}

/// One of them, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Where it begins in the text that was imported, counted from 1.
    pub line: usize,
    pub what: Carried,
    pub pem: String,
}

/// The lines that carry these.
pub fn lines(sections: &[Section]) -> Vec<String> {
    let title = (!sections.is_empty()).then(|| TITLE.to_owned());
    let one = |section: &Section| {
        let pem = section.pem.lines().map(|line| format!("# {line}"));
        std::iter::once(format!("{HEAD}{}", section.what)).chain(pem).collect::<Vec<_>>()
    };
    title.into_iter().chain(sections.iter().flat_map(one)).collect()
}

/// Parts a text into its statements, with empty lines for what is taken out, and the sections.
///
/// # Errors
/// A section for something that is not known.
pub fn part(text: &str) -> Result<(String, Vec<Section>), Vec<Problem>> {
    let (mut statements, mut sections, mut problems) = (String::new(), Vec::<Section>::new(), Vec::new());
    let mut is_inside = false;
    for (at, line) in text.lines().enumerate() {
        let bare = line.trim();
        if let Some(words) = bare.strip_prefix(HEAD) {
            let (line, what) = (at + 1, Carried::parse(words));
            is_inside = what.is_some();
            match what {
                Some(what) => sections.push(Section { line, what, pem: String::new() }),
                None => problems.push(Problem {
                    line,
                    what: format!(
                        "`{}` is nothing that is imported; write certificate DOMAIN, authority or dkim \
                         DOMAIN SELECTOR, or no = after the #",
                        shown(words)
                    ),
                }),
            }
        } else if let (true, Some(pem)) = (is_inside, bare.strip_prefix('#')) {
            let section = sections.last_mut().expect("one has begun");
            section.pem.extend([pem.trim(), "\n"]);
        } else {
            is_inside = false;
            statements.push_str(line);
        }
        statements.push('\n');
    }
    if problems.is_empty() { Ok((statements, sections)) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Domain {
        Domain::host_name(text).unwrap()
    }

    fn sections() -> Vec<Section> {
        let pem = |label: &str| format!("-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        let dkim = Carried::Dkim { domain: name("bcd.com"), selector: name("mail-rsa") };
        vec![
            Section {
                line: 3,
                what: Carried::Certificate(name("bcd.com")),
                pem: pem("CERTIFICATE") + &pem("PRIVATE KEY"),
            },
            Section { line: 10, what: dkim, pem: pem("PRIVATE KEY") },
            Section { line: 14, what: Carried::Authority, pem: pem("CERTIFICATE") },
        ]
    }

    #[test]
    fn what_is_written_is_read_back_and_is_no_statement() {
        let text = format!("box name abc.com\n{}\nbox port smtp 26\n", lines(&sections()).join("\n"));
        let (statements, read) = part(&text).unwrap();
        assert_eq!(read, sections());
        let left: Vec<&str> = statements.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            left,
            ["box name abc.com", "# keys and certificates, which import takes too:", "box port smtp 26"]
        );
        assert_eq!(
            statements.lines().position(|l| l.ends_with(" 26")),
            text.lines().position(|l| l.ends_with(" 26"))
        );
        assert!(crate::config::parse(text.as_bytes()).is_ok(), "older readers pass over it");
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn comments_stay_comments() {
        for text in
            ["", "# certificate bcd.com\n# -----BEGIN\n", "#= authority\n", "box name a # = authority\n"]
        {
            assert_eq!(part(text).unwrap(), (text.to_owned(), vec![]), "{text:?}");
        }
        let pasted = "  # = authority  \r\n  # a\r\n# \u{7f}\nbox name a\n# b\n";
        let (statements, read) = part(pasted).unwrap();
        assert_eq!((statements.as_str(), read[0].pem.as_str()), ("\n\n\nbox name a\n# b\n", "a\n\u{7f}\n"));
    }

    #[test]
    fn what_a_section_is_for_is_a_name_and_no_path() {
        for words in
            ["secret", "certificate", "certificate ../config", "dkim bcd.com ..", "dkim / /", "authority x"]
        {
            let found = part(&format!("\n# = {words}\n# x\n")).unwrap_err();
            assert_eq!(found[0].line, 2, "{words}");
            assert!(found[0].what.contains("is nothing that is imported"), "{words}");
        }
    }
}
