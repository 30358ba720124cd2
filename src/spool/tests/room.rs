//! Full is not broken: past the quota and on a full medium mail is refused, reports and done-records still
//! find room, and space comes back by itself.

use super::model::state;
use super::support::*;
use crate::spool::sim::{Call, Faults};
use crate::spool::{Bounds, FlashError, SpoolError};
use crate::time::Instant;
use std::time::Duration;

/// Puts messages until one is refused; gives the numbers of those that were taken.
fn fill(rig: &mut Rig, from: u64, bytes: usize) -> (Vec<u64>, SpoolError) {
    let mut taken = Vec::new();
    for n in from.. {
        match rig.log.put(id(n), &meta(n), &head(n), &body(n, bytes)) {
            Ok(_) => taken.push(n),
            Err(why) => return (taken, why),
        }
        rig.flush();
    }
    unreachable!("no log takes mail without end")
}

#[test]
fn past_the_quota_mail_is_refused_and_reports_are_not() {
    let mut rig = Rig::new(1);
    let (taken, why) = fill(&mut rig, 1, 40_000);
    assert_eq!(why, SpoolError::Quota);
    assert!(taken.len() > 20, "{} messages in 2 MiB", taken.len());
    assert!(!rig.log.has_room(40_000) && rig.log.has_room(0));
    rig.log.put_report(id(900), &meta(900), &head(900), &body(900, 40_000)).unwrap();
    rig.log.update(id(1), &state(1, 1));
    rig.log.done(id(2));
    assert!(rig.flush().iter().all(|end| end.failed.is_none()));
    assert!(rig.log.bytes_on_flash() <= rig.log.quota_bytes());
    let rig = rig.reopen();
    assert_eq!(rig.log.len(), taken.len());
    rig.assert_whole(900, 40_000);
}

#[test]
fn space_of_delivered_mail_comes_back_without_a_restart() {
    let mut rig = Rig::new(1);
    let mut next = 1;
    for round in 0..5 {
        let (taken, why) = fill(&mut rig, next, 30_000);
        assert!(why == SpoolError::Quota && taken.len() > 20, "round {round}: {} messages", taken.len());
        next += taken.len() as u64 + 1;
        taken.iter().for_each(|n| rig.log.done(id(*n)));
        rig.flush();
        assert_eq!(rig.log.bytes_used(), 0);
    }
    assert!(rig.log.bytes_on_flash() <= rig.log.quota_bytes());
}

#[test]
fn a_segment_held_open_by_one_old_message_is_emptied() {
    let mut rig = Rig::new(1);
    let (taken, _) = fill(&mut rig, 1, 30_000);
    let kept: Vec<u64> = taken.iter().copied().step_by(7).collect();
    for n in taken.iter().filter(|n| !kept.contains(n)) {
        rig.log.done(id(*n));
    }
    kept.iter().for_each(|n| rig.log.update(id(*n), &state(*n, 3)));
    rig.flush();
    assert!(rig.log.wear().bytes_moved > 0);
    let (more, _) = fill(&mut rig, 500, 30_000);
    assert!(more.len() + kept.len() > taken.len() * 2 / 3, "{} after {}", more.len(), taken.len());
    let rig = rig.reopen();
    for n in kept {
        rig.assert_whole(n, 30_000);
        assert_eq!(rig.log.load(&rig.flash, id(n)).unwrap().state, state(n, 3));
    }
}

