//! Who may send what to whom, row by row, under one configuration.

use super::*;
use crate::config;

const CONFIG: &str = "
    box name host.abc.com
    box address 203.0.113.1
    domain abc.com address 203.0.113.1
    domain abc.com client 10.0.1.0/24
    domain abc.com mailbox a1
    domain abc.com alias office a1@abc.com
    domain abc.com alias office b1@bcd.com
    domain abc.com alias far x1@xyz.com
    domain bcd.com address 203.0.113.70
    domain bcd.com client 10.0.2.0/24
    domain bcd.com client 10.0.9.9
    domain bcd.com mailbox b1
    domain bcd.com mailbox b2
    domain inner.net address 203.0.113.71
    domain inner.net client 10.0.9.9
    domain inner.net forward 10.9.9.9
";

const SHARED: &str = "203.0.113.1";
const BCD: &str = "203.0.113.70";
const ABC_CLIENT: &str = "10.0.1.5";
const BCD_CLIENT: &str = "10.0.2.5";
const BOTH_CLIENT: &str = "10.0.9.9";
const STRANGER: &str = "198.51.100.7";

fn config() -> Config {
    config::parse(CONFIG.as_bytes()).expect("the test's configuration")
}

fn door(reached: &str, client: &str) -> Door {
    Door { reached: reached.parse().unwrap(), client: client.parse().unwrap(), service: Service::Smtp }
}

fn path(text: &str) -> ReversePath {
    match text {
        "" => ReversePath::Null,
        text => ReversePath::Address(Address::parse(text).unwrap()),
    }
}

#[test]
fn the_owner_is_found_by_address_then_by_sender() {
    let config = config();
    let rows = [
        ("a domain's own address", BCD, STRANGER, "a1@abc.com", Some("bcd.com")),
        ("the shared address, a hosted sender", SHARED, STRANGER, "b1@bcd.com", Some("bcd.com")),
        ("the shared address, a strange sender", SHARED, STRANGER, "x1@xyz.com", Some("abc.com")),
        ("the shared address, no sender", SHARED, BCD_CLIENT, "", Some("abc.com")),
        ("an address that is not ours", "192.0.2.1", BCD_CLIENT, "b1@bcd.com", None),
    ];
    for (caption, reached, client, from, expected) in rows {
        let owner = owner(&config, &door(reached, client), &path(from)).map(|d| d.name.as_str());
        assert_eq!(owner, expected, "{caption}");
    }
}

#[test]
fn an_empty_sender_on_a_purely_shared_address_belongs_to_the_only_domain_that_knows_the_client() {
    let mut config = config();
    config.domains[0].addresses[0].ip = "203.0.113.2".parse().unwrap();
    for (client, expected) in [(ABC_CLIENT, Some("abc.com")), (BOTH_CLIENT, None), (STRANGER, None)] {
        let owner = owner(&config, &door(SHARED, client), &ReversePath::Null).map(|d| d.name.as_str());
        assert_eq!(owner, expected, "{client}");
    }
}

#[test]
fn only_clients_relay_and_only_as_their_own_domain() {
    let config = config();
    let x1 = Address::parse("x1@xyz.com").unwrap();
    let rows = [
        ("a client on its domain's address", BCD, BCD_CLIENT, "b1@bcd.com", Ok(())),
        ("any user of the domain", BCD, BCD_CLIENT, "whoever@bcd.com", Ok(())),
        ("its bounces", BCD, BCD_CLIENT, "", Ok(())),
        ("a client on the shared address", SHARED, BCD_CLIENT, "b1@bcd.com", Ok(())),
        ("a client of several domains", SHARED, BOTH_CLIENT, "u@inner.net", Ok(())),
        ("an IPv4 client seen through IPv6", BCD, "::ffff:10.0.2.5", "b1@bcd.com", Ok(())),
        ("a stranger", BCD, STRANGER, "b1@bcd.com", Err("198.51.100.7 is no client of bcd.com")),
        ("a stranger's bounce", BCD, STRANGER, "", Err("198.51.100.7 is no client of bcd.com")),
        ("another domain's client", BCD, ABC_CLIENT, "b1@bcd.com", Err("10.0.1.5 is no client of bcd.com")),
        (
            "a client under another domain's name",
            BCD,
            BCD_CLIENT,
            "a1@abc.com",
            Err("a client of bcd.com sends as its users, not as <a1@abc.com>"),
        ),
        (
            "a hosted name from elsewhere",
            SHARED,
            ABC_CLIENT,
            "b1@bcd.com",
            Err("10.0.1.5 is no client of bcd.com"),
        ),
        (
            "a strange name on the shared address",
            SHARED,
            ABC_CLIENT,
            "x@xyz.com",
            Err("a client of abc.com sends as its users, not as <x@xyz.com>"),
        ),
    ];
    for (caption, reached, client, from, expected) in rows {
        let verdict = check_recipient(&config, &door(reached, client), None, &path(from), &x1);
        match expected {
            Ok(()) => assert_eq!(verdict, Ok(()), "{caption}"),
            Err(rule) => {
                let reply = verdict.expect_err(caption);
                assert_eq!(
                    reply.to_string(),
                    format!("550 5.7.1 <x1@xyz.com>: relaying refused: {rule}"),
                    "{caption}"
                );
            }
        }
    }
}

