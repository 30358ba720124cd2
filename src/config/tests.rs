//! What the grammar promises, as tables: every statement right and wrong with its literal error, rules over
//! several statements, printing back, and arbitrary bytes.

use proptest::prelude::*;

use crate::config::forms::FORMS;
use crate::config::text::{build, parse, parse_statement, print, print_shown, sealed, statements};
use crate::config::{Config, Statement};

const EXAMPLE: &str = "\
box name abc.com
box address 127.0.0.1
box nameserver 127.0.0.53:5353
box host 127.0.0.25 xyz.com
box host 127.0.0.70 bcd.com
box port smtp 2525
box port submission off
box port submissions off
box postmaster a1@abc.com
box authority /data/authority.pem
box timeserver ntp1.abc.com
box timeserver [2001:db8::7]:1123
box clock leave
box syslog 192.0.2.9:1514 tcp
box console logout 1h
domain abc.com address 127.0.0.1
domain abc.com client 127.0.0.1
domain bcd.com address 127.0.0.70
domain bcd.com address 2001:db8::70
domain bcd.com gateway 127.0.0.1
domain bcd.com ehlo mail.bcd.com
domain bcd.com client 127.0.0.70
domain bcd.com client 10.0.0.0/8
domain bcd.com client 10.0.0.9 tolerant
domain bcd.com client 192.168.7.0/24 tolerant plaintext-auth
domain bcd.com client 198.51.100.4 plaintext-auth
domain bcd.com user b1 verifier SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=
domain bcd.com user b1 sends-as info@bcd.com c1@cde.com
domain bcd.com mailbox b2
domain bcd.com alias info b2@bcd.com
domain bcd.com alias info c1@cde.com
domain bcd.com alias \"#odd one\" b2@bcd.com
domain bcd.com forward [2001:db8::5]:26
domain bcd.com route default smart.example.net:587
domain bcd.com route xyz.com 127.0.0.25:2526
domain bcd.com route abc.org mx
domain bcd.com route mx.org mx:25
domain bcd.com route s.org mx tls required
domain bcd.com route a.org a.org:587 user b password \"a \\\"b\\\\ #c\"
domain bcd.com route b.org b.org:465 user \"#b\" password p#w\\d tls required
domain bcd.com route c.org 10.1.1.5 user b password c plaintext-auth
domain bcd.com retry first 90s max 2h expire 3d
domain bcd.com limit connections 5
";

fn problems(text: &str) -> Vec<String> {
    parse(text.as_bytes()).expect_err("the text is wrong").iter().map(ToString::to_string).collect()
}

#[test]
fn a_canonical_text_is_printed_as_it_was() {
    let config = parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(print(&config), EXAMPLE);
}

#[test]
fn order_comments_tabs_case_and_line_ends_do_not_matter() {
    let sloppy = "# a box\r\n\r\n  domain BCD.com\taddress 127.0.0.70 # its own\r\nbox name ABC.com\r\n\
                  box name abc.com\r\ndomain bcd.com route default xyz.com:25\r\ndomain bcd.com retry first 60m max 240m expire 72h";
    let tidy = "box name abc.com\ndomain bcd.com address 127.0.0.70\ndomain bcd.com route default xyz.com\n\
                domain bcd.com retry first 1h max 4h expire 3d\n";
    assert_eq!(print(&parse(sloppy.as_bytes()).unwrap()), tidy);
}

#[test]
fn an_empty_text_is_the_default() {
    assert_eq!(parse(b"").unwrap(), Config::default());
    assert_eq!(print(&Config::default()), "");
}

#[test]
fn every_form_has_help_and_an_example_that_it_takes() {
    for form in FORMS {
        let statement = parse_statement(form.example).unwrap_or_else(|why| panic!("{}: {why}", form.form));
        let statement = statement.unwrap();
        // A password is kept as its verifier.
        if !form.form.ends_with("LOCALPART password PASSWORD") {
            assert!(std::ptr::eq(statement.form(), form), "{}", form.form);
            assert_eq!(statement.whole(), form.example, "{}", form.form);
        }
        assert!(!form.help.is_empty() && !form.help.ends_with('.'), "{}", form.form);
    }
}

