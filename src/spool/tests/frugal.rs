//! What the log costs: bytes written, flushes, memory. The figures are of the log itself; a file system
//! adds nothing to them as long as segments are used again.

use super::support::*;
use crate::spool::{Bounds, DomainLog};

/// Stores and ends `count` messages of 2 KiB in batches of `together`; gives bytes written for each byte
/// of message, zeros of new segments included, and flushes for each message.
fn cost(together: u64, count: u64) -> (f64, f64) {
    let mut rig = Rig::new(1);
    rig.log.segments.bounds = Bounds::for_quota(64 << 20, 1);
    let mut message_bytes = 0;
    for first in (0..count).step_by(together as usize) {
        for n in first..first + together {
            rig.put(n, 2_048 - head(n).len());
            message_bytes += 2_048;
        }
        let batch = rig.log.take_batch(&rig.flash, crate::time::Instant::ORIGIN).unwrap();
        rig.log.batch_finished(batch.run(&rig.flash));
        (first..first + together).for_each(|n| rig.log.done(id(n)));
    }
    rig.flush();
    let wear = rig.log.wear();
    assert_eq!(wear.commits, count);
    ((wear.bytes_written + wear.bytes_zeroed) as f64 / message_bytes as f64, wear.syncs as f64 / count as f64)
}

#[test]
fn twenty_messages_together_cost_less_than_half_as_much_again() {
    let (bytes, flushes) = cost(20, 20_000);
    println!("20 together: {bytes:.3} bytes written a message byte, {flushes:.3} flushes a message");
    assert!(bytes <= 1.5 && flushes < 0.06, "{bytes:.3} {flushes:.3}");
}

#[test]
fn a_lone_message_costs_two_pages() {
    let (bytes, flushes) = cost(1, 2_000);
    println!("alone: {bytes:.3} bytes written a message byte, {flushes:.3} flushes a message");
    assert!(bytes <= 2.6, "{bytes:.3}: one page, as done-records ride along");
    let mut rig = Rig::new(1);
    rig.put_all([1], 2_048);
    rig.flush();
    rig.log.done(id(1));
    rig.flush();
    assert_eq!(rig.flash.written(), 8_192, "and two when nothing else comes");
}

#[test]
fn a_message_takes_forty_bytes_of_the_index() {
    const { assert!(crate::spool::INDEX_ENTRY_BYTES <= 40) }
}

#[test]
fn twenty_thousand_messages_are_found_in_the_order_of_their_ids() {
    let bounds = Bounds::for_quota(256 << 20, 1);
    let mut rig = Rig::new(1);
    rig.log.segments.bounds = bounds;
    for first in (0..20_000).step_by(500) {
        rig.put_all(first..first + 500, 2_048);
        rig.flush();
    }
    let (log, recovery) = DomainLog::recover(&rig.flash, bounds);
    assert_eq!(log.len(), 20_000);
    assert!(recovery.messages.iter().map(|m| m.id.as_u64()).eq(0..20_000));
}
