//! `help`, TAB and `?`: what may be written where, read from the tables of commands and statements.
//! What it offers is what the parser takes; nothing is listed by hand.

use crate::config::forms::FORMS;
use crate::config::grammar::{self, Place, Spelling};
use crate::config::words::is_blank;
use crate::console::commands::{self, ARGUMENTS, COMMANDS};
use crate::console::report::HelpLine;

/// `help WORDS`: the commands and statements that begin with these words; without words the commands.
/// An error when there are none.
pub fn help(words: &[String]) -> Result<Vec<HelpLine>, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let commands = COMMANDS.iter().map(|row| (row.form, row.help));
    let statements = FORMS.iter().map(|row| (row.form, row.help));
    let all: Vec<(&str, &str)> = match words[..] {
        [] => commands.collect(),
        ["config"] => statements.collect(),
        _ => commands.chain(statements).filter(|(form, _)| begins_with(form, &words)).collect(),
    };
    if all.is_empty() {
        return Err(format!(
            "nothing begins with `{}`; `help` lists everything",
            grammar::shown(&words.join(" "))
        ));
    }
    let mut lines: Vec<HelpLine> = all
        .iter()
        .map(|(form, help)| HelpLine { form: (*form).to_owned(), help: (*help).to_owned() })
        .collect();
    if words.is_empty() {
        let form = "help config".to_owned();
        lines.push(HelpLine { form, help: "the statements of the configuration".to_owned() });
    }
    Ok(lines)
}

fn begins_with(form: &str, words: &[&str]) -> bool {
    let places: Vec<Place> = grammar::places(form).collect();
    let fits = |(word, place): (&&str, &Place)| {
        let literal = place.literals().any(|literal| literal.starts_with(word));
        literal || place.arguments().next().is_some()
    };
    words.len() <= places.len() && words.iter().zip(&places).all(fits)
}

/// What TAB may put in place of the last word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Where in the line that word begins, in bytes.
    pub start: usize,
    /// Whole words, in table order.
    pub words: Vec<String>,
}

/// The words that fit the end of `line`. `names` gives the words that an argument may be now: domains for
/// `DOMAIN`, messages for `ID`.
pub fn complete(line: &str, names: impl Fn(&str) -> Vec<String>) -> Completion {
    let start = line.rfind(is_blank).map_or(0, |at| at + 1);
    let last = &line[start..];
    let mut words: Vec<String> = Vec::new();
    for Next { place, .. } in next_places(&line[..start]) {
        words.extend(place.literals().map(str::to_owned));
        words.extend(place.arguments().flat_map(&names));
    }
    words.retain(|word| word.starts_with(last));
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| seen.insert(word.clone()));
    Completion { start, words }
}

/// One thing that may stand next on a line.
struct Next {
    place: Place<'static>,
    help: &'static str,
    /// The line may end here.
    complete: bool,
}

/// What may follow `before`, which ends with a blank or is empty. A statement goes on as its own table says.
fn next_places(before: &str) -> Vec<Next> {
    let words: Vec<&str> = before.split_ascii_whitespace().collect();
    let in_commands = grammar::next_words(&commands::forms(), &words, Spelling::Prefixes);
    let statement = in_commands.iter().find(|(_, place)| place.text == "STATEMENT");
    if let Some((form, _)) = statement {
        let at = grammar::places(COMMANDS[*form].form).count() - 1;
        let forms: Vec<&'static str> = FORMS.iter().map(|row| row.form).collect();
        let next = grammar::next_words(&forms, &words[at..], Spelling::Prefixes).into_iter();
        return next
            .map(|(at, place)| (FORMS[at].form, FORMS[at].help, place))
            .map(after(words.len() - at))
            .collect();
    }
    let next = in_commands.into_iter();
    next.map(|(at, place)| (COMMANDS[at].form, COMMANDS[at].help, place)).map(after(words.len())).collect()
}

