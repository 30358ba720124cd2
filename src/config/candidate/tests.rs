//! A configuration's way, as it happens: edits, commits, trials that end well and badly, and the way back.

use proptest::prelude::*;

use super::*;
use crate::config::grammar::Spelling;

const START: &str = "box name abc.com\nbox address 10.0.0.1\ndomain bcd.com address 10.0.0.7\n";

fn store() -> Store {
    Store::new(text::parse(START.as_bytes()).unwrap(), "")
}

fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { mono: Instant::ORIGIN + since, wall: WallTime::from_unix_seconds(975_320_000 + seconds) }
}

fn set(store: &mut Store, line: &str) {
    let words = words::split(line).unwrap();
    store.set(text::statement_of(&words, Spelling::Prefixes).unwrap()).unwrap();
}

fn delete(store: &mut Store, line: &str) -> Result<usize, String> {
    store.delete(&words::split(line).unwrap())
}

fn changes(store: &Store) -> Vec<String> {
    store.changes().iter().map(ToString::to_string).collect()
}

fn running(store: &Store) -> String {
    text::print(store.running())
}

#[test]
fn edits_change_nothing_until_they_are_committed() {
    let mut store = store();
    set(&mut store, "domain bcd.com ehlo mail.bcd.com");
    set(&mut store, "bo name box.abc.com");
    set(&mut store, "domain bcd.com address 10.0.0.8");
    let wanted = [
        "- box name abc.com",
        "- domain bcd.com address 10.0.0.7",
        "+ box name box.abc.com",
        "+ domain bcd.com address 10.0.0.8",
        "+ domain bcd.com ehlo mail.bcd.com",
    ];
    assert_eq!(changes(&store), wanted);
    assert_eq!(running(&store), START);
    let commit = store.commit(at(0)).unwrap();
    assert_eq!(commit.change.addresses.added.len(), 1);
    assert_eq!(commit.save.unwrap().config, running(&store));
    assert!(changes(&store).is_empty() && !store.has_candidate());
    assert_eq!(
        store.commit(at(1)).unwrap_err(),
        ["nothing has changed; `set` and `delete` change something"]
    );
}

#[test]
fn delete_takes_statements_by_their_first_words() {
    let mut store = store();
    assert_eq!(delete(&mut store, "box name"), Ok(1));
    assert_eq!(delete(&mut store, "domain BCD.com"), Ok(1));
    assert_eq!(changes(&store), ["- box name abc.com", "- domain bcd.com address 10.0.0.7"]);
    assert_eq!(
        delete(&mut store, "box").unwrap_err(),
        "that is too much; write at least two words of a statement"
    );
    assert_eq!(
        delete(&mut store, "domain cde.com").unwrap_err(),
        "no statement begins with `domain cde.com`; `show config` lists them"
    );
    store.rollback(0).unwrap();
    assert!(changes(&store).is_empty());
}

#[test]
fn a_wrong_candidate_is_refused_and_stays() {
    let mut store = store();
    set(&mut store, "domain cde.com address 10.0.0.7");
    let refusal = store.commit(at(0)).unwrap_err();
    let why = "domain cde.com address 10.0.0.7: 10.0.0.7 is the address of bcd.com already; give cde.com an address of its own";
    assert_eq!(refusal, [why]);
    assert_eq!(running(&store), START);
    assert!(store.has_candidate());
}

#[test]
fn an_edit_undone_is_no_candidate() {
    let mut store = store();
    set(&mut store, "box name other.com");
    set(&mut store, "box name abc.com");
    assert!(!store.has_candidate());
}

#[test]
fn a_trial_without_confirmation_ends_at_its_deadline() {
    let mut store = store();
    delete(&mut store, "box address").unwrap();
    let commit = store.commit_on_trial(at(0), 10).unwrap();
    assert_eq!(commit.save, None);
    assert_eq!(commit.change.addresses.removed.len(), 1);
    assert_eq!(store.expire(at(599).mono), None);
    assert_eq!(store.deadline(), at(600).mono);
    let back = store.expire(at(600).mono).unwrap();
    assert_eq!(back.addresses.added.len(), 1);
    assert_eq!(running(&store), START);
    assert_eq!(changes(&store), ["- box address 10.0.0.1"]);
    assert_eq!(store.deadline(), Instant::NEVER);
    assert_eq!(store.history().count(), 0);
    assert_eq!(store.confirm(at(601).wall).unwrap_err(), "nothing is on trial; `commit confirm` begins one");
}

