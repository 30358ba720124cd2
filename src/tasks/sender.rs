//! The sender (Figure 6): makes due messages active, opens connections where lanes want them. It sleeps until a message is due or somebody calls.

use std::rc::Rc;

use futures_lite::future;

use crate::os::clock;
use crate::tasks::connection;
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;
use crate::time::Instant;

/// Runs as long as the daemon does.
pub async fn run(station: Rc<Station>) {
    loop {
        let called = station.to_send.listen();
        turn(&station);
        // What is due when the daemon stops stays due: waiting for it would turn this loop for ever.
        let due = match station.stop.is_given() {
            true => Instant::NEVER,
            false => station.office.borrow_mut().due_at(),
        };
        future::or(called, sleep_until(due)).await;
    }
}

fn turn(station: &Rc<Station>) {
    let mut office = station.office.borrow_mut();
    if !station.stop.is_given() {
        office.activate_due(clock::now());
        while let Some(key) = office.open_connection() {
            station.spawn(connection::run(station.clone(), key));
        }
    }
    drop(office);
    station.pass_answers();
    station.to_mailbox.notify(usize::MAX);
    station.wake_idle();
    station.to_commit.notify(usize::MAX);
}
