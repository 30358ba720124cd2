//! Mail that waits: for the operator, for a medium that can be read again, and so long that its sender is told.

use super::*;
use crate::limits::RESIDENT_CONTENT_BYTES_MAX;
use crate::spool::FlashError;
use crate::spool::sim::{Call, Faults};

fn bcd() -> Target {
    Target::Domain(name("bcd.com"))
}

fn alarms(desk: &Desk, domain: &str) -> Vec<String> {
    desk.post(domain).alarms().collect()
}

#[test]
fn a_domain_on_hold_keeps_back_what_comes_until_it_is_released() {
    let mut desk = Desk::new();
    desk.hand_in(&["x1@xyz.com"]);
    desk.hosts_say(later);
    desk.flush();
    assert_eq!(desk.office.operate(desk.now, QueueAction::Hold, &bcd()), 1);
    desk.answer();
    let (_, receipt) = desk.hand_in(&["x2@xyz.com"]);
    assert_eq!(desk.office.held_until(receipt), None, "its client does not wait for what cannot happen");
    desk.flush();
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    desk.pass(Duration::from_secs(7200));
    assert_eq!(desk.office.operate(desk.now, QueueAction::Retry, &bcd()), 0);
    assert_eq!(desk.hosts_say(yes), 0);
    assert_eq!(desk.office.due_at(), Instant::NEVER);
    assert!(alarms(&desk, "bcd.com")[0].contains("queue release"));
    let (other, _) = desk.try_hand_in("a1@abc.com", &["x1@xyz.com"]).unwrap();
    desk.flush();
    assert_eq!(desk.hosts_say(yes), 1, "{other} is another domain's");
    assert_eq!(desk.office.operate(desk.now, QueueAction::Release, &bcd()), 2);
    assert_eq!(desk.hosts_say(yes), 2);
    assert_eq!((desk.queued(), alarms(&desk, "bcd.com").len()), (0, 0));
}

#[test]
fn a_configuration_whose_roads_only_a_later_version_knows_sends_nothing_until_a_release() {
    let mut desk = Desk::new();
    desk.hand_in(&["x1@xyz.com"]);
    desk.hosts_say(later);
    desk.flush();
    let known = desk.office.config().clone();
    let text = format!("{}domain bcd.com route default mx far\n", crate::config::print(&known));
    let lacking = Rc::new(crate::config::saved::read(text.as_bytes()).unwrap().0);
    desk.office.configure(lacking.clone());
    desk.office.hold_without_roads(&known);
    assert!(desk.office.is_held(&name("bcd.com")) && !desk.office.is_held(&name("abc.com")));
    desk.pass(Duration::from_secs(7200));
    assert_eq!(desk.hosts_say(yes), 0);
    desk.office.operate(desk.now, QueueAction::Release, &bcd());
    desk.office.configure(lacking.clone());
    desk.office.hold_without_roads(&lacking);
    assert_eq!(desk.hosts_say(yes), 1, "a lease that comes holds nothing again");
}

#[test]
fn a_hold_of_all_and_a_message_held_by_itself_end_together() {
    let mut desk = Desk::new();
    let (id, _) = desk.hand_in(&["x1@xyz.com"]);
    desk.hosts_say(later);
    desk.flush();
    assert_eq!(desk.office.operate(desk.now, QueueAction::Hold, &Target::Message(id)), 1);
    desk.office.operate(desk.now, QueueAction::Hold, &Target::All);
    assert!(["abc.com", "bcd.com", "cde.com"].iter().all(|d| desk.office.is_held(&name(d))));
    assert_eq!(desk.office.operate(desk.now, QueueAction::Release, &Target::All), 1);
    assert_eq!(desk.hosts_say(yes), 1);
}

#[test]
fn a_message_that_cannot_be_read_is_told_and_tried_again() {
    let mut desk = Desk::new();
    let (id, _) = desk.hand_in(&["x1@xyz.com"]);
    desk.hosts_say(later);
    desk.flush();
    desk.cut();
    desk.pass(Duration::from_secs(3600));
    desk.flash("bcd.com").set_faults(Faults::Every(Call::Read, FlashError::Io(5)));
    assert_eq!(desk.hosts_say(yes), 0);
    assert_eq!(
        alarms(&desk, "bcd.com"),
        [format!("message {id} cannot be read: the spool's medium failed; it is tried again")]
    );
    assert_eq!(desk.queued(), 1);
    desk.flash("bcd.com").set_faults(Faults::None);
    assert_eq!(desk.hosts_say(yes), 0, "not at once");
    desk.pass(Duration::from_secs(300));
    assert_eq!(desk.hosts_say(yes), 1);
    assert_eq!((desk.queued(), alarms(&desk, "bcd.com").len()), (0, 0));
}

