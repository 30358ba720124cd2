//! Messages go in and come out, before their batch is over, after it, and after a restart.

use super::support::*;
use crate::limits::{RECIPIENTS_MAX, SPOOL_INLINE_BYTES_MAX};
use crate::mail::{Address, Recipient};
use crate::spool::{RecipientState, SpoolError, State};
use crate::time::{Instant, WallTime};

#[test]
fn a_message_reads_back_at_every_stage() {
    for bytes in [0, 1, 2048, SPOOL_INLINE_BYTES_MAX, 200_000, 700_000] {
        let mut rig = Rig::new(1);
        let ticket = rig.put(7, bytes);
        rig.assert_whole(7, bytes);
        let batch = rig.log.take_batch(&rig.flash, Instant::ORIGIN).unwrap();
        rig.assert_whole(7, bytes);
        let end = rig.log.batch_finished(batch.run(&rig.flash));
        assert_eq!((end.up_to, end.failed), (ticket, None));
        rig.assert_whole(7, bytes);
        let rig = rig.reopen();
        assert_eq!(rig.ids(), [7]);
        assert_eq!(rig.recovery.damage, []);
        rig.assert_whole(7, bytes);
    }
}

#[test]
fn a_draft_reads_back_however_it_was_cut() {
    for (piece, bytes) in [(1_000, 10_000), (1_000, 150_000), (65_536, 131_072), (500_000, 600_000)] {
        let mut rig = Rig::new(1);
        rig.log.draft(id(3));
        for part in body(3, bytes).chunks(piece) {
            rig.log.draft_append(id(3), part).unwrap();
            rig.flush();
        }
        rig.log.draft_commit(id(3), &meta(3), &head(3)).unwrap();
        rig.flush();
        rig.assert_whole(3, bytes);
        let rig = rig.reopen();
        rig.assert_whole(3, bytes);
    }
}

#[test]
fn a_dropped_draft_leaves_nothing() {
    let mut rig = Rig::new(1);
    rig.log.draft(id(3));
    rig.log.draft_append(id(3), &body(3, 300_000)).unwrap();
    rig.flush();
    assert!(rig.log.bytes_used() > 0);
    rig.log.draft_drop(id(3));
    assert_eq!(rig.log.bytes_used(), 0);
    assert_eq!(rig.log.draft_append(id(3), b"x"), Err(SpoolError::Missing));
    assert_eq!(rig.reopen().ids(), [] as [u64; 0]);
}

#[test]
fn a_message_with_a_thousand_recipients_and_a_huge_head_reads_back() {
    let mut rig = Rig::new(1);
    let mut meta = meta(9);
    meta.envelope.recipients = (0..RECIPIENTS_MAX)
        .map(|n| {
            let user = format!("{n}{}", "u".repeat(100));
            let mut recipient = Recipient::plain(Address::parse(&format!("{user}@xyz.com")).unwrap());
            recipient.orcpt = Some("r".repeat(400));
            recipient
        })
        .collect();
    let head = body(1, 250_000);
    rig.log.put(id(9), &meta, &head, b"short").unwrap();
    rig.flush();
    let rig = rig.reopen();
    let stored = rig.log.load(&rig.flash, id(9)).unwrap();
    assert!(stored.meta == meta && stored.head == head);
    assert_eq!(stored.state, State::new(RECIPIENTS_MAX, meta.received));
    assert_eq!(read_body(&rig.log, &rig.flash, 9), b"short");
}

#[test]
fn the_latest_state_counts_after_a_restart() {
    let mut rig = Rig::new(1);
    rig.put(5, 100);
    let mut state = State::new(2, WallTime::from_unix_seconds(2_000_000));
    for attempts in 1..4 {
        state.attempts = attempts;
        state.recipients[1] = RecipientState::Deferred { reply: format!("450 4.2.0 try {attempts}") };
        rig.log.update(id(5), &state);
    }
    state.on_hold = true;
    rig.log.update(id(5), &state);
    assert_eq!(rig.log.load(&rig.flash, id(5)).unwrap().state, state);
    rig.flush();
    let rig = rig.reopen();
    assert_eq!(rig.log.load(&rig.flash, id(5)).unwrap().state, state);
    assert_eq!((rig.recovery.messages[0].next, rig.recovery.messages[0].on_hold), (state.next, true));
}

#[test]
fn a_done_message_is_gone_after_a_restart() {
    let mut rig = Rig::new(1);
    rig.put_all(1..=3, 2_000);
    rig.flush();
    rig.log.done(id(2));
    assert_eq!(rig.log.load(&rig.flash, id(2)), Err(SpoolError::Missing));
    rig.flush();
    let rig = rig.reopen();
    assert_eq!(rig.ids(), [1, 3]);
    assert_eq!(rig.log.len(), 2);
}

#[test]
fn done_records_wait_for_company_or_for_their_time() {
    let mut rig = Rig::new(1);
    rig.put(1, 100);
    rig.flush();
    let written = rig.flash.written();
    rig.log.done(id(1));
    let now = Instant::from_nanos(1_000_000_000);
    assert!(rig.log.take_batch(&rig.flash, now).is_none(), "nothing urgent");
    let due = rig.log.flush_due().unwrap();
    assert!(due > now);
    assert!(rig.log.take_batch(&rig.flash, now).is_none());
    let batch = rig.log.take_batch(&rig.flash, due).unwrap();
    assert_eq!(batch.bytes(), 4096);
    rig.log.batch_finished(batch.run(&rig.flash));
    assert_eq!(rig.flash.written() - written, 4096);
    assert_eq!(rig.log.flush_due(), None);
}