/// What is wrong with a statement, the statement, and what its writer is told.
const WRONG: &[(&str, &str, &str)] = &[
    ("first word", "bocks name abc.com", "`bocks` is unknown; write box or domain"),
    ("first word, nearly", "domian bcd.com ehlo a", "`domian` is unknown; did you mean `domain`?"),
    ("second word, nearly", "box nmae abc.com", "`nmae` is unknown after `box`; did you mean `name`?"),
    (
        "third word, nearly",
        "domain bcd.com helo x",
        "`helo` is unknown after `domain bcd.com`; did you mean `ehlo`?",
    ),
    (
        "abbreviated",
        "box add 10.0.0.1",
        "`add` is unknown after `box`; write name, interface, address, gateway, nameserver, host, port, postmaster, authority, flash, timeserver, clock, syslog or console",
    ),
    (
        "a file beside the daemon",
        "box authority ca.pem",
        "`ca.pem` is no file; write its whole path, as in /data/authority.pem",
    ),
    (
        "too short to log in",
        "box console logout 9s",
        "`9s` is too short to type anything; write at least 10s",
    ),
    ("too short", "box name", "`box name` is not complete; the form is `box name HOST`"),
    ("too long", "box name a b", "`b` is too much; the form is `box name HOST`"),
    (
        "too short in the middle",
        "domain bcd.com retry first 5m",
        "`domain bcd.com retry first 5m` is not complete; the form is `domain NAME retry first DURATION max DURATION expire DURATION`",
    ),
    (
        "no host name",
        "domain bcd.com ehlo bcd_com",
        "`bcd_com` is no host name; write letters, digits and inner hyphens parted by dots, as in mail.example.com",
    ),
    ("final dot", "box name abc.com.", "`abc.com.` is no host name; write abc.com without the final dot"),
    (
        "address as a name",
        "domain 10.0.0.1 address 10.0.0.1",
        "`10.0.0.1` is no host name; write letters, digits and inner hyphens parted by dots, as in mail.example.com",
    ),
    (
        "no address",
        "box address 10.0.0.256",
        "`10.0.0.256` is no IP address; write it as 192.0.2.1 or 2001:db8::1",
    ),
    (
        "any address",
        "box address 0.0.0.0",
        "`0.0.0.0` is no address of one host; write it as 192.0.2.1 or 2001:db8::1",
    ),
    (
        "mapped address",
        "box address ::ffff:10.0.0.1",
        "`::ffff:10.0.0.1` is no plain IP address; write it as 10.0.0.1",
    ),
    (
        "long prefix",
        "box address 10.0.0.1/33",
        "`33` is no prefix length; write a number from 1 to 32 after 10.0.0.1/",
    ),
    (
        "signed prefix",
        "box address 10.0.0.1/+8",
        "`+8` is no prefix length; write a number from 1 to 32 after 10.0.0.1/",
    ),
    (
        "host bits",
        "domain bcd.com client 10.1.2.3/16",
        "`10.1.2.3/16` has bits set past its prefix; write 10.1.0.0/16 for the network or 10.1.2.3 for the one host",
    ),
    (
        "host bits of IPv6",
        "domain bcd.com client 2001:db8::1/32",
        "`2001:db8::1/32` has bits set past its prefix; write 2001:db8::/32 for the network or 2001:db8::1 for the one host",
    ),
    ("zero port", "box port smtp 0", "`0` is no port; write a number from 1 to 65535"),
    ("big port", "domain bcd.com forward a.b:65536", "`65536` is no port; write a number from 1 to 65535"),
    ("service", "box port stmp 25", "`stmp` is unknown after `box port`; did you mean `smtp`?"),
    (
        "bare IPv6 port",
        "domain bcd.com forward [2001:db8::1:25",
        "`[2001:db8::1:25` is no IPv6 address with a port; write it as [2001:db8::1]:25",
    ),
    (
        "NIC of 16",
        "box interface abcdefghijklmnop",
        "`abcdefghijklmnop` is no name of a NIC; write at most 15 letters, as in eth0",
    ),
    ("NIC with a slash", "box interface a/b", "`a/b` is no name of a NIC; write it as in eth0, or none"),
    (
        "whole address",
        "domain bcd.com mailbox b2@bcd.com",
        "`b2@bcd.com` is no local part; write only what stands before the @, as in b1",
    ),
    (
        "half address",
        "box postmaster ann",
        "`ann` is no address; the address has no @; write it as in b1@bcd.com",
    ),
    (
        "no unit",
        "domain bcd.com retry first 5 max 4h expire 5d",
        "`5` is no duration; write a number and s, m, h or d, as in 90s, 5m, 4h, 5d",
    ),
    (
        "no time",
        "domain bcd.com retry first 0s max 4h expire 5d",
        "`0s` is no useful duration; write at least 1s",
    ),
    (
        "age",
        "domain bcd.com retry first 5m max 4h expire 101d",
        "`101d` is no useful duration; write at most 100d",
    ),
    (
        "first over max",
        "domain bcd.com retry first 5h max 4h expire 5d",
        "the first delay 5h is longer than the longest, 4h; swap them",
    ),
    (
        "first over expire",
        "domain bcd.com retry first 2h max 4h expire 1h",
        "mail expires after 1h before its first retry after 2h; make expire longer",
    ),
    (
        "no connections",
        "domain bcd.com limit connections 0",
        "`0` is no number of connections; write a number from 1 to 1000",
    ),
    (
        "a device, twice",
        "domain bcd.com client 10.0.0.9 tolerant tolerant",
        "`tolerant` stands there twice; write it once",
    ),
    (
        "a password not shown",
        "domain bcd.com route default a.b user b password (hidden)",
        "`(hidden)` stands for a password that is not shown; write the password",
    ),
    (
        "a password beyond ASCII",
        "domain bcd.com user b1 password s\u{e9}same",
        "a user or a password is of ASCII's letters, digits, signs and blanks",
    ),
    ("no password", "domain bcd.com user b1 password \"\"", "a user or a password has 1 to 128 characters"),
    (
        "no verifier",
        "domain bcd.com user b1 verifier SCRAM-SHA-256$1",
        "this is no verifier; write `password` and the password instead",
    ),
    (
        "a password for any host",
        "domain bcd.com route default mx user b password c",
        "`user` is unknown after `domain bcd.com route default mx`; write tls",
    ),
    ("open quote", "domain bcd.com mailbox \"b", "the quote has no end; write a second \" after it"),
    ("bare CR", "box\rname a", "the line holds the control character \\r; write plain text"),
];