/// The text of the mail that now comes into a mailbox here.
fn mail_to_us(desk: &mut Desk) -> Vec<String> {
    desk.office.activate_due(desk.now);
    let mut texts = Vec::new();
    while let Some(job) = desk.office.take_local() {
        let (_, content) = desk.office.job_message(&job.owner, job.id, &[job.recipient]).unwrap();
        let Body::Memory(body) = &content.body else { panic!("a report is small and fresh") };
        texts.push(String::from_utf8([&content.head[..], body].concat()).unwrap());
        let kept = Attempt::Accepted(Answer::own(250, Enhanced(2, 0, 0), "kept"));
        desk.office.finish_job(desk.now, &job.owner, job.id, vec![(job.recipient, kept)]);
    }
    texts
}

#[test]
fn after_four_hours_the_sender_hears_once_that_his_mail_is_late() {
    let mut desk = Desk::new();
    let began = desk.now.mono;
    desk.hand_in(&["x1@xyz.com"]);
    let mut notices = Vec::new();
    for _ in 0..9 * 6 {
        desk.hosts_say(later);
        desk.flush();
        for text in mail_to_us(&mut desk) {
            notices.push((desk.now.mono.since(began).as_secs(), text));
        }
        desk.pass(Duration::from_secs(600));
    }
    let [(after_s, text)] = &notices[..] else { panic!("{} notices", notices.len()) };
    // The attempt that follows the four hours: at most an hour and a tenth later (`retry ... max 1h`).
    assert!((4 * 3600..=4 * 3600 + 3960 + 600).contains(after_s), "after {after_s} s");
    for said in
        ["To: <b1@bcd.com>", "Action: delayed", "Final-Recipient: rfc822; x1@xyz.com", "Will-Retry-Until:"]
    {
        assert!(text.contains(said), "{said:?} is missing in\n{text}");
    }
    desk.cut();
    desk.pass(Duration::from_secs(3600));
    desk.hosts_say(later);
    desk.flush();
    assert!(mail_to_us(&mut desk).is_empty(), "a start does not forget that he was told");
}

#[test]
fn past_the_memory_bound_mail_is_stored_at_once() {
    let mut desk = Desk::new();
    let body = vec![b'x'; 60_000];
    let (mut held, mut stored) = (0, 0);
    while stored == 0 {
        let config = desk.office.config().clone();
        let from = Address::parse("b1@bcd.com").unwrap();
        let to = Address::parse("x1@xyz.com").unwrap();
        let envelope = Envelope::plain(ReversePath::Address(from.clone()), [to]);
        let shares = shares_for(&config, config.domain(&from.domain), &envelope).unwrap();
        let id = desk.office.next_id(desk.now);
        let head = b"Subject: one of many\r\n\r\n".to_vec();
        let composed = Composed { id, shares, origin: String::new(), head, body: body.clone() };
        let receipt = desk.office.accept(desk.now, composed).unwrap();
        match desk.office.held_until(receipt) {
            Some(_) => held += 1,
            None => stored += 1,
        }
        assert!(desk.office.resident_bytes() <= RESIDENT_CONTENT_BYTES_MAX);
    }
    assert_eq!(held, RESIDENT_CONTENT_BYTES_MAX / 60_024);
    assert!(desk.flush());
    assert!(matches!(desk.answer(), Some((_, Ok(Safe::Stored)))), "its client does not wait");
}

#[test]
fn a_held_message_that_the_operator_deletes_does_not_come_back() {
    let mut desk = Desk::new();
    let (id, receipt) = desk.hand_in(&["x1@xyz.com"]);
    let key = desk.office.open_connection().unwrap();
    desk.office.take_job(&key, true).unwrap();
    assert_eq!(desk.office.operate(desk.now, QueueAction::Delete, &Target::Message(id)), 1);
    desk.pass(Duration::from_secs(2));
    desk.office.commit_held(desk.now, receipt);
    desk.flush();
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    desk.cut();
    assert_eq!(desk.queued(), 0, "while its host still hangs");
}
