//! Lines of the console, and the commands that they are.

use super::*;

fn command(line: &str) -> Result<Command, String> {
    parse_line(line).map(|asked| asked.expect("the line is not empty").command)
}

#[test]
fn every_command_parses_from_its_own_form() {
    for row in COMMANDS {
        let words: Vec<String> = words::split(row.example).unwrap().iter().map(|w| (*w).to_owned()).collect();
        let made = (row.make)(&words).unwrap_or_else(|why| panic!("{}: {why}", row.form));
        assert_eq!(command(row.example), Ok(made), "{}", row.form);
        assert!(!row.help.is_empty() && !row.help.ends_with('.'), "{}", row.form);
        for argument in grammar::places(row.form).flat_map(|p| p.arguments().collect::<Vec<_>>()) {
            assert!(ARGUMENTS.iter().any(|(name, _)| *name == argument), "{argument} is explained");
        }
    }
}

#[test]
fn shortened_words_are_understood_when_one_command_is_meant() {
    for (line, full) in [
        ("sh st", "show status"),
        ("sh do", "show domains"),
        ("h", "help"),
        ("q ret all", "queue retry all"),
        ("sh m 0000000001", ""),
        ("s status", ""),
    ] {
        match full {
            "" => assert!(command(line).unwrap_err().ends_with("write more of it"), "{line}"),
            full => assert_eq!(command(line), command(full), "{line}"),
        }
    }
}

#[test]
fn json_may_be_asked_for_anywhere() {
    for line in ["--json show queue bcd.com", "show --json queue bcd.com", "show queue bcd.com --json"] {
        let asked = parse_line(line).unwrap().unwrap();
        assert!(asked.json, "{line}");
        assert_eq!(asked.command, Command::ShowQueue(Some(Domain::parse("bcd.com").unwrap())), "{line}");
    }
    assert_eq!(parse_line(" # nothing"), Ok(None));
    assert_eq!(parse(&["show status"]).unwrap(), Asked { command: Command::ShowStatus, json: false });
}

#[test]
fn recipients_without_a_domain_are_users_of_the_senders() {
    let address = |text| Address::parse(text).unwrap();
    for line in
        ["send b1@bcd.com x1@xyz.com,b2 Test Message 2", "send b1@bcd.com x1@xyz.com,b2 \"Test Message 2\""]
    {
        let wanted = Command::Send {
            from: address("b1@bcd.com"),
            to: vec![address("x1@xyz.com"), address("b2@bcd.com")],
            subject: Some("Test Message 2".to_owned()),
        };
        assert_eq!(command(line).unwrap(), wanted);
    }
}

#[test]
fn a_header_does_not_fit_into_a_subject() {
    let words = ["send", "b1@bcd.com", "x1@xyz.com", "Hi\nBcc: y@z.a"];
    let why = "`Hi\\nBcc: y@z.a` holds a control character; write plain text";
    assert_eq!(parse(&words).unwrap_err(), why);
}

#[test]
fn wrong_commands_are_told_what_would_be_right() {
    for (line, what) in [
        ("shwo status", "`shwo` is unknown; did you mean `show`?"),
        ("queue", "`queue` is not complete; it goes on with retry, delete, hold or release"),
        ("show me", "`me` may be message or memory; write more of it"),
        (
            "show queue bcd_com",
            "`bcd_com` is no host name; write letters, digits and inner hyphens parted by dots, as in mail.example.com",
        ),
        (
            "show mailbox postmaster",
            "`postmaster` is no address; the address has no @; write it as in b1@bcd.com",
        ),
        ("mailbox delete b1@bcd.com x", "`x` is no message; write its number in show mailbox"),
        ("mailbox read b1@bcd.com 1 0", "`0` is no number; write one from 1 to 1000000"),
        ("show message 12", "`12` is no message; write its ten digits from show queue"),
        ("show log 0", "`0` is no number of lines; write one from 1 to 1000"),
        ("queue burn all", "`burn` is unknown after `queue`; write retry, delete, hold or release"),
        ("queue retry", "`queue retry` is not complete; the form is `queue retry ID|DOMAIN|all`"),
        ("queue retry a_b", "`a_b` is no mail; write a message's ten digits, a domain, or all"),
        ("send b1 x1@xyz.com", "`b1` is no address; the address has no @; write it as in b1@bcd.com"),
        ("send b1@bcd.com ,", "`,` names no recipient; write it as in x1@xyz.com"),
        ("--text show queue", "`--text` is no option; the only one is --json"),
    ] {
        assert_eq!(command(line).unwrap_err(), what, "{line}");
    }
}

#[test]
fn a_line_in_quotes_is_one_word_and_no_command() {
    let told = command(r#""show queue""#).unwrap_err();
    assert!(told.starts_with(r#"`"show queue"` is unknown; write help, show, "#), "{told}");
    assert_eq!(told.matches(" show,").count(), 1, "{told}");
}