#[test]
fn who_may_be_a_sender_of_a_later_version_is_told_to_come_again() {
    let x1 = Address::parse("x1@xyz.com").unwrap();
    for line in ["domain bcd.com client 198.51.100.7 far", "domain bcd.com user b9 far"] {
        let text = format!("{}{line}\n", crate::config::print(&config()));
        let config = crate::config::saved::read(text.as_bytes()).unwrap().0;
        let code = |verdict: Result<(), Reply>| verdict.err().map(|reply| reply.code());
        for (reached, service, from, wanted) in [
            (BCD, Service::Smtp, "b1@bcd.com", 450),
            (BCD, Service::Smtp, "", 450),
            (BCD, Service::Submission, "b1@bcd.com", 450),
            (SHARED, Service::Smtp, "b1@bcd.com", 450),
            (SHARED, Service::Smtp, "a1@abc.com", 550),
        ] {
            let door = Door { service, ..door(reached, STRANGER) };
            let verdict = check_recipient(&config, &door, None, &path(from), &x1);
            assert_eq!(code(verdict), Some(wanted), "{line}: {from} at {reached}");
        }
        let door = Door { service: Service::Submission, ..door(BCD, STRANGER) };
        assert_eq!(code(check_sender(&config, &door, None, true, &path("b1@bcd.com"))), Some(450));
        assert!(!config.lacks_roads(&Domain::parse("bcd.com").unwrap()));
        assert_eq!(config.lacks_users(), line.contains("user"));
    }
}

#[test]
fn strangers_reach_hosted_users_and_nobody_else() {
    let config = config();
    let rows = [
        ("a mailbox", "b1@bcd.com", None),
        ("in another case", "B1@BCD.com", None),
        ("quoted", "\"b1\"@bcd.com", None),
        ("through another domain's door", "a1@abc.com", None),
        ("an alias", "office@abc.com", None),
        ("an alias to another system", "far@abc.com", None),
        ("the postmaster, always", "postmaster@bcd.com", None),
        ("the postmaster of the box", "Postmaster@host.abc.com", None),
        ("an answer to a report", "MAILER-DAEMON@bcd.com", None),
        ("a literal of our address", "b1@[203.0.113.70]", None),
        ("any user of a forwarded domain", "anyone@inner.net", None),
        ("no such user", "b9@bcd.com", Some("5.1.1")),
        ("a user of the box's own name", "a1@host.abc.com", Some("5.7.1")),
        ("another system", "x1@xyz.com", Some("5.7.1")),
        ("another system's literal", "x1@[192.0.2.1]", Some("5.7.1")),
        ("the percent hack", "x1%xyz.com@bcd.com", Some("5.1.1")),
        ("the percent hack through a forward", "x1%xyz.com@inner.net", Some("5.7.1")),
        ("a bang path", "xyz.com!x1@bcd.com", Some("5.1.1")),
        ("a bang path through a forward", "xyz.com!x1@inner.net", Some("5.7.1")),
        ("an address in quotes", "\"x1@xyz.com\"@bcd.com", Some("5.1.1")),
        ("an address in quotes through a forward", "\"x1@xyz.com\"@inner.net", Some("5.7.1")),
        ("a route in quotes through a forward", "\"@a:x1\"@inner.net", Some("5.7.1")),
    ];
    for (caption, to, refusal) in rows {
        let to = Address::parse(to).unwrap();
        let verdict = check_recipient(&config, &door(BCD, STRANGER), None, &path("s@else.org"), &to);
        let code = verdict.err().and_then(|reply| reply.enhanced()).map(|e| e.to_string());
        assert_eq!(code.as_deref(), refusal, "{caption}");
    }
}

