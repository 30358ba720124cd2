use proptest::prelude::*;

use super::*;

fn bcd() -> Domain {
    Domain::parse("bcd.com").unwrap()
}

/// `body` with `@` wherever a domain would be put in.
fn marked(body: &str) -> String {
    let mut bytes = body.as_bytes().to_vec();
    for place in places_to_complete(body.as_bytes()).into_iter().rev() {
        bytes.insert(place, b'^');
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn unqualified_addresses_are_found_where_they_end() {
    for (caption, body) in [
        ("Figure 2A", " x1@xyz.com, b2^"),
        ("alone", "b2^"),
        ("several", "b1^,b2^ ,\tb3^"),
        ("empty entries", ",, b2^ ,,"),
        ("angle brackets", " \"Bob Smith\" <b2^>"),
        ("angle brackets without name", "<b2^>"),
        ("atoms as display name", "Bob Q. Smith <b2^>"),
        ("display name that looks like an address", "\"x1@xyz.com, b3\" <b2^>"),
        ("encoded word as display name", "=?utf-8?Q?J=C3=B6rg?= <b2^>"),
        ("8-bit display name", "Jörg <b2^>"),
        ("8-bit local part", "jörg^"),
        ("dots", "bob.smith^"),
        ("dots with blanks", "bob . smith^ "),
        ("folded", "x1@xyz.com,\r\n\tb2^,\r\n b3^\r\n"),
        ("comment behind", "b2^ (Bob Smith)"),
        ("comment before", "(Bob) b2^"),
        ("comment in brackets", "<b2^ (Bob)>"),
        ("nested comment with escapes", "(a (b \\) c) \" , d) b2^"),
        ("quoted pair in quoted string", "\"a \\\" , b\" <b2^>"),
        ("quoted local part", "\"b2\"^"),
        ("group", "Team: b2^, x1@xyz.com, \"B\" <b3^>;"),
        ("group and more", "Team: b2^; b3^"),
        ("quoted group name", "\"A, B\": b2^;"),
    ] {
        assert_eq!(marked(&body.replace('^', "")), body, "{caption}");
    }
}

#[test]
fn what_is_not_clearly_unqualified_is_left_alone() {
    for (caption, body) in [
        ("qualified", "x1@xyz.com"),
        ("qualified with a final dot", "x1@xyz.com."),
        ("address literal", "x1@[192.0.2.1]"),
        ("source route", "<@a.com,@b.com:x1@xyz.com>"),
        ("domain missing", "x1@"),
        ("local part missing", "@xyz.com"),
        ("blanks around @", "x1 @ xyz.com"),
        ("empty", ""),
        ("blank", " \r\n\t"),
        ("null path", "<>"),
        ("no members", "undisclosed-recipients:;"),
        ("no members and no end", "undisclosed-recipients:"),
        ("a name and no address", "Bob Smith"),
        ("a quoted name and no address", "\"Bob Smith\""),
        ("an encoded word and no address", "=?utf-8?Q?Bob?="),
        ("bang path", "xyz!x1"),
        ("percent hack", "x1%xyz.com"),
        ("final dot", "b2."),
        ("first dot", ".b2"),
        ("two dots", "b..2"),
        ("only a comment", "(b2)"),
        ("open quote", "\"b2, b3"),
        ("open comment", "b1, (b2, b3"),
        ("open angle bracket", "b1, <b2, b3"),
        ("angle bracket too many", "b1, <b2> <b3>"),
        ("closing angle bracket alone", "b1, b2>"),
        ("control character", "b\u{7}2"),
        ("escape outside of quotes", "b\\2"),
        ("a parenthesis too many", "b2)"),
    ] {
        assert_eq!(marked(body), body, "{caption}");
    }
}

#[test]
fn resent_fields_hold_addresses_too() {
    for (name, holds) in [
        ("to", true),
        ("RESENT-CC", true),
        ("Sender", true),
        ("Subject", false),
        ("Resent-", false),
        ("Tö", false),
    ] {
        let raw = format!("{name}: b2\r\n");
        let section = Section::of(raw.as_bytes());
        assert_eq!(section.fields().next().is_some_and(|field| holds_addresses(&field)), holds, "{name}");
    }
}

fn recipients_of(header: &str) -> Result<Vec<String>, String> {
    match recipients(&Section::of(header.as_bytes()), &bcd()) {
        Ok(found) => Ok(found.iter().map(Address::to_string).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn recipients_come_from_to_cc_and_bcc() {
    for (caption, header, expected) in [
        (
            "all three",
            "To: x1@xyz.com\r\nCc: b2\r\nBcc: b3@BCD.com\r\n",
            vec!["x1@xyz.com", "b2@bcd.com", "b3@bcd.com"],
        ),
        ("not the others", "From: b1\r\nReply-To: b2\r\nSubject: b3@bcd.com\r\n", vec![]),
        ("folded", "To: x1@xyz.com,\r\n\t\"Bob, Smith\"\r\n <b2>\r\n", vec!["x1@xyz.com", "b2@bcd.com"]),
        (
            "comments",
            "To: b2 (Bob (the) \\) x), x1 (a) @ (b) xyz (c) . com\r\n",
            vec!["b2@bcd.com", "x1@xyz.com"],
        ),
        ("group", "To: Team: b2, <b3>; x1@xyz.com\r\n", vec!["b2@bcd.com", "b3@bcd.com", "x1@xyz.com"]),
        ("empty group", "To: undisclosed-recipients:;\r\nBcc: b2\r\n", vec!["b2@bcd.com"]),
        ("twice", "To: b2, B2@bcd.com\r\nCc: b2@BCD.COM\r\n", vec!["b2@bcd.com", "B2@bcd.com"]),
        ("final dot", "To: x1@xyz.com.\r\n", vec!["x1@xyz.com"]),
        ("source route", "To: <@a.com,@b.com:x1@xyz.com>\r\n", vec!["x1@xyz.com"]),
        ("quoted", "To: \"b 2\"@bcd.com\r\n", vec!["\"b 2\"@bcd.com"]),
        ("literal", "To: x1@[192.0.2.1]\r\n", vec!["x1@[192.0.2.1]"]),
        ("resent", "To: b2\r\nResent-To: b3\r\nresent-bcc: b4\r\n", vec!["b3@bcd.com", "b4@bcd.com"]),
        ("resent by nobody new", "To: b2\r\nResent-From: b3\r\n", vec!["b2@bcd.com"]),
    ] {
        assert_eq!(recipients_of(header), Ok(expected.into_iter().map(str::to_owned).collect()), "{caption}");
    }
}

#[test]
fn the_author_is_the_first_in_from() {
    for (header, author) in [
        ("From: \"Bob, Smith\" <b1>, b2\r\n", Some("b1@bcd.com")),
        ("From: a1@abc.com\r\nFrom: b1\r\n", Some("a1@abc.com")),
        ("From: Bob Smith\r\n", None),
        ("From: \"b1\r\n", None),
        ("To: b1\r\n", None),
    ] {
        let found = super::author(&Section::of(header.as_bytes()), &bcd());
        assert_eq!(found.map(|found| found.to_string()).as_deref(), author, "{header}");
    }
}

#[test]
fn a_list_that_cannot_be_read_is_named() {
    for (header, expected) in [
        ("To: \"b2\r\n", "To: a quote is not closed"),
        ("Cc: b2 (x\r\n", "Cc: a comment is not closed"),
        ("Bcc: <b2\r\n", "Bcc: an angle bracket is not closed"),
        ("Bcc: b2@[192\r\n", "Bcc: an address literal is not closed"),
        ("To: Bob Smith\r\n", "To: \"Bob Smith\": the local part has characters that need quoting"),
        ("To: b2@-x\r\n", "To: \"b2@-x\": the domain is no host name"),
        ("To: b2@\r\n", "To: \"b2@\": the domain is missing"),
        ("To: b2>\r\n", "To: an angle bracket too many"),
        ("To: <b2>: b3\r\n", "To: a colon too many"),
    ] {
        assert_eq!(recipients_of(header), Err(expected.to_owned()), "{header}");
    }
    let many: String = (0..=RECIPIENTS_MAX).map(|n| format!("b{n},")).collect();
    assert_eq!(
        recipients(&Section::of(format!("To: {many}\r\n").as_bytes()), &bcd()),
        Err(RecipientsError::TooMany)
    );
}

proptest! {
    #[test]
    fn completing_twice_adds_nothing(body in "[ab2@.,;:<>()\"\\\\ \r\n\t\\[\\]=?!ö-]{0,60}") {
        let mut completed = body.clone().into_bytes();
        for place in places_to_complete(body.as_bytes()).into_iter().rev() {
            completed.splice(place..place, *b"@bcd.com");
        }
        prop_assert_eq!(places_to_complete(&completed), Vec::<usize>::new(), "{:?}", completed);
        prop_assert_eq!(String::from_utf8(completed).unwrap().replace("@bcd.com", ""), body.replace("@bcd.com", ""));
    }

    #[test]
    fn any_bytes_are_read_without_harm(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let places = places_to_complete(&body);
        prop_assert!(places.is_sorted() && places.iter().all(|place| *place <= body.len()));
        let mut header = b"To: ".to_vec();
        header.extend_from_slice(&body);
        let _ = recipients(&Section::of(&header), &bcd());
    }
}