fn after(words: usize) -> impl Fn((&'static str, &'static str, Place<'static>)) -> Next {
    move |(form, help, place)| Next { place, help, complete: fits_already(form, words) }
}

/// What `?` at the end of `line` shows: each word or argument that may stand there.
pub fn explain(line: &str) -> Vec<HelpLine> {
    let start = line.rfind(is_blank).map_or(0, |at| at + 1);
    let last = &line[start..];
    let mut lines: Vec<HelpLine> = Vec::new();
    for Next { place, help, complete } in next_places(&line[..start]) {
        let literals = place.literals().filter(|word| word.starts_with(last)).map(|word| (word, help));
        let arguments = place.arguments().map(|name| {
            let known = ARGUMENTS.iter().find(|(argument, _)| *argument == name);
            (name, known.map_or(help, |(_, known)| known))
        });
        for (word, help) in literals.chain(arguments) {
            match lines.iter_mut().find(|line| line.form == word) {
                Some(line) if line.help != help => line.help = format!("{word} ..."),
                Some(_) => {}
                None => lines.push(HelpLine { form: word.to_owned(), help: help.to_owned() }),
            }
        }
        if complete && last.is_empty() && !lines.iter().any(|l| l.form == "<enter>") {
            lines.push(HelpLine { form: "<enter>".to_owned(), help: help.to_owned() });
        }
    }
    lines
}

fn fits_already(form: &str, words: usize) -> bool {
    grammar::places(form).filter(|place| !place.optional).count() <= words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words;
    use crate::console::report::Report;

    fn completed(line: &str) -> Vec<String> {
        let names = |argument: &str| match argument {
            "DOMAIN" => vec!["abc.com".to_owned(), "bcd.com".to_owned()],
            _ => Vec::new(),
        };
        complete(line, names).words
    }

    #[test]
    fn tab_offers_what_the_parser_takes() {
        for (line, words) in [
            ("q", &["queue"][..]),
            ("s", &["show", "send", "set", "setup"]),
            ("sh m", &["message", "mailboxes", "mailbox", "memory"]),
            ("mailbox delete postmaster@bcd.com ", &["all"]),
            ("queue hold ", &["all", "abc.com", "bcd.com"]),
            ("show queue b", &["bcd.com"]),
            ("set b", &["box"]),
            ("set box port s", &["smtp", "submission", "submissions"]),
            ("set domain b", &[]),
            ("delete domain bcd.com m", &["mailbox"]),
            ("show status ", &[]),
            ("nothing ", &[]),
        ] {
            assert_eq!(completed(line), words, "{line:?}");
        }
        assert_eq!(complete("show qu", |_| Vec::new()).start, 5);
    }

    #[test]
    fn a_question_mark_explains_each_place() {
        let explained = |line: &str| -> Vec<String> {
            explain(line).into_iter().map(|l| format!("{}: {}", l.form, l.help)).collect()
        };
        assert_eq!(
            explained("sh m"),
            [
                "message: one message: envelope, recipients, last reply, next attempt",
                "mailboxes: the mailboxes of this box, and how full they are",
                "mailbox: the newest mail in it: number, time, size, sender, subject",
                "memory: every bound, what is in use, and the sum",
            ]
        );
        assert_eq!(
            explained("show queue "),
            ["DOMAIN: a virtual domain, as in bcd.com", "<enter>: the mail that waits, and why",]
        );
        assert_eq!(explained("q"), ["queue: queue ..."]);
    }

    #[test]
    fn help_lists_what_begins_so() {
        let forms = |words: &[&str]| -> Vec<String> {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            help(&words).unwrap().into_iter().map(|line| line.form).collect()
        };
        assert_eq!(forms(&[]).len(), COMMANDS.len() + 1);
        assert_eq!(forms(&["config"]).len(), FORMS.len());
        assert_eq!(forms(&["q", "ret"]), ["queue retry ID|DOMAIN|all"]);
        assert_eq!(forms(&["box", "port"]), ["box port smtp|submission|submissions PORT|off"]);
        assert!(help(&["xyz".to_owned()]).is_err());
    }

    #[test]
    fn help_fits_every_terminal() {
        let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
        for width in [40, 80] {
            for asked in [vec![], words("config"), words("show"), words("domain")] {
                let text = Report::Help(help(&asked).unwrap()).text(width);
                for line in text.lines() {
                    assert!(line.chars().count() <= width, "{width} columns: {line:?}");
                }
            }
        }
    }

    /// Every word of every command and statement is completed and explained at its place.
    #[test]
    fn every_row_can_be_typed_with_tab_and_question_marks() {
        let commands = COMMANDS.iter().map(|row| row.example.to_owned());
        let statements = FORMS.iter().map(|row| format!("set {}", row.example));
        for example in commands.chain(statements) {
            let words = words::split(&example).unwrap();
            for (at, word) in words.iter().enumerate() {
                let before: String = words[..at].iter().flat_map(|w| [*w, " "]).collect();
                let explained = explain(&before);
                assert!(!explained.is_empty(), "{before:?} goes on with {word:?}, but nothing is explained");
                let listed = explained.iter().any(|line| line.form == *word);
                let argument = explained.iter().any(|l| l.form.contains(|c: char| c.is_ascii_uppercase()));
                assert!(listed || argument, "{before:?} does not list {word:?}");
                if listed {
                    assert!(completed(&before).contains(&(*word).to_owned()), "{before:?} TAB {word:?}");
                }
            }
        }
    }
}