#[test]
fn a_message_is_cut_into_the_shares_of_those_who_answer_for_it() {
    let config = config();
    let to = ["x1@xyz.com", "a1@abc.com", "office@abc.com", "far@abc.com", "b2@bcd.com", "x1@xyz.com"];
    let envelope = Envelope::plain(path("b1@bcd.com"), to.iter().map(|t| Address::parse(t).unwrap()));
    let shares = shares(&config, &door(BCD, BCD_CLIENT), None, &envelope).unwrap();
    let cut: Vec<(String, Vec<String>)> = shares
        .iter()
        .map(|s| {
            assert_eq!(s.authored, s.owner.as_str() == "bcd.com", "{}", s.owner);
            let to = s.envelope.recipients.iter().map(|r| r.address.to_string()).collect();
            (s.owner.to_string(), to)
        })
        .collect();
    let expected = [
        ("bcd.com", vec!["x1@xyz.com", "b1@bcd.com", "b2@bcd.com"]),
        ("abc.com", vec!["a1@abc.com", "x1@xyz.com"]),
    ];
    let expected: Vec<(String, Vec<String>)> =
        expected.iter().map(|(o, to)| (o.to_string(), to.iter().map(|t| t.to_string()).collect())).collect();
    assert_eq!(cut, expected);
}

#[test]
fn of_several_behind_an_alias_one_answers_for_success() {
    let mut config = config();
    let alias = |to: &str| (LocalPart::parse("team").unwrap(), Address::parse(to).unwrap());
    config.domains[0].aliases.extend(["x1@xyz.com", "x2@xyz.com", "x3@xyz.com"].map(alias));
    let all = Notify { success: true, failure: true, delay: false };
    for (asked, first, others) in [
        (None, None, None),
        (Some(Notify::NEVER), Some(Notify::NEVER), Some(Notify::NEVER)),
        (Some(all), Some(all), Some(Notify { success: false, ..all })),
    ] {
        let mut envelope = Envelope::plain(path("s@else.org"), [Address::parse("team@abc.com").unwrap()]);
        envelope.recipients[0].notify = asked;
        envelope.recipients[0].orcpt = Some("rfc822;team@abc.com".to_owned());
        let shares = shares(&config, &door(BCD, STRANGER), None, &envelope).unwrap();
        let found = &shares[0].envelope.recipients;
        assert_eq!(found.iter().map(|r| r.notify).collect::<Vec<_>>(), [first, others, others]);
        assert!(found.iter().all(|r| r.orcpt.as_deref() == Some("rfc822;team@abc.com")), "{found:?}");
    }
}

#[test]
fn a_circle_of_aliases_is_refused_not_followed() {
    let mut config = config();
    let alias = |to: &str| (LocalPart::parse("round").unwrap(), Address::parse(to).unwrap());
    config.domains[0].aliases.push(alias("round@bcd.com"));
    config.domains[1].aliases.push(alias("round@abc.com"));
    let envelope = Envelope::plain(path("s@else.org"), [Address::parse("round@abc.com").unwrap()]);
    let refusal = shares(&config, &door(BCD, STRANGER), None, &envelope).unwrap_err();
    assert_eq!(refusal.enhanced(), Some(Enhanced(5, 4, 6)));
}

/// The same house, with users.
fn with_users() -> Config {
    let verifier = crate::smtp::sasl::Verifier::new("secret", [1; 16]);
    let users = format!(
        "{CONFIG}
        domain bcd.com user b1 verifier {verifier}
        domain bcd.com user b2 verifier {verifier}
        domain bcd.com user b2 sends-as info@bcd.com boss@abc.com"
    );
    config::parse(users.as_bytes()).expect("the test's configuration")
}

