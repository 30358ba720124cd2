//! What the spool writes, measured at the block device of a real ext4: 2 KiB messages, all bookkeeping of
//! spool and file system included. The bounds are those that the README promises.

use std::time::Duration;

use crate::lab::load::{Door, Load};
use crate::lab::{BCD, Disk, PATIENCE, Remote, Reply, Stagepost, XYZ, tell, until};
use crate::world::{BOTH, World, two_domains, world};

const DOOR: [Door; 1] = [Door { to: BCD, sender: "b1@bcd.com" }];
const MESSAGE_BYTES: f64 = 2048.0;
/// Longer than done-records wait, and than ext4 does unless told otherwise.
const AT_REST: Duration = Duration::from_secs(6);

/// As the appliance mounts its data: what ext4 notes of a file's times does not cost a journal entry each.
const QUIET: &str = "lazytime,commit=600";

struct Scene<'a> {
    world: &'a World,
    remote: &'a Remote,
    disk: &'a Disk,
}

impl Scene<'_> {
    /// Bytes written for each of at least `count` messages that `clients` clients hand over: until all are
    /// delivered and the spool is at rest, and after that, when the file system is told to end what it puts off.
    #[track_caller]
    fn written_each(&self, clients: usize, pause: Duration, count: usize) -> (f64, f64) {
        let Scene { world, remote, disk } = self;
        disk.sync();
        let (sent, before) = (remote.survey(<[_]>::len), disk.written());
        let load = Load::start_short(&world.pc, &DOOR, clients, pause);
        until("all are acknowledged", 4 * PATIENCE, || (load.acknowledged().len() >= count).then_some(()));
        let sum = load.stop().len();
        until("all are delivered", 4 * PATIENCE, || (remote.survey(<[_]>::len) >= sent + sum).then_some(()));
        std::thread::sleep(AT_REST);
        let at_rest = disk.written();
        disk.sync();
        let each = |after: u64| (after - before) as f64 / sum as f64;
        (each(at_rest), each(disk.written()))
    }

    /// The same for a message that comes when all is at rest: the middle one of three, for on the way a segment
    /// may be full, and what its change costs is of the many that it held.
    #[track_caller]
    fn lone(&self) -> (f64, f64) {
        let mut each: Vec<_> = (0..3).map(|_| self.written_each(1, AT_REST, 1)).collect();
        each.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        each[1]
    }
}

#[test]
fn what_is_written_to_flash_keeps_its_bounds() {
    let Some(world) = world(BOTH) else { return };
    let disk = Disk::ext4(&world.device, "stagepost", 256);
    disk.remount(QUIET);
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let scene = Scene { world: &world, remote: &remote, disk: &disk };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    stagepost.await_up();
    let (_, held) = scene.written_each(4, Duration::from_millis(10), 200);
    assert_eq!(held, 0.0, "bytes written for each message that its destination took at once");

    stagepost.console(&["set", "domain bcd.com spool always"]);
    stagepost.console(&["commit"]);
    let (_, first) = scene.written_each(20, Duration::ZERO, 2000);
    let (_, many) = scene.written_each(20, Duration::ZERO, 2000);
    let (lone, lone_in_all) = scene.lone();
    tell(&format!(
        "bytes written for each message of 2 KiB: held {held}, stored with 20 sessions {many:.0} ({:.2} a byte), \
         while its segments are made {first:.0}; alone {lone:.0}, {lone_in_all:.0} with what the file system puts off",
        many / MESSAGE_BYTES
    ));
    assert!(many / MESSAGE_BYTES <= 1.5, "{many} bytes a message with 20 sessions");
    assert!(lone <= 8192.0, "{lone} bytes for a lone message");
}
