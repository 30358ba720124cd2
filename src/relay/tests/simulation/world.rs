//! One life: the office with its logs and media, everything that surrounds it, and the dice. A step is one
//! thing that happens; between steps the office must be in order.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::hosts::{Connection, Delivery, MOODS, Mood};
use super::ledger::Ledger;
use super::mail::Arriving;
use crate::config::{self, Config};
use crate::limits::SPOOL_LAZY_MS;
use crate::mail::{Address, Domain, QueueId};
use crate::prng::Prng;
use crate::relay::active::{Active, Footing};
use crate::relay::queue::Stand;
use crate::relay::{Office, QueueAction, Receipt, Target};
use crate::spool::sim::{Call, Faults, SimFlash};
use crate::spool::{Batch, BatchError, Bounds, DomainLog, Flash, FlashError, RecipientState};
use crate::time::{Instant, Now, WallTime};

const CONFIG: &str = "
    box name host.abc.com
    domain abc.com address 203.0.113.2
    domain abc.com client 10.0.2.0/24
    domain abc.com mailbox a1
    domain abc.com spool always
    domain abc.com retry first 5m max 1h expire 1d
    domain bcd.com address 203.0.113.70
    domain bcd.com client 10.0.2.0/24
    domain bcd.com mailbox b1
    domain bcd.com mailbox b2
    domain bcd.com alias all b1@bcd.com
    domain bcd.com alias all x9@xyz.com
    domain bcd.com retry first 5m max 1h expire 1d
    domain cde.com address 203.0.113.71
    domain cde.com client 10.0.2.0/24
    domain cde.com mailbox c1
    domain cde.com forward 10.9.9.9
    domain cde.com limit connections 1
    domain cde.com retry first 1m max 30m expire 12h
";

const HOPS: [&str; 4] = ["xyz.com", "yyy.com", "zzz.com", "10.9.9.9:25"];

