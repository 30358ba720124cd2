//! A message for users of two domains lies in two spools: it is in both or in none, whatever fails in one.

use super::*;
use crate::spool::FlashError;
use crate::spool::sim::{Call, Faults};

const BROKEN: Faults = Faults::Every(Call::Sync, FlashError::Io(5));

/// x1 writes to these users of ours.
fn from_outside(desk: &mut Desk, to: &[&str]) -> Receipt {
    desk.try_hand_in("x1@xyz.com", to).expect("accepted for a start").1
}

#[track_caller]
fn assert_refused(desk: &mut Desk, receipt: Receipt) {
    let (answered, result) = desk.answer().expect("an answer");
    assert_eq!((answered, result.unwrap_err().code()), (receipt, 451));
}

/// The flash is well again; nothing of the message is left, and nothing comes back.
fn nothing_is_left(desk: &mut Desk) {
    desk.flashes.values().for_each(|flash| flash.set_faults(Faults::None));
    for _ in 0..3 {
        desk.pass(Duration::from_secs(10));
        desk.flush();
        desk.office.activate_due(desk.now);
        assert!(desk.mailboxes_take_everything().is_empty());
    }
    desk.cut();
    assert_eq!(desk.queued(), 0);
}

#[test]
fn one_spools_fault_leaves_nothing_in_the_other() {
    let mut desk = Desk::new();
    desk.flash("bcd.com").set_faults(BROKEN);
    let receipt = from_outside(&mut desk, &["a1@abc.com", "b1@bcd.com"]);
    desk.flush();
    assert_refused(&mut desk, receipt);
    assert_eq!((desk.queued(), desk.office.resident_bytes()), (0, 0));
    nothing_is_left(&mut desk);
}

#[test]
fn no_share_leaves_before_the_others_are_safe() {
    let mut desk = Desk::new();
    let receipt = from_outside(&mut desk, &["a1@abc.com", "b1@bcd.com"]);
    let mut batches = desk.office.take_batches(desk.now.mono);
    assert_eq!(batches.len(), 2);
    let mut write = |desk: &mut Desk| {
        let (owner, flash, batch) = batches.remove(0);
        let result = batch.run(&*flash);
        desk.office.batch_finished(desk.now, &owner, result);
        desk.office.activate_due(desk.now);
    };
    write(&mut desk);
    assert!(desk.mailboxes_take_everything().is_empty() && desk.answer().is_none());
    write(&mut desk);
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    assert_eq!(desk.mailboxes_take_everything().len(), 2);
}

#[test]
fn a_held_share_that_is_given_up_is_over_on_flash_before_its_attempt_is() {
    let mut desk = Desk::new();
    let receipt = from_outside(&mut desk, &["b1@bcd.com", "c1@cde.com"]);
    let jobs = [desk.office.take_local().unwrap(), desk.office.take_local().unwrap()];
    desk.flash("bcd.com").set_faults(BROKEN);
    desk.office.commit_held(desk.now, receipt);
    desk.flush();
    assert_refused(&mut desk, receipt);
    desk.pass(Duration::from_secs(5));
    desk.flush();
    let (log, _) = DomainLog::recover(&desk.flash("cde.com").fork(1), Bounds::for_quota(4 << 20, 5));
    assert!(log.is_empty(), "while its mailbox still hangs");
    for job in jobs {
        desk.office.finish_job(desk.now, &job.owner, job.id, Vec::new());
    }
    assert_eq!((desk.queued(), desk.office.resident_bytes()), (0, 0));
    nothing_is_left(&mut desk);
}

#[test]
fn a_full_spool_of_one_domain_takes_the_message_from_the_other_too() {
    let mut desk = Desk::new();
    let mut stored = 0;
    while desk.post("bcd.com").log.has_room(60_000) {
        let id = desk.office.next_id(desk.now);
        let config = desk.office.config().clone();
        let to = Address::parse("b1@bcd.com").unwrap();
        let envelope = Envelope::plain(ReversePath::Null, [to]);
        let shares = shares_for(&config, None, &envelope).unwrap();
        let (head, body) = (b"Subject: filler\r\n\r\n".to_vec(), vec![b'x'; 60_000]);
        desk.office.store(desk.now, Composed { id, shares, origin: String::new(), head, body }).unwrap();
        desk.flush();
        stored += 1;
    }
    desk.office.take_answers();
    let mut refused = None;
    for _ in 0..10_000 {
        match desk.try_hand_in("x1@xyz.com", &["a1@abc.com", "b1@bcd.com"]) {
            Ok(_) => {
                desk.flush();
                desk.office.take_answers();
                stored += 1;
            }
            Err(reply) => {
                refused = Some(reply);
                break;
            }
        }
    }
    assert_eq!(refused.expect("full at last").to_string(), "452 4.3.1 the domain's spool quota is used up");
    assert_eq!(desk.post("bcd.com").queue.len(), stored);
    assert!(desk.post("abc.com").queue.len() < stored, "only what was accepted");
    assert!(desk.try_hand_in("a1@abc.com", &["x1@xyz.com"]).is_ok(), "the other domain takes its own mail");
}
