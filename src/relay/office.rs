//! The office: every domain's post (its spool log and queue), the lanes they share, and what moves between
//! them. No clock, no socket, no await: the tasks bring time and outcomes in and carry out what comes back.
//! Danger: a post's state changes only through here, so that spool, queue and lanes never tell different tales.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, DomainConfig};
use crate::limits::{ACTIVE_MESSAGES_MAX, INCOMING_BYTES_MAX, QUEUE_COUNTED_MS, RESIDENT_CONTENT_BYTES_MAX};
use crate::mail::id::QueueIds;
use crate::mail::{Address, Domain, QueueId};
use crate::ntp::{Step, Steps};
use crate::prng::Prng;
use crate::relay::active::Active;
use crate::relay::agenda::Posts;
use crate::relay::capacity::Capacity;
use crate::relay::dispatch::Dispatch;
use crate::relay::incoming::Incoming;
use crate::relay::judge::Verdict;
use crate::relay::queue::{Queue, Want};
use crate::relay::recording::Unrecorded;
use crate::relay::sending::LocalJob;
use crate::relay::storing::{Awaited, Fresh, Receipts};
use crate::spool::{DomainLog, Flash, Recovery, Ticket, Today};
use crate::time::{Instant, Now, WallTime};

/// All domains' mail.
pub struct Office {
    pub(super) config: Rc<Config>,
    pub(super) posts: Posts,
    pub(super) dispatch: Dispatch,
    pub(super) capacity: Capacity,
    /// Messages in all queues, and when they were counted.
    counted: (Instant, usize),
    pub(super) local: VecDeque<LocalJob>,
    pub(super) receipts: Receipts,
    pub(super) ids: QueueIds,
    pub(super) prng: Prng,
    /// Bytes of message content in memory, of active and of fresh messages.
    pub(super) resident_bytes: usize,
    pub(super) incoming: Incoming,
    /// Addresses of ours that are not there, and why.
    pub(super) pending: HashMap<IpAddr, String>,
    /// The post whose turn it is to activate a message.
    pub(super) turn: Option<Domain>,
    pub(super) watched: HashSet<QueueId>,
    pub(super) outcomes: Vec<Outcome>,
    /// Steps of the clock: what flash has of a message's arrival may be from before one.
    pub(super) steps: Steps,
}

/// How a round of attempts on one domain's share of a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub id: QueueId,
    pub recipients: Vec<(Address, Verdict)>,
}

/// One domain's mail.
pub struct Post {
    pub log: DomainLog,
    pub flash: Arc<dyn Flash>,
    pub queue: Queue,
    pub active: HashMap<QueueId, Active>,
    /// Messages whose commit is on its way to flash, or just done, with their content still in memory.
    pub(super) fresh: HashMap<QueueId, Fresh>,
    /// Commits under way, oldest first.
    pub(super) tickets: VecDeque<(Ticket, Awaited)>,
    /// What the last host said, and to whom.
    pub last_reply: Option<String>,
    pub counts: Counts,
    /// What the log has written today.
    pub(super) today: Today,
    /// What was wrong with the spool at the start.
    pub damage: Vec<String>,
    /// Messages that could not be read when their time had come, and why; they are tried again.
    pub(super) unreadable: BTreeMap<QueueId, String>,
    /// Outcomes that are not in the log yet.
    pub(super) unrecorded: Unrecorded,
    /// The operator keeps all mail of the domain back, what is here and what comes.
    pub(super) held: bool,
    /// The domain is in the configuration; mail of one that is not stays where it is.
    pub(super) serves: bool,
}

impl Post {
    /// Bytes that the log has written today, and since when that is counted.
    pub fn written_today(&self, now: WallTime) -> (WallTime, u64) {
        let (mut today, count) = (self.today, self.log.wear().bytes());
        today.turn(now, count);
        (today.since, today.of(count))
    }

    /// Whether one more message may become active. One that serves, is not held, and has nothing active may,
    /// even in `crowded` memory.
    pub(super) fn has_room(&self, crowded: bool) -> bool {
        let open = self.serves && !self.held;
        open && (self.queue.active() == 0 || !crowded && self.queue.active() < ACTIVE_MESSAGES_MAX)
    }
}

/// Since the start of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub accepted: u64,
    pub delivered: u64,
    pub deferred: u64,
    pub failed: u64,
}

impl Office {
    /// An office without posts. `seed` differs from one start to the next.
    pub fn new(config: Rc<Config>, seed: u64) -> Self {
        Office {
            config,
            posts: Posts::default(),
            dispatch: Dispatch::default(),
            capacity: Capacity::for_memory(None),
            counted: Default::default(),
            local: VecDeque::new(),
            receipts: Receipts::default(),
            ids: QueueIds::new(None, seed),
            prng: Prng::from_seed(seed),
            resident_bytes: 0,
            incoming: Incoming::new(INCOMING_BYTES_MAX),
            pending: HashMap::new(),
            turn: None,
            watched: HashSet::new(),
            outcomes: Vec::new(),
            steps: Steps::default(),
        }
    }

    /// Keeps within what the machine has room for.
    pub fn keep_within(&mut self, capacity: Capacity) {
        self.capacity = capacity;
    }