pub struct World {
    pub office: Office,
    pub now: Now,
    pub prng: Prng,
    pub flashes: BTreeMap<Domain, Arc<SimFlash>>,
    pub ledger: Ledger,
    pub arriving: Vec<Arriving>,
    pub waiting: HashMap<Receipt, Arriving>,
    pub connections: Vec<Connection>,
    pub deliveries: Vec<Delivery>,
    pub moods: HashMap<String, Mood>,
    /// The one domain whose medium has faults in this life.
    pub faulty: Option<Domain>,
    /// Nothing goes wrong any more.
    pub calm: bool,
    pub quota: u64,
    /// Domains whose mail the operator holds, as the marks beside their spools tell.
    held: BTreeSet<Domain>,
    pub steps: usize,
    pub restarts: usize,
    /// Batches with the flusher, and results it has not handed back.
    writing: VecDeque<(Domain, Arc<dyn Flash>, Batch)>,
    written: VecDeque<(Domain, Result<(), BatchError>)>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let config: Rc<Config> = Rc::new(config::parse(CONFIG.as_bytes()).expect("the test's configuration"));
        let mut prng = Prng::from_seed(seed);
        let now = Now { mono: Instant::from_nanos(1), wall: WallTime::from_unix_seconds(1_800_000_000) };
        let flash = |name: &Domain, prng: &mut Prng| (name.clone(), Arc::new(SimFlash::new(prng.u64())));
        let flashes = config.domains.iter().map(|d| flash(&d.name, &mut prng)).collect();
        let faulty = (prng.below(2) == 0).then(|| config.domains[prng.below(3)].name.clone());
        let quota = [1 << 20, 2 << 20][prng.below(2)];
        let mut world = World {
            office: Office::new(config, seed),
            now,
            prng,
            flashes,
            ledger: Ledger::default(),
            arriving: Vec::new(),
            waiting: HashMap::new(),
            connections: Vec::new(),
            deliveries: Vec::new(),
            moods: HashMap::new(),
            faulty,
            calm: false,
            quota,
            held: BTreeSet::new(),
            steps: 0,
            restarts: 0,
            writing: VecDeque::new(),
            written: VecDeque::new(),
        };
        world.open();
        world
    }

    /// The daemon starts with what its media hold.
    fn open(&mut self) {
        let config = self.office.config().clone();
        self.office = Office::new(config.clone(), self.prng.u64());
        // A start takes its time; ids of one millisecond differ within one life of the daemon only.
        self.pass(Duration::from_secs(1));
        self.now.mono = Instant::from_nanos(1);
        for domain in &config.domains {
            let flash = self.flashes[&domain.name].clone();
            let (log, found) = DomainLog::recover(&*flash, Bounds::for_quota(self.quota, self.prng.u64()));
            self.office.open(self.now, domain.name.clone(), log, flash, &found);
        }
        self.held.iter().for_each(|name| self.office.hold_again(name));
    }

    /// One thing happens.
    pub fn step(&mut self) {
        self.steps += 1;
        match self.prng.below(100) {
            0..12 => self.client_comes(),
            12..32 => self.client_goes_on(),
            32..42 => self.sender_turns(),
            42..62 => self.connection_moves(),
            62..70 => self.mailbox_moves(),
            70..76 => self.hand_out(),
            76..82 => self.write_one(),
            82..87 => self.take_back(),
            87..91 => self.time_passes(),
            91..94 => self.moods_change(),
            94..95 => self.address_changes(),
            95..97 => self.operator_acts(),
            97..98 => self.fault(),
            98..99 => self.cut_in_a_write(),
            _ => match self.prng.below(3) {
                0 => self.power_cut(),
                1 => self.kill(),
                _ => self.restart(),
            },
        }
        if self.is_dark() {
            self.power_cut();
        }
        self.patience_ends();
        self.answer_clients();
    }

    /// The power went in the middle of a write.
    fn is_dark(&self) -> bool {
        self.flashes.values().any(|flash| flash.is_dead())
    }

    fn hand_out(&mut self) {
        self.writing.extend(self.office.take_batches(self.now.mono));
    }

    /// The flusher writes a batch.
    fn write_one(&mut self) {
        if let Some((owner, flash, batch)) = self.writing.pop_front() {
            let result = batch.run(&*flash);
            if !self.is_dark() {
                self.written.push_back((owner, result));
            }
        }
    }

    fn take_back(&mut self) {
        if let Some((owner, result)) = self.written.pop_front() {
            self.office.batch_finished(self.now, &owner, result);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { mono: self.now.mono + time, wall: self.now.wall + time };
    }

    fn time_passes(&mut self) {
        let millis = [10, 500, 2_000, 6_000, 60_000, 400_000, 3_600_000][self.prng.below(7)];
        self.pass(Duration::from_millis(millis));
    }

    fn moods_change(&mut self) {
        let hop = HOPS[self.prng.below(HOPS.len())];
        let mood = MOODS[self.prng.below(MOODS.len())];
        self.moods.insert(hop.to_owned(), mood);
    }

    fn address_changes(&mut self) {
        let ip = ["203.0.113.2", "203.0.113.70", "203.0.113.71"][self.prng.below(3)].parse().unwrap();
        let state = if self.prng.below(2) == 0 { Ok(()) } else { Err("the NIC refuses it".to_owned()) };
        self.office.set_address(self.now, ip, state);
    }

    fn operator_acts(&mut self) {
        if self.prng.below(4) == 0 {
            return self.operator_holds();
        }
        let all: Vec<QueueId> = self.office.posts().flat_map(|(_, post)| post.queue.ids()).collect();
        let ours: Vec<QueueId> = all.into_iter().filter(|id| self.ledger.by_id(*id).is_some()).collect();
        if ours.is_empty() {
            return;
        }
        let id = ours[self.prng.below(ours.len())];
        let (action, target) = match self.prng.below(5) {
            0 => (QueueAction::Retry, Target::All),
            1 => (QueueAction::Hold, Target::Message(id)),
            2 => {
                self.held.clear();
                (QueueAction::Release, Target::All)
            }
            3 => (QueueAction::Retry, Target::Message(id)),
            _ => {
                self.ledger.by_id(id).expect("ours").deleted = true;
                (QueueAction::Delete, Target::Message(id))
            }
        };
        self.office.operate(self.now, action, &target);
    }

    /// The operator holds all mail of a domain, or lets it go.
    fn operator_holds(&mut self) {
        let place = self.prng.below(self.flashes.len());
        let name = self.flashes.keys().nth(place).expect("a domain of three").clone();
        let target = Target::Domain(name.clone());
        match self.prng.below(3) {
            0 => {
                self.office.operate(self.now, QueueAction::Hold, &target);
                self.held.insert(name);
            }
            _ => {
                self.office.operate(self.now, QueueAction::Release, &target);
                self.held.remove(&name);
            }
        }
    }

    /// The faulty domain's medium gets a fault, or is well again.
    fn fault(&mut self) {
        let Some(flash) = self.faulty.as_ref().map(|name| self.flashes[name].clone()) else { return };
        let why = [FlashError::Io(5), FlashError::NoSpace][self.prng.below(2)];
        match self.prng.below(6) {
            0 => flash.set_faults(Faults::Every(Call::Write, why)),
            1 => flash.set_faults(Faults::Every(Call::Sync, FlashError::Io(5))),
            2 => flash.set_space(Some(600 << 10)),
            3 => flash.set_faults(Faults::None),
            4 => flash.set_space(None),
            _ => flash.set_faults(Faults::FailAt(self.prng.below(8) as u64, why)),
        }
    }

    /// The power goes in the middle of one of the next writes.
    fn cut_in_a_write(&mut self) {
        let place = self.prng.below(self.flashes.len());
        let flash = self.flashes.values().nth(place).expect("a flash of three").clone();
        flash.set_faults(Faults::CutAt(self.prng.below(6) as u64));
    }

    fn power_cut(&mut self) {
        self.die();
        self.flashes.values().for_each(|flash| flash.power_cycle());
        self.open();
    }

    /// The daemon is killed: what it gave to the system stays.
    fn kill(&mut self) {
        while self.prng.below(3) > 0 && !self.writing.is_empty() {
            self.write_one();
        }
        if self.is_dark() {
            return;
        }
        self.die();
        self.open();
    }

    /// The daemon ends in peace: held mail is committed, everything is written.
    fn restart(&mut self) {
        let mut held: Vec<(usize, Receipt)> = self.waiting.iter().map(|(r, one)| (one.token, *r)).collect();
        held.sort_unstable_by_key(|(token, _)| *token);
        for (_, receipt) in held {
            self.office.commit_held(self.now, receipt);
        }
        self.write_all();
        if self.is_dark() {
            return;
        }
        self.answer_clients();
        self.die();
        self.open();
    }

    fn die(&mut self) {
        self.restarts += 1;
        self.arriving.clear();
        self.waiting.clear();
        self.connections.clear();
        self.deliveries.clear();
        self.writing.clear();
        self.written.clear();
        self.ledger.forgotten();
    }

    /// Writes until nothing is left, or the medium fails again and again.
    fn write_all(&mut self) {
        for _ in 0..20 {
            self.writing.extend(self.office.take_batches(Instant::NEVER));
            if self.writing.is_empty() && self.written.is_empty() || self.is_dark() {
                return;
            }
            while !self.writing.is_empty() {
                self.write_one();
            }
            while !self.written.is_empty() {
                self.take_back();
            }
        }
    }

    /// Spool, queue and memory tell the same tale.
    pub fn check(&mut self) {
        let mut resident = 0;
        for (name, post) in self.office.posts() {
            resident += post.active.values().map(|a| a.content.resident()).sum::<usize>();
            resident += post.fresh.values().map(|f| f.content.resident()).sum::<usize>();
            assert_eq!(post.queue.active(), post.active.len(), "{name}: queue and office on what is active");
            for (id, active) in &post.active {
                assert_eq!(post.queue.stand(*id), Some(Stand::Active), "{name} {id}");
                let idle = active.open_jobs == 0 && active.footing == Footing::Stored;
                let reports = !idle || self.office.posts().any(|(_, post)| !post.tickets.is_empty());
                assert!(reports, "{name} {id} is active for ever: {active:?}");
            }
            if post.log.is_at_rest() && post.tickets.is_empty() {
                // A share that was given up has an attempt under way and no record; one whose commit failed
                // waits for the message's other shares.
                let in_memory = |a: &&Active| a.deleted || a.footing != Footing::Stored;
                let held = post.active.values().filter(in_memory).count();
                assert!(
                    post.log.len() + held >= post.queue.len(),
                    "{name}: the queue has what the log has not"
                );
            }
        }
        assert_eq!(self.office.resident_bytes(), resident, "bytes in memory");
        let office = &self.office;
        self.ledger.records(|owner, id| office.post(owner).expect("a post").is_recorded(id));
        self.check_window();
    }

    /// What hosts have taken is written down `SPOOL_LAZY_MS` later at the latest, whatever else goes on.
    fn check_window(&self) {
        for (owner, id, to, since) in self.ledger.unrecorded() {
            let post = self.office.post(owner).expect("a post");
            let footing = post.active.get(&id).map(|active| active.footing);
            let failing = self.faulty.as_ref() == Some(owner);
            if matches!(footing, Some(Footing::Held(_))) || post.log.is_flying() || failing {
                continue;
            }
            let due = post.flush_due().unwrap_or(Instant::NEVER);
            let in_time = due <= since + Duration::from_millis(SPOOL_LAZY_MS);
            assert!(
                in_time || self.is_written_down(owner, id, to),
                "{owner} {id}: taken by {to} at {since:?}, to be written at {due:?}"
            );
        }
    }

    /// Whether a cut at this moment leaves a letter over, or delivered to this recipient.
    fn is_written_down(&self, owner: &Domain, id: QueueId, to: &Address) -> bool {
        let flash = self.flashes[owner].fork(self.steps as u64);
        flash.power_cycle();
        let (log, _) = DomainLog::recover(&flash, Bounds::for_quota(self.quota, 98));
        let Ok(stored) = log.load(&flash, id) else { return true };
        let mut recipients = stored.meta.envelope.recipients.iter().zip(&stored.state.recipients);
        recipients.any(|(r, state)| r.address == *to && matches!(state, RecipientState::Delivered { .. }))
    }

    /// Everybody is friendly from here on: all mail must leave.
    pub fn come_to_rest(&mut self) {
        self.calm = true;
        self.moods.clear();
        for flash in self.flashes.values() {
            flash.set_faults(Faults::None);
            flash.set_space(None);
        }
        for ip in ["203.0.113.2", "203.0.113.70", "203.0.113.71"] {
            self.office.set_address(self.now, ip.parse().unwrap(), Ok(()));
        }
        for round in 0.. {
            self.office.operate(self.now, QueueAction::Release, &Target::All);
            for _ in 0..30 {
                while !self.arriving.is_empty() && !self.arriving.iter().all(Arriving::waits_for_flash) {
                    self.client_goes_on();
                }
                self.client_goes_on();
                self.sender_turns();
                (0..20).for_each(|_| self.connection_moves());
                (0..10).for_each(|_| self.mailbox_moves());
                self.write_all();
                self.patience_ends();
                self.answer_clients();
                self.steps += 1;
                self.check();
            }
            let quiet = self.arriving.is_empty() && self.waiting.is_empty() && self.connections.is_empty();
            if quiet && self.office.queue_len() == 0 {
                break;
            }
            assert!(round < 60, "it does not come to rest: {} in the queue", self.office.queue_len());
            self.pass(Duration::from_secs(1800));
        }
        self.write_all();
        assert_eq!((self.office.resident_bytes(), self.office.connections()), (0, 0), "at rest");
        for (name, post) in self.office.posts() {
            assert!(
                post.log.is_empty() && post.log.is_at_rest(),
                "{name}: the log holds what nobody knows of"
            );
        }
    }
}
