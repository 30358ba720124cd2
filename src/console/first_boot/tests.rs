//! Dialogues as they happen: what the operator types, and what comes of it.

use proptest::prelude::*;

use super::*;

fn dialogue(answers: &[&str]) -> (Dialogue, Vec<Next>) {
    let mut dialogue = Dialogue::new(vec!["eth0".to_owned(), "eth1".to_owned()]);
    let nexts = answers.iter().map(|line| dialogue.answer(line)).collect();
    (dialogue, nexts)
}

const ANSWERS: [&str; 9] = [
    "relay.abc.com",
    "",
    "192.0.2.1/24",
    "192.0.2.254",
    "192.0.2.53, 192.0.2.54",
    "bcd.com",
    "192.0.2.70/24",
    "192.168.7.0/24",
    "x1@xyz.com",
];

#[test]
fn a_new_user_comes_to_a_working_box() {
    let (mut dialogue, nexts) = dialogue(&ANSWERS);
    assert!(nexts.iter().all(|next| *next == Next::Ask), "{nexts:?}");
    assert_eq!(dialogue.prompt(), "yes or no [no]: ");
    let text = "\
box name relay.abc.com
box interface eth0
box address 192.0.2.1/24
box gateway 192.0.2.254
box nameserver 192.0.2.53
box nameserver 192.0.2.54
domain bcd.com address 192.0.2.70/24
domain bcd.com client 192.168.7.0/24
";
    assert_eq!(dialogue.question_text(), format!("{text}Is this right?\n"));
    let Next::Done(setup) = dialogue.answer("yes") else { panic!("yes ends the dialogue") };
    assert_eq!(print(&setup.config), text);
    let (from, to) = setup.test.unwrap();
    assert_eq!(
        (from.to_string(), to.to_string()),
        ("postmaster@bcd.com".to_owned(), "x1@xyz.com".to_owned())
    );
}

#[test]
fn enter_takes_what_stands_in_brackets() {
    let (dialogue, _) = dialogue(&ANSWERS[..1]);
    assert_eq!(dialogue.prompt(), "interface [eth0]: ");
    let (mut dialogue, nexts) = self::dialogue(&["a.com", "", "192.0.2.1/24", "", "", "bcd.com", "", "", ""]);
    assert!(nexts.iter().all(|next| *next == Next::Ask), "{nexts:?}");
    let Next::Done(setup) = dialogue.answer("y") else { panic!("y is yes") };
    assert_eq!(setup.test, None);
    assert!(print(&setup.config).ends_with("domain bcd.com address 192.0.2.1/24\n"));
}

#[test]
fn a_wrong_answer_is_told_why_and_asked_again() {
    for (caption, answers, why) in [
        ("no name", &[""][..], "this one is needed; the question shows an example"),
        (
            "no length",
            &["a.com", "eth0", "192.0.2.1"],
            "the length of the prefix is missing, which the box needs to add 192.0.2.1 to eth0; write it as 192.0.2.1/24",
        ),
        ("no such NIC", &["a.com", "eth9"], "there is no NIC `eth9`; write eth0, eth1 or none"),
        (
            "a router elsewhere",
            &["a.com", "eth1.20", "10.0.2.15/24", "10.0.3.1"],
            "10.0.3.1 is not in the network of 10.0.2.15/24; name a router that is",
        ),
        (
            "a question",
            &["?"],
            "answer the question, or write `back` for the one before; ^C leaves for the commands",
        ),
        ("two words", &["a.com b.com"], "`b.com` is too much; the form is `box name HOST`"),
        (
            "four servers",
            &["a.com", "none", "10.0.0.1", "", "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5"],
            "one name server too many; keep at most 3",
        ),
        (
            "no domain",
            &["a.com", "none", "10.0.0.1", "", "", "bcd_com"],
            "`bcd_com` is no host name; write letters, digits and inner hyphens parted by dots, as in mail.example.com",
        ),
        (
            "no recipient",
            &["a.com", "none", "10.0.0.1", "", "", "bcd.com", "", "", "x1"],
            "`x1` is no address; the address has no @; write it as in b1@bcd.com",
        ),
        (
            "neither yes nor no",
            &["a.com", "none", "10.0.0.1", "", "", "bcd.com", "", "", "", "maybe"],
            "write yes or no; no begins again",
        ),
    ] {
        let (dialogue, nexts) = dialogue(answers);
        assert_eq!(nexts.last(), Some(&Next::Again(why.to_owned())), "{caption}");
        assert_eq!(dialogue.answers.len(), answers.len() - 1, "{caption}");
    }
}

#[test]
fn back_and_no_lead_back() {
    let (dialogue, _) = dialogue(&["a.com", "eth1", "back", "back", "back"]);
    assert_eq!(dialogue.question(), Question::Name);
    let (dialogue, nexts) = self::dialogue(&[&ANSWERS[..], &["no"]].concat());
    assert_eq!(nexts.last(), Some(&Next::Ask));
    assert_eq!(dialogue.question(), Question::Name);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_answers_do_no_harm(lines in proptest::collection::vec(
        prop_oneof!["\\PC{0,20}", Just("back".to_owned()), Just("10.0.0.1/8".to_owned()), Just("a.com".to_owned()), Just(String::new())],
        0..30,
    )) {
        let mut dialogue = Dialogue::new(vec!["eth0".to_owned()]);
        for line in lines {
            if let Next::Done(setup) = dialogue.answer(&line) {
                prop_assert!(setup.config.domains.len() == 1);
                break;
            }
            prop_assert!(!dialogue.prompt().is_empty());
            prop_assert!(dialogue.question_text().ends_with('\n'));
        }
    }
}