#[test]
fn a_full_medium_refuses_mail_and_heals() {
    let mut rig = Rig::new(1);
    rig.flash.set_space(Some(600_000));
    let mut refused = 0;
    for n in 1..=40 {
        rig.put(n, 20_000);
        for end in rig.flush() {
            if let Some(failure) = end.failed {
                assert_eq!(failure.why, SpoolError::NoSpace);
                refused += failure.tickets.end().0 - failure.tickets.start().0 + 1;
            }
        }
    }
    assert!(refused > 5 && refused < 35, "{refused} refused");
    let stored = 40 - refused as usize;
    assert_eq!(rig.log.len(), stored);
    rig.log.done(id(1));
    rig.log.update(id(2), &state(2, 1));
    assert!(rig.flush().iter().all(|end| end.failed.is_none()), "the end of the segment is kept for these");
    let (log, recovery) = crate::spool::DomainLog::recover(&rig.flash.fork(3), small_bounds());
    assert_eq!((log.len(), recovery.messages.len()), (stored - 1, stored - 1));
    rig.flash.set_space(None);
    rig.put(100, 20_000);
    assert!(rig.flush().iter().all(|end| end.failed.is_none()));
    rig.assert_whole(100, 20_000);
}

#[test]
fn after_a_failed_sync_the_segment_is_final_and_its_mail_is_saved() {
    let mut rig = Rig::new(1);
    rig.put_all(1..=5, 3_000);
    rig.flush();
    let before = rig.log.bytes_on_flash();
    rig.put(6, 3_000);
    rig.flash.set_faults(Faults::FailAt(1, FlashError::Io(5)));
    let ends = rig.flush();
    assert_eq!(ends[0].failed.as_ref().unwrap().why, SpoolError::Io);
    assert!(rig.log.bytes_on_flash() > before, "a new segment");
    assert!(rig.log.wear().bytes_moved > 15_000, "what was stored there is copied to where it is safe");
    let rig = rig.reopen();
    assert_eq!(rig.ids(), [1, 2, 3, 4, 5]);
    (1..=5).for_each(|n| rig.assert_whole(n, 3_000));
}

#[test]
fn a_medium_that_fails_for_good_is_left_in_peace_between_tries() {
    let mut rig = Rig::new(1);
    rig.put_all(1..=5, 3_000);
    rig.flush();
    rig.flash.set_faults(Faults::Every(Call::Sync, FlashError::Io(5)));
    rig.put(6, 3_000);
    let mut now = Instant::ORIGIN + Duration::from_secs(1);
    let end = now + Duration::from_secs(60);
    let mut batches = 0;
    while now < end {
        match rig.log.take_batch(&rig.flash, now) {
            Some(batch) => {
                batches += 1;
                rig.log.batch_finished(batch.run(&rig.flash));
            }
            None => now = rig.log.flush_due().expect("there is work to do").max(now),
        }
        assert!(batches < 20, "again at {now:?}");
    }
    assert!(batches >= 10, "{batches} tries in a minute");
    rig.flash.set_faults(Faults::None);
    rig.flush();
    let rig = rig.reopen();
    assert_eq!(rig.ids(), [1, 2, 3, 4, 5]);
}

#[test]
fn too_much_at_once_is_refused_until_a_batch_is_over() {
    let mut rig = Rig::new(1);
    rig.log.segments.bounds = Bounds::for_quota(64 << 20, 1);
    rig.log.draft(id(1));
    let piece = body(1, 1 << 20);
    let taken = (0..20).take_while(|_| rig.log.draft_append(id(1), &piece) == Ok(())).count();
    assert_eq!(taken, 4);
    assert_eq!(rig.log.draft_append(id(1), &piece), Err(SpoolError::Busy));
    rig.flush();
    rig.log.draft_append(id(1), &piece).unwrap();
}

#[test]
fn a_smaller_quota_gives_space_back() {
    let mut rig = Rig::new(1);
    let (taken, _) = fill(&mut rig, 1, 30_000);
    taken.iter().for_each(|n| rig.log.done(id(*n)));
    rig.flush();
    assert!(rig.log.bytes_on_flash() > 1 << 20);
    rig.log.set_quota(1 << 20);
    (500..530).for_each(|n| {
        rig.put(n, 30_000);
        rig.flush();
        rig.log.done(id(n));
    });
    rig.flush();
    assert!(rig.log.bytes_on_flash() <= 1 << 20, "{}", rig.log.bytes_on_flash());
}