#[test]
fn a_trial_that_is_confirmed_is_saved() {
    for by_commit in [false, true] {
        let mut store = store();
        set(&mut store, "box name other.com");
        store.commit_on_trial(at(0), 1).unwrap();
        let save = match by_commit {
            false => store.confirm(at(30).wall).unwrap(),
            true => store.commit(at(30)).unwrap().save.unwrap(),
        };
        assert_eq!(save.config, START.replace("abc.com", "other.com"));
        assert_eq!(save.history, format!("# replaced at 975320030 2000-11-27T10:13:50Z\n{START}"));
        assert_eq!(store.expire(at(9999).mono), None);
    }
}

#[test]
fn a_trial_during_a_trial_returns_to_where_the_first_began() {
    let mut store = store();
    set(&mut store, "box name one.com");
    store.commit_on_trial(at(0), 5).unwrap();
    set(&mut store, "box name two.com");
    store.commit_on_trial(at(100), 5).unwrap();
    set(&mut store, "box postmaster a@b.c");
    assert_eq!(store.expire(at(399).mono), None);
    store.expire(at(400).mono).unwrap();
    assert_eq!(running(&store), START);
    assert!(changes(&store).contains(&"+ box postmaster a@b.c".to_owned()), "what is being edited is kept");
}

#[test]
fn former_configurations_come_back_by_number() {
    let mut store = store();
    for n in 1..=25 {
        set(&mut store, &format!("box name n{n}.com"));
        store.commit(at(n)).unwrap();
    }
    assert_eq!(store.history().count(), 20);
    let times: Vec<u64> = store.history().take(2).map(|saved| saved.replaced.unix_seconds()).collect();
    assert_eq!(times, [975_320_025, 975_320_024]);
    store.rollback(3).unwrap();
    assert_eq!(changes(&store), ["- box name n25.com", "+ box name n22.com"]);
    let save = store.commit(at(30)).unwrap().save.unwrap();
    let again = Store::new(store.running().clone(), &save.history);
    assert!(again.history().eq(store.history()));
    assert_eq!(
        store.rollback(21).unwrap_err(),
        "there is no number 21; write one from 1 to 20, or 0 for the running one"
    );
    assert_eq!(
        Store::new(Config::default(), "").rollback(1).unwrap_err(),
        "there is no former configuration yet"
    );
}

#[test]
fn an_import_takes_the_place_of_everything_and_what_comes_with_it_of_its_own() {
    let mut store = store();
    let wanted = "box name new.com\nbox authority /elsewhere/ca.pem\n";
    let statement = |text| text::parse_statement(text).unwrap().unwrap();
    let others = ["box authority /data/authority.pem", "box port smtp 26"].map(statement);
    store.import(&text::parse(wanted.as_bytes()).unwrap(), others.into());
    assert_eq!(store.draft().machine.authority.as_deref(), Some("/data/authority.pem"));
    store.commit(at(0)).unwrap();
    assert_eq!(running(&store), "box name new.com\nbox port smtp 26\nbox authority /data/authority.pem\n");
}

#[test]
fn minutes_of_a_trial_are_bounded() {
    let mut store = store();
    set(&mut store, "box name other.com");
    for minutes in [0, 1441] {
        assert!(store.commit_on_trial(at(0), minutes).is_err());
    }
    assert_eq!(running(&store), START);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is done in whatever order, what is saved is right, and a trial is never saved by itself.
    #[test]
    fn what_is_saved_is_always_a_configuration(steps in proptest::collection::vec((0..8u8, 0..4u8), 0..40)) {
        let mut store = store();
        let mut saved = START.to_owned();
        for (n, (step, which)) in steps.into_iter().enumerate() {
            let now = at(n as u64 * 50);
            let save = match step {
                0 => {
                    set(&mut store, &format!("domain d{which}.com address 10.0.1.{}", which + 1));
                    None
                }
                1 => {
                    set(&mut store, &format!("box name n{which}.com"));
                    None
                }
                2 => delete(&mut store, &format!("domain d{which}.com")).err().and(None),
                3 => store.rollback(which.into()).err().and(None),
                4 => store.commit(now).ok().and_then(|commit| commit.save),
                5 => store.commit_on_trial(now, 1).ok().and_then(|commit| commit.save),
                6 => store.confirm(now.wall).ok(),
                _ => store.expire(now.mono).and(None),
            };
            if let Some(save) = save {
                saved = save.config;
                prop_assert_eq!(&saved, &running(&store));
            }
            if store.deadline() == Instant::NEVER {
                prop_assert_eq!(&saved, &running(&store));
            }
            prop_assert!(text::parse(saved.as_bytes()).is_ok());
            prop_assert_eq!(store.changes().is_empty(), !store.has_candidate());
        }
    }

    #[test]
    fn a_damaged_history_does_no_harm(text in "(# replaced at [0-9]{0,22} x\n|box name a.com\n|\\PC{0,9}\n){0,30}") {
        let mut store = Store::new(Config::default(), &text);
        prop_assert!(store.history().count() <= 20);
        let _ = store.rollback(1);
    }
}
