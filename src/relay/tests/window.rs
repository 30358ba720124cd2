//! The window of duplicates: a cut sends a message again to those recipients only whose hosts took it in the
//! last five seconds (`SPOOL_LAZY_MS`) and the batch that follows; and what a cut must not make of a failure.

use super::*;
use crate::limits::SPOOL_LAZY_MS;

const WINDOW: Duration = Duration::from_millis(SPOOL_LAZY_MS);

/// A message of a1 to two hosts is on flash; xyz.com has answered for x1 and yyy.com hangs.
fn one_answers_and_one_hangs(say: impl Fn(&Address) -> Attempt) -> Desk {
    let mut desk = Desk::new();
    desk.try_hand_in("a1@abc.com", &["x1@xyz.com", "y1@yyy.com"]).unwrap();
    desk.flush();
    assert!(matches!(desk.answer(), Some((_, Ok(Safe::Stored)))));
    desk.office.activate_due(desk.now);
    let mut answered = 0;
    while let Some(key) = desk.office.open_connection() {
        let job = desk.office.take_job(&key, true).expect("each lane has a job");
        if job.recipients == [0] {
            let outcome = say(&Address::parse("x1@xyz.com").unwrap());
            desk.office.finish_job(desk.now, &key.sender, job.id, vec![(0, outcome)]);
            answered += 1;
        }
    }
    assert_eq!(answered, 1);
    desk
}

/// Who is offered the message after a cut. All say yes.
fn asked_after_a_cut(desk: &mut Desk) -> Vec<String> {
    desk.cut();
    let asked = std::cell::RefCell::new(Vec::new());
    desk.hosts_say(|to| {
        asked.borrow_mut().push(to.to_string());
        yes(to)
    });
    asked.into_inner()
}

#[test]
fn an_outcome_is_on_flash_after_the_window_though_another_host_hangs() {
    let mut desk = one_answers_and_one_hangs(yes);
    assert_eq!(desk.office.flush_at(), desk.now.mono + WINDOW);
    desk.pass(WINDOW - Duration::from_millis(1));
    assert!(!desk.flush(), "nothing is written for it before");
    desk.pass(Duration::from_millis(1));
    assert!(desk.flush());
    assert_eq!(desk.office.flush_at(), Instant::NEVER, "and once is enough");
    assert_eq!(asked_after_a_cut(&mut desk), ["y1@yyy.com"]);
}

#[test]
fn a_cut_within_the_window_sends_to_both() {
    let mut desk = one_answers_and_one_hangs(yes);
    desk.pass(WINDOW - Duration::from_millis(1));
    desk.flush();
    assert_eq!(asked_after_a_cut(&mut desk), ["x1@xyz.com", "y1@yyy.com"]);
}

#[test]
fn an_outcome_rides_along_with_the_next_commit() {
    let mut desk = one_answers_and_one_hangs(yes);
    desk.try_hand_in("a1@abc.com", &["y2@yyy.com"]).unwrap();
    assert!(desk.flush());
    assert_eq!(asked_after_a_cut(&mut desk), ["y1@yyy.com", "y2@yyy.com"]);
}

#[test]
fn a_message_that_every_host_has_is_not_sent_again_after_the_window() {
    let mut desk = Desk::new();
    desk.try_hand_in("a1@abc.com", &["x1@xyz.com"]).unwrap();
    desk.flush();
    desk.hosts_say(yes);
    desk.flush();
    desk.pass(WINDOW);
    desk.flush();
    assert!(asked_after_a_cut(&mut desk).is_empty());
    assert_eq!(desk.queued(), 0);
}

#[test]
fn a_failure_that_nobody_was_told_of_fails_again_after_a_cut_and_is_told() {
    let mut desk = one_answers_and_one_hangs(no);
    desk.pass(WINDOW);
    desk.flush();
    desk.cut();
    desk.hosts_say(|to| if to.local.as_str() == "x1" { no(to) } else { yes(to) });
    desk.flush();
    desk.office.activate_due(desk.now);
    let told = desk.mailboxes_take_everything();
    assert_eq!(told.iter().map(|job| job.user.as_str()).collect::<Vec<_>>(), ["a1"]);
}

#[test]
fn a_failure_of_held_mail_is_told_after_a_cut_too() {
    let mut desk = Desk::new();
    let (_, receipt) = desk.hand_in(&["x1@xyz.com", "y1@yyy.com"]);
    while let Some(key) = desk.office.open_connection() {
        let job = desk.office.take_job(&key, true).unwrap();
        if job.recipients == [0] {
            let outcome = no(&Address::parse("x1@xyz.com").unwrap());
            desk.office.finish_job(desk.now, &key.sender, job.id, vec![(0, outcome)]);
        }
    }
    desk.pass(Duration::from_secs(2));
    desk.office.commit_held(desk.now, receipt);
    desk.flush();
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    desk.cut();
    desk.hosts_say(|to| if to.local.as_str() == "x1" { no(to) } else { yes(to) });
    desk.flush();
    desk.office.activate_due(desk.now);
    assert_eq!(desk.mailboxes_take_everything().len(), 1, "b1 hears that x1 did not get it");
}