#[test]
fn wrong_statements_are_told_what_would_be_right() {
    for (caption, line, what) in WRONG.iter().copied() {
        assert_eq!(parse_statement(line).unwrap_err(), what, "{caption}");
    }
}

/// What does not go together, the statements, and what their writer is told.
const CONTRADICTIONS: &[(&str, &str, &[&str])] = &[
    (
        "two domains with one address",
        "domain bcd.com address 10.0.0.7\ndomain cde.com address 10.0.0.7",
        &["2: 10.0.0.7 is the address of bcd.com already; give cde.com an address of its own"],
    ),
    (
        "a prefix length is missing",
        "domain bcd.com address 10.0.0.7\nbox interface eth0\nbox address 2001:db8::1",
        &[
            "1: the length of the prefix is missing, which the box needs to add 10.0.0.7 to eth0; write it as 10.0.0.7/24",
            "3: the length of the prefix is missing, which the box needs to add 2001:db8::1 to eth0; write it as 2001:db8::1/64",
        ],
    ),
    (
        "two values",
        "box name a.com\nbox name b.com",
        &["2: this contradicts line 1, `box name a.com`; keep one"],
    ),
    (
        "two addresses of one family",
        "domain bcd.com address 10.0.0.7\ndomain bcd.com address ::7\ndomain bcd.com address 10.0.0.8",
        &["3: this contradicts line 1, `domain bcd.com address 10.0.0.7`; keep one"],
    ),
    ("DHCP without a NIC", "box address dhcp", &["1: DHCP needs to know the NIC; add `box interface NIC`"]),
    (
        "DHCP and a fixed address",
        "box interface eth0\nbox address dhcp\nbox address 10.0.0.7/24",
        &["3: this contradicts line 2, `box address dhcp`; keep one"],
    ),
    (
        "two routes for one destination",
        "domain bcd.com address 10.0.0.7\ndomain bcd.com route default mx\ndomain bcd.com route default 10.0.0.9",
        &["3: this contradicts line 2, `domain bcd.com route default mx`; keep one"],
    ),
    (
        "no address",
        "\ndomain bcd.com ehlo a.b",
        &["2: bcd.com has no address; add `domain bcd.com address IP`"],
    ),
    (
        "a wrong address is not a missing one too",
        "domain bcd.com ehlo a.b\ndomain bcd.com address 10.0.0",
        &["2: `10.0.0` is no IP address; write it as 192.0.2.1 or 2001:db8::1"],
    ),
    (
        "four name servers",
        "box nameserver 10.0.0.1\nbox nameserver 10.0.0.2\nbox nameserver 10.0.0.3\nbox nameserver 10.0.0.4",
        &["4: one name server too many; keep at most 3"],
    ),
    (
        "one port twice",
        "box port submission 25",
        &["1: submission and smtp both listen on port 25; give each its own"],
    ),
    (
        "a route to the box",
        "box address 10.0.0.1\ndomain bcd.com address 10.0.0.7\ndomain bcd.com route default 10.0.0.1",
        &["3: 10.0.0.1 is the box's own address: mail would run in a circle; name another host"],
    ),
    (
        "a forward to a domain of the box",
        "box port smtp 2525\ndomain bcd.com address 10.0.0.7\ndomain cde.com address ::8\ndomain bcd.com forward [::8]:2525",
        &["4: ::8 is the address of cde.com: mail would run in a circle; name another host"],
    ),
    (
        "a route to a static name of the box",
        "box host 10.0.0.7 relay.net\ndomain bcd.com address 10.0.0.7\ndomain bcd.com route xyz.com relay.net",
        &["3: relay.net is 10.0.0.7, the address of bcd.com: mail would run in a circle; name another host"],
    ),
    (
        "a route of a hosted domain to itself",
        "domain bcd.com address 10.0.0.7\ndomain bcd.com route bcd.com bcd.com",
        &["2: bcd.com is a name of this box: mail would run in a circle; name another host"],
    ),
    (
        "a mailbox twice and an alias of it",
        "domain b.com address ::7\ndomain b.com mailbox b2\ndomain b.com mailbox B2\ndomain b.com alias b2 x@y.z",
        &[
            "3: B2 has a mailbox already, and case does not tell users apart; keep one",
            "4: b2 of b.com has a mailbox; keep that or the alias",
        ],
    ),
    (
        "a tolerated stranger",
        "domain b.com address ::7\ndomain b.com client 172.16.0.0/12 tolerant\n\
             domain b.com client 172.0.0.0/8 tolerant\ndomain b.com client 203.0.113.9 tolerant plaintext-auth\n\
             domain b.com client 2001:db8::/32 plaintext-auth\ndomain b.com client fe80::/64 tolerant",
        &[
            "3: 172.0.0.0/8 is no private address, and only devices of one's own network are put up with; leave out `tolerant`",
            "4: 203.0.113.9 is no private address, and only devices of one's own network are put up with; leave out `tolerant`",
        ],
    ),
    (
        "a user without a password, and one twice",
        "domain b.com address ::7\ndomain b.com user b1 sends-as x@b.com\ndomain b.com user b2 password x\n\
             domain b.com user B2 password y",
        &[
            "2: b1 has no password; add `domain b.com user b1 password PASSWORD`",
            "4: B2 is a user already, and case does not tell users apart; keep one",
        ],
    ),
    (
        "two passwords",
        "domain b.com address ::7\ndomain b.com route default a.b user b password x\n\
             domain b.com route default a.b user b password y",
        &["3: this contradicts line 2, `domain b.com route default a.b user b password (hidden)`; keep one"],
    ),
    (
        "an alias of itself",
        "domain b.com address ::7\ndomain b.com alias b1 B1@b.com",
        &["2: b1@b.com and b1@b.com are aliases of one another in a circle; end it at a mailbox"],
    ),
    (
        "aliases in a circle over two domains",
        "domain b.com address ::7\ndomain c.com address ::8\ndomain b.com alias b1 c1@c.com\n\
             domain c.com alias c1 c2@c.com\ndomain c.com alias c2 b1@b.com\ndomain c.com alias c2 x@y.z",
        &["5: c2@c.com and b1@b.com are aliases of one another in a circle; end it at a mailbox"],
    ),
];