#[test]
fn a_user_sends_as_himself_from_anywhere_and_his_domain_speaks() {
    let config = with_users();
    for (user, from, allowed) in [
        ("b1@bcd.com", "b1@bcd.com", true),
        ("b1@bcd.com", "B1@BCD.com", true),
        ("b1@bcd.com", "", true),
        ("b1@bcd.com", "b2@bcd.com", false),
        ("b1@bcd.com", "a1@abc.com", false),
        ("b1@bcd.com", "x1@xyz.com", false),
        ("b2@bcd.com", "b2@bcd.com", true),
        ("b2@bcd.com", "Info@bcd.com", true),
        ("b2@bcd.com", "boss@abc.com", true),
        ("b2@bcd.com", "b1@bcd.com", false),
        ("b9@bcd.com", "b9@bcd.com", false),
    ] {
        let user = Address::parse(user).unwrap();
        // Even a client of the domain is bound by what it has proved to be.
        for (reached, client) in
            [(SHARED, STRANGER), (BCD, STRANGER), (BCD, BCD_CLIENT), ("203.0.113.71", STRANGER)]
        {
            let door = door(reached, client);
            let sender = may_send(&config, &door, Some(&user), &path(from));
            assert_eq!(
                sender.as_ref().map(|d| d.name.as_str()).ok(),
                allowed.then_some("bcd.com"),
                "{user} {from}"
            );
            let verdict = check_sender(&config, &door, Some(&user), true, &path(from));
            assert_eq!(verdict.is_ok(), allowed, "{user} {from}");
            if let Err(reply) = verdict {
                assert_eq!((reply.code(), reply.enhanced()), (553, Some(Enhanced(5, 7, 1))), "{user} {from}");
            }
        }
    }
}

#[test]
fn a_name_means_a_user_of_the_address_that_was_reached() {
    let config = with_users();
    for (reached, name, user) in [
        (BCD, "b1", Some("b1@bcd.com")),
        (BCD, "a1@abc.com", Some("a1@abc.com")),
        (SHARED, "a1", Some("a1@abc.com")),
        ("203.0.113.2", "b1", None),
        (BCD, "b1@", None),
        (BCD, "", None),
    ] {
        let named = user_named(&config, &door(reached, STRANGER), name).map(|a| a.to_string());
        assert_eq!(named.as_deref(), user, "{name:?} at {reached}");
    }
}

#[test]
fn the_submission_port_asks_strangers_who_they_are() {
    let (config, nobody) = (with_users(), config());
    let at = |client| Door { service: Service::Submission, ..door(BCD, client) };
    for (caption, config, client, under_tls, from, told) in [
        ("a client", &config, BCD_CLIENT, false, "whoever@bcd.com", None),
        (
            "a client as another",
            &config,
            BCD_CLIENT,
            false,
            "a1@abc.com",
            Some(
                "550 5.7.1 only users send mail here: a client of bcd.com sends as its users, not as <a1@abc.com>",
            ),
        ),
        ("a stranger", &config, STRANGER, true, "b1@bcd.com", Some("530 5.7.0 Authentication required")),
        (
            "a stranger in the clear",
            &config,
            STRANGER,
            false,
            "b1@bcd.com",
            Some("530 5.7.0 Authentication required; say STARTTLS first"),
        ),
        (
            "a stranger where there are no users",
            &nobody,
            STRANGER,
            true,
            "",
            Some("550 5.7.1 only users send mail here: 198.51.100.7 is no client of bcd.com"),
        ),
    ] {
        let verdict = check_sender(config, &at(client), None, under_tls, &path(from));
        assert_eq!(verdict.err().map(|reply| reply.to_string()).as_deref(), told, "{caption}");
        assert_eq!(
            check_sender(config, &door(BCD, client), None, under_tls, &path(from)),
            Ok(()),
            "{caption}, port 25"
        );
    }
}

#[test]
fn reports_go_to_senders_we_vouch_for() {
    let config = config();
    let rows = [
        ("a user of ours", BCD_CLIENT, "b1@bcd.com", None, true),
        ("our user's name, from outside", STRANGER, "b1@bcd.com", None, false),
        ("a stranger without a name", STRANGER, "x1@xyz.com", None, false),
        ("a stranger from its own host", STRANGER, "x1@xyz.com", Some("xyz.com"), true),
        ("one from a host of its domain", STRANGER, "x1@xyz.com", Some("mail.xyz.com"), true),
        ("one from somewhere else", STRANGER, "x1@xyz.com", Some("evilxyz.com"), false),
        ("one from below", STRANGER, "x1@mail.xyz.com", Some("xyz.com"), false),
    ];
    for (caption, client, from, verified, expected) in rows {
        let verified = verified.map(|name| Domain::parse(name).unwrap());
        let vouched = vouches(&config, &door(BCD, client), None, &path(from), verified.as_ref());
        assert_eq!(vouched, expected, "{caption}");
    }
}