    /// Opens a domain's post with what its spool held.
    pub fn open(&mut self, now: Now, name: Domain, log: DomainLog, flash: Arc<dyn Flash>, found: &Recovery) {
        let mut queue = Queue::default();
        // A clock that was set back must not put mail off for years.
        let wait_max = self.config.domain(&name).map(|d| d.retry).unwrap_or_default().max;
        for message in &found.messages {
            self.ids.saw(message.id);
            match message.on_hold {
                true => queue.insert_held(message.id),
                false => queue.insert(message.id, now.mono + message.next.since(now.wall).min(wait_max)),
            }
        }
        let post = Post {
            log,
            flash,
            queue,
            active: HashMap::new(),
            fresh: HashMap::new(),
            tickets: VecDeque::new(),
            last_reply: None,
            counts: Counts::default(),
            today: Today::new(now.wall, 0),
            damage: found.damage.iter().map(|damage| format!("the spool is damaged: {damage}")).collect(),
            unreadable: BTreeMap::new(),
            unrecorded: Unrecorded::default(),
            held: false,
            serves: self.config.domain(&name).is_some(),
        };
        self.posts.insert(name, post);
    }

    /// Takes over the steps of the clock that are known from before.
    pub fn know_steps(&mut self, steps: Steps) {
        self.steps = steps;
    }

    /// The clock has made a step: what was taken before it is no older, and no younger, than it was.
    pub fn clock_stepped(&mut self, step: Step) {
        self.steps.add(step);
        for active in self.posts.iter_mut().flat_map(|(_, post)| post.active.values_mut()) {
            active.put_right(|time| step.corrected(time));
        }
    }

    /// When that really was, which flash has as `time`.
    pub fn corrected(&self, time: WallTime) -> WallTime {
        self.steps.corrected(time)
    }

    pub fn config(&self) -> &Rc<Config> {
        &self.config
    }

    pub fn posts(&self) -> impl Iterator<Item = (&Domain, &Post)> {
        self.posts.iter()
    }

    pub fn post(&self, name: &Domain) -> Option<&Post> {
        self.posts.get(name)
    }

    pub fn next_id(&mut self, now: Now) -> QueueId {
        self.ids.next(now.wall)
    }

    /// A number that need not be secret.
    pub fn random(&mut self) -> u64 {
        self.prng.u64()
    }

    /// Tells that one of our addresses is there, or why not. One that came back makes due what waited for it.
    pub fn set_address(&mut self, now: Now, ip: IpAddr, state: Result<(), String>) {
        match state {
            Err(why) => {
                self.pending.insert(ip, why);
            }
            Ok(()) if self.pending.remove(&ip).is_some() => {
                let Some(name) = self.config.domain_at(ip).map(|d| d.name.clone()) else { return };
                self.dispatch.forgive(Some(&name));
                if let Some(post) = self.posts.get_mut(&name) {
                    post.queue.is_there(now.mono, Want::Address);
                }
            }
            Ok(()) => {}
        }
    }

    /// Why an address of ours is not there.
    pub fn pending_reason(&self, ip: IpAddr) -> Option<&str> {
        self.pending.get(&ip).map(String::as_str)
    }

    /// Why nothing can leave for this domain: none of its addresses is there.
    pub(super) fn homeless(&self, domain: &DomainConfig) -> Option<String> {
        let mut reasons = domain.addresses.iter().map(|a| self.pending.get(&a.ip));
        let first = reasons.next()??;
        reasons.all(|r| r.is_some()).then(|| first.clone())
    }

    /// The address of `domain` from which a host at `target` can be reached: the one of its family.
    pub fn source_for(&self, domain: &DomainConfig, target: IpAddr) -> Result<IpAddr, String> {
        let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
        let Some(source) = domain.addresses.iter().find(|a| a.ip.is_ipv4() == target.is_ipv4()) else {
            return Err(format!("{} has no {family} address to reach {target} from", domain.name));
        };
        match self.pending.get(&source.ip) {
            Some(why) => Err(why.clone()),
            None => Ok(source.ip),
        }
    }

    /// When the next message is due, of those posts that have room to try one more.
    pub fn due_at(&mut self) -> Instant {
        self.posts.next_due(self.is_crowded()).unwrap_or(Instant::NEVER)
    }

    /// When lazy records want to be written at the latest.
    pub fn flush_at(&mut self) -> Instant {
        self.posts.next_write().unwrap_or(Instant::NEVER)
    }

    /// Whether content of messages takes all the memory that it may.
    pub(super) fn is_crowded(&self) -> bool {
        self.resident_bytes >= RESIDENT_CONTENT_BYTES_MAX
    }

    /// Asks for the outcome of a message's next round of attempts.
    pub fn watch(&mut self, id: QueueId) {
        self.watched.insert(id);
    }

    /// Outcomes of watched messages since the last call.
    pub fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// Messages in all queues.
    pub fn queue_len(&self) -> usize {
        self.posts.iter().map(|(_, post)| post.queue.len()).sum()
    }

    /// Whether the queues have room for one more message, as they were a moment ago.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        if now >= self.counted.0 {
            self.counted = (now + Duration::from_millis(QUEUE_COUNTED_MS), self.queue_len());
        }
        self.counted.1 < self.capacity.queued
    }

    /// What there is room for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Bytes of message content in memory.
    pub fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Bytes of messages that are coming in.
    pub fn incoming_bytes(&self) -> usize {
        self.incoming.bytes()
    }

    /// Open outgoing connections.
    pub fn connections(&self) -> usize {
        self.dispatch.connections()
    }
}