#[test]
fn statements_that_do_not_go_together_are_refused_with_their_line() {
    for (caption, text, wanted) in CONTRADICTIONS.iter().copied() {
        assert_eq!(problems(text), wanted, "{caption}");
    }
}

#[test]
fn what_only_looks_wrong_is_taken() {
    for (caption, text) in [
        ("a domain on the box's address", "box address 10.0.0.1\ndomain abc.com address 10.0.0.1"),
        ("the same statement twice", "box name a.com\nbox name A.com"),
        (
            "a route to the box's address, another port",
            "box address 10.0.0.1\ndomain b.c address ::7\ndomain b.c route default 10.0.0.1:26",
        ),
        (
            "the own name, elsewhere by a static name",
            "box host 10.0.0.9 b.c\ndomain b.c address ::7\ndomain b.c forward b.c",
        ),
        ("a prefix length nobody needs", "box address 10.0.0.1/24"),
        (
            "an alias diamond",
            "domain b.c address ::7\ndomain b.c alias a b@b.c\ndomain b.c alias a c@b.c\ndomain b.c alias b d@b.c\ndomain b.c alias c d@b.c",
        ),
        ("all ports off", "box port smtp off\nbox port submission off\nbox port submissions off"),
    ] {
        assert!(parse(text.as_bytes()).is_ok(), "{caption}: {:?}", parse(text.as_bytes()));
    }
}

#[test]
fn a_typed_password_is_kept_as_a_verifier_of_its_own() {
    let text = "domain b.com address ::7 # six\ndomain b.com user b1\tpassword \"let me in\"\r\n\
                domain b.com user b2 password x # gone\ndomain b.com user password\n";
    let kept = String::from_utf8(sealed(text.as_bytes()).unwrap()).unwrap();
    let lines: Vec<&str> = kept.split('\n').collect();
    assert_eq!(
        (lines[0], lines[3], lines.len()),
        ("domain b.com address ::7 # six", "domain b.com user password", 5)
    );
    assert!(
        lines[1].starts_with("domain b.com user b1 verifier SCRAM-SHA-256$") && !kept.contains("let me in")
    );
    let config = parse(lines[..3].join("\n").as_bytes()).unwrap();
    assert!(config.domains[0].users[0].verifier.as_ref().unwrap().accepts("let me in"));
    assert!(config.domains[0].users[1].verifier.as_ref().unwrap().accepts("x"));
    assert_eq!(sealed(kept.as_bytes()), None, "sealed already");
    assert_eq!(print(&config), parse(print(&config).as_bytes()).map(|again| print(&again)).unwrap());
}

#[test]
fn passwords_for_other_hosts_are_saved_and_not_shown() {
    let text =
        "domain b.com address ::7\ndomain b.com route default a.b user b password s3cret tls required\n";
    let config = parse(text.as_bytes()).unwrap();
    assert_eq!(print(&config), text);
    assert_eq!(print_shown(&config), text.replace("s3cret", "(hidden)"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn all_problems_are_reported_each_with_its_line() {
    let text = b"box name\n\xff\n# fine\nbox port smtp 0\ndomain bcd.com ehlo -\n";
    let found: Vec<String> = parse(text).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "1: `box name` is not complete; the form is `box name HOST`",
            "2: byte 1 of the line, 0xff, is no UTF-8; write plain text",
            "4: `0` is no port; write a number from 1 to 65535",
            "5: `-` is no host name; write letters, digits and inner hyphens parted by dots, as in mail.example.com",
        ]
    );
}

#[test]
fn too_much_text_is_refused() {
    let line = format!("box name {}\n", "a".repeat(1020));
    assert_eq!(problems(&line), ["1: the line is longer than 1024 bytes; a statement fits on one"]);
    let text = "#\n".repeat(600_000);
    assert_eq!(problems(&text), ["1: the configuration is longer than 1048576 bytes; make it shorter"]);
    let many: String = (0..1001).map(|n| format!("domain d{n}.com address 2001:db8::{n:x}\n")).collect();
    assert_eq!(
        problems(&many.replace("::0\n", "::ffff\n")),
        ["1001: one domain too many; a box hosts at most 1000"]
    );
}

/// Arguments that are right more often than not, so that many made-up texts are configurations.
fn argument() -> impl Strategy<Value = String> {
    prop_oneof![
        "(a|b|mail)\\.(com|net)",
        "10\\.0\\.[0-2]\\.[1-9]",
        "10\\.[0-3]\\.0\\.0/1[4-8]",
        "2001:db8::[1-9]",
        "\\[2001:db8::[1-9]\\]:[1-9][0-9]",
        "[a-c]@(b|x)\\.com",
        "[1-9][smhd]",
        "[1-9][0-9]{0,2}",
        Just("\"a # b\"".to_owned()),
        Just("#b".to_owned()),
        "\\PC{0,12}",
    ]
}

fn line() -> impl Strategy<Value = String> {
    (0..FORMS.len(), proptest::collection::vec((argument(), 0..9usize), 8)).prop_map(|(form, arguments)| {
        let places = crate::config::grammar::places(FORMS[form].form);
        let words = places.zip(arguments).map(|(place, (word, pick))| {
            let literals: Vec<&str> = place.literals().collect();
            match literals[..] {
                [one] if place.is_fixed() => one.to_owned(),
                [.., last] if pick < 3 => last.to_owned(),
                _ => word,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Err(found) = parse(&bytes) {
            prop_assert!(!found.is_empty());
            prop_assert!(found.iter().all(|problem| problem.what.len() < 1000 && !problem.what.contains('\n')));
        }
    }

    #[test]
    fn a_statement_printed_is_the_statement(line in line()) {
        if let Ok(Some(statement)) = parse_statement(&line) {
            prop_assert_eq!(parse_statement(&statement.whole()), Ok(Some(statement)));
        }
    }

    #[test]
    fn a_configuration_printed_is_the_configuration(lines in proptest::collection::vec(line(), 0..30)) {
        let mut kept: Vec<(usize, Statement)> = Vec::new();
        for statement in lines.iter().filter_map(|line| parse_statement(line).ok().flatten()) {
            kept.push((kept.len() + 1, statement));
            if build(&kept).is_err_and(|found| found.iter().any(|p| !p.what.contains("has no address"))) {
                kept.pop();
            }
        }
        if let Ok(config) = build(&kept) {
            let printed = print(&config);
            prop_assert_eq!(parse(printed.as_bytes()), Ok(config.clone()), "{}", printed);
            prop_assert_eq!(build(&statements(&config).into_iter().map(|s| (1, s)).collect::<Vec<_>>()), Ok(config));
        }
    }
}
