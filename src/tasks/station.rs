//! What all tasks of the daemon share: the office, the resolver, the wake-up calls between them, and the
//! counters that the console shows. One thread, so plain cells; no borrow is ever held across an await.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use event_listener::{Event, EventListener};
use futures_lite::future;
use smol::LocalExecutor;
use smol::channel::Sender;

use crate::config::Config;
use crate::console::first_boot::Dialogue;
use crate::limits::LONG_ENVELOPES_BYTES_MAX;
use crate::mail::Domain;
use crate::os::clerk::{Clerk, Work};
use crate::os::clock;
use crate::os::flusher::Flusher;
use crate::os::logging::Ring;
use crate::os::maildir::Maildirs;
use crate::relay::intake::Intake;
use crate::relay::{Guesses, GuestId, Guests, Incoming, LaneKey, Mailboxes, Office, Places, Receipt, Safe};
use crate::smtp::{Enhanced, Reply};
use crate::spool::BatchError;
use crate::tasks::certificates::Certificates;
use crate::tasks::clock::Timekeeper;
use crate::tasks::lease::Leasing;
use crate::tasks::listen::Doors;
use crate::tasks::login::Guard;
use crate::tasks::machine::Machinist;
use crate::tasks::nic::NicKeeper;
use crate::tasks::notices::Notices;
use crate::tasks::resolve::Resolver;
use crate::tasks::settings::Settings;
use crate::tasks::signing::Signing;
use crate::tasks::syslog;
use crate::tasks::timer::{by, sleep_until};
use crate::tasks::watch::Watchers;
use crate::tasks::wear::WearMeter;
use crate::time::Instant;

/// The daemon's common room.
pub struct Station {
    pub executor: Rc<LocalExecutor<'static>>,
    pub data: PathBuf,
    pub settings: Settings,
    pub notices: Notices,
    pub guard: Guard,
    /// The answers so far of the dialogue with a new box.
    pub setup: RefCell<Option<Dialogue>>,
    pub office: RefCell<Office>,
    pub doors: RefCell<Doors>,
    pub guests: RefCell<Guests>,
    /// What the envelopes of all sessions hold beyond what each may.
    pub long_envelopes: Incoming,
    /// How to tell each guest that another needs its place.
    pub leaving: RefCell<HashMap<GuestId, Rc<Stop>>>,
    pub resolver: Resolver,
    pub certificates: Certificates,
    pub signing: Signing,
    pub nic: Rc<NicKeeper>,
    pub flusher: Flusher,
    /// For those who come to us: checks passwords, makes the verifiers of typed ones.
    pub clerk: Clerk,
    /// For our own connections: signs mail, makes the proofs for smarthosts. Apart, so that who guesses
    /// passwords holds up no mail that leaves.
    pub outgoing_clerk: Clerk,
    /// Failed AUTH commands.
    pub guesses: Rc<RefCell<Guesses>>,
    /// How full the mailboxes here are.
    pub mailboxes: Rc<RefCell<Mailboxes>>,
    /// The mailboxes themselves; only the flusher's thread takes hold of them.
    maildirs: Arc<Mutex<Maildirs>>,
    /// Makes up what unknown users seem to have (RFC 5802 §9 asks for the same at each attempt).
    pub secret: [u8; 32],
    pub log: Arc<Ring>,
    /// What the daemon has given up, for the console.
    pub confinement: String,
    pub machinist: Option<Rc<Machinist>>,
    pub watchers: Watchers,
    pub wear: WearMeter,
    pub stop: Stop,
    pub meters: Meters,
    pub syslog: syslog::Meter,
    pub clock: Timekeeper,
    pub leasing: Leasing,
    /// Something waits to be written to flash.
    pub to_commit: Event,
    /// A batch has been written: the logs have room for more.
    pub committed: Event,
    /// Something may be sent: a message became due, a connection ended, an address came back.
    pub to_send: Event,
    /// A mailbox of ours may have mail coming.
    pub to_mailbox: Event,
    /// Idle connections, to be woken when their lane gets a job.
    pub idle: RefCell<HashMap<LaneKey, Rc<Event>>>,
    receipts: RefCell<HashMap<Receipt, Sender<Result<Safe, Reply>>>>,
    /// Batches with the flusher.
    writing: Cell<usize>,
}

/// Counts of the daemon since its start.
#[derive(Debug, Default)]
pub struct Meters {
    pub started: Cell<Instant>,
    pub sessions: Cell<usize>,
    pub sessions_total: Cell<u64>,
    pub refused_sessions: Cell<u64>,
    /// Users of the control socket.
    pub consoles: Cell<usize>,
    /// Messages of which the content is coming in.
    pub arriving: Cell<usize>,
    /// How often a client claimed a name that is not its own (Figure 1E), by address; bounded.
    pub false_claims: RefCell<HashMap<IpAddr, u64>>,
}

/// The order to stop, given once.
#[derive(Debug, Default)]
pub struct Stop {
    given: Cell<bool>,
    event: Event,
}

impl Stop {
    pub fn give(&self) {
        self.given.set(true);
        self.event.notify(usize::MAX);
    }

    pub fn is_given(&self) -> bool {
        self.given.get()
    }

    /// Ends when the order is given.
    pub async fn wait(&self) {
        let listener = self.event.listen();
        if !self.is_given() {
            listener.await;
        }
    }
}

/// What a station is put together from.
pub struct Parts {
    pub executor: Rc<LocalExecutor<'static>>,
    pub data: PathBuf,
    pub settings: Settings,
    pub notices: Notices,
    pub guard: Guard,
    pub office: Office,
    pub resolver: Resolver,
    pub certificates: Certificates,
    pub nic: Rc<NicKeeper>,
    pub flusher: Flusher,
    pub maildirs: Maildirs,
    pub places: Places,
    pub clerk: Clerk,
    pub outgoing_clerk: Clerk,
    pub secret: [u8; 32],
    pub timekeeper: Timekeeper,
    pub log: Arc<Ring>,
    pub confinement: String,
    /// Where this process is the machine's first.
    pub machinist: Option<Rc<Machinist>>,
}

impl Station {
    pub fn new(parts: Parts) -> Rc<Self> {
        let Parts { executor, data, settings, notices, guard, office, resolver, certificates, nic, .. } =
            parts;
        let Parts { flusher, maildirs, timekeeper, clerk, outgoing_clerk, secret, log, .. } = parts;
        let Parts { confinement, machinist, places, .. } = parts;
        let meters = Meters::default();
        meters.started.set(clock::mono());
        let wear = WearMeter::start(&data);
        Rc::new(Station {
            signing: Signing::new(data.join("dkim")),
            executor,
            data,
            settings,
            notices,
            guard,
            setup: RefCell::default(),
            office: RefCell::new(office),
            doors: RefCell::default(),
            guests: RefCell::new(Guests::new(places)),
            long_envelopes: Incoming::new(LONG_ENVELOPES_BYTES_MAX),
            leaving: RefCell::default(),
            resolver,
            certificates,
            log,
            confinement,
            machinist,
            nic,
            flusher,
            clerk,
            outgoing_clerk,
            guesses: Rc::default(),
            mailboxes: Rc::default(),
            maildirs: Arc::new(Mutex::new(maildirs)),
            secret,
            watchers: Watchers::default(),
            wear,
            stop: Stop::default(),
            meters,
            syslog: syslog::Meter::default(),
            clock: timekeeper,
            leasing: Leasing::default(),
            to_commit: Event::new(),
            to_send: Event::new(),
            to_mailbox: Event::new(),
            committed: Event::new(),
            idle: RefCell::new(HashMap::new()),
            receipts: RefCell::new(HashMap::new()),
            writing: Cell::new(0),
        })
    }

    /// Runs a task until it ends by itself.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(task).detach();
    }

    pub fn config(&self) -> Rc<Config> {
        self.office.borrow().config().clone()
    }

    /// What the box is called at its consoles.
    pub fn name(&self) -> String {
        self.config().machine.name.as_ref().map_or_else(|| "stagepost".to_owned(), ToString::to_string)
    }

    /// Waits until the message behind a receipt is safe on flash, or is refused.
    pub async fn stored(&self, receipt: Receipt) -> Result<Safe, Reply> {
        let (sender, answer) = smol::channel::bounded(1);
        self.receipts.borrow_mut().insert(receipt, sender);
        self.to_commit.notify(usize::MAX);
        self.wake_senders();
        self.pass_answers();
        let hold = self.office.borrow().held_until(receipt);
        if let Some(until) = hold {
            let patience = future::or(sleep_until(until), self.stop.wait());
            let answered = async { Some(answer.recv().await) };
            let over = async {
                patience.await;
                None
            };
            if let Some(answer) = future::or(answered, over).await {
                return answer.unwrap_or_else(|_| Err(stopping()));
            }
            self.office.borrow_mut().commit_held(clock::now(), receipt);
            self.to_commit.notify(usize::MAX);
            self.pass_answers();
        }
        answer.recv().await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Runs a blocking job on the flusher's thread; `None` when the daemon ends before it has run.
    pub async fn blocking<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, result) = smol::channel::bounded(1);
        self.flusher.run(Box::new(move || {
            // Whoever asked may have stopped waiting.
            let _ = sender.try_send(job());
        }));
        result.recv().await.ok()
    }

    /// Does something with the mailboxes, on the flusher's thread too.
    pub async fn in_mailboxes<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Maildirs) -> T + Send + 'static,
    ) -> Option<T> {
        let maildirs = self.maildirs.clone();
        self.blocking(move || job(&mut maildirs.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// Computes something on the clerk's thread; `None` when too much waits for that, or the
    /// thread has ended.
    pub async fn compute<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        by_clerk(|work| self.clerk.give(work), job).await
    }

    /// The same for the operator, who waits behind none of those who guess passwords.
    pub async fn compute_first<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        by_clerk(|work| self.clerk.give_pressing(work), job).await
    }

    /// The same for one of our own connections, on the thread that has a place for each of them: a signature,
    /// or the proof of a password.
    pub async fn compute_outgoing<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        by_clerk(|work| self.outgoing_clerk.give(work), job).await
    }

    /// Hands to the flusher what is due to be written at `now`.
    pub fn write_batches(&self, now: Instant) {
        let batches = self.office.borrow_mut().take_batches(now);
        if !batches.is_empty() {
            self.writing.set(self.writing.get() + batches.len());
            self.flusher.write(batches);
        }
    }

    /// Takes the result of a batch back from the flusher.
    pub fn batch_written(&self, owner: &Domain, result: Result<(), BatchError>) {
        self.writing.set(self.writing.get() - 1);
        self.office.borrow_mut().batch_finished(clock::now(), owner, result);
        self.pass_answers();
        self.committed.notify(usize::MAX);
        self.to_commit.notify(usize::MAX);
        self.wake_senders();
    }

    /// Waits until the logs have taken all that has come in of a message.
    pub async fn catch_up(&self, intake: &mut Intake) {
        while intake.is_backlogged() {
            let committed = self.committed.listen();
            intake.catch_up(&mut self.office.borrow_mut());
            if intake.is_backlogged() {
                self.to_commit.notify(usize::MAX);
                committed.await;
            }
        }
    }

    /// Hands the office's answers to those who wait for them, and its outcomes to those who watch.
    pub fn pass_answers(&self) {
        let mut office = self.office.borrow_mut();
        for (receipt, result) in office.take_answers() {
            if let Some(waiter) = self.receipts.borrow_mut().remove(&receipt) {
                // A client that went away meanwhile has no ear; its message is safe all the same.
                let _ = waiter.try_send(result);
            }
        }
        for outcome in office.take_outcomes() {
            self.watchers.conclude(&outcome);
        }
    }

    /// Ends when no session and no outgoing connection is left.
    pub async fn quiet(&self) {
        loop {
            let ended = self.to_send.listen();
            if self.meters.sessions.get() == 0 && self.office.borrow().connections() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Writes down what waits for company, until nothing is left or `until` has come.
    pub async fn flush_all(&self, until: Instant) {
        let written = async {
            loop {
                let committed = self.committed.listen();
                self.write_batches(Instant::NEVER);
                if self.writing.get() == 0 {
                    return;
                }
                committed.await;
            }
        };
        if by(until, written).await.is_none() {
            log::error!("stopped before everything was written to flash");
        }
    }

    /// Something may have changed for the senders.
    pub fn wake_senders(&self) {
        self.to_send.notify(usize::MAX);
    }

    /// Wakes the idle connections of lanes that have jobs again.
    pub fn wake_idle(&self) {
        let office = self.office.borrow();
        for (key, event) in self.idle.borrow().iter() {
            if office.has_jobs(key) {
                event.notify(1);
            }
        }
    }

    /// Listens for jobs of a lane.
    pub fn idle_listener(&self, key: &LaneKey) -> EventListener {
        self.idle.borrow_mut().entry(key.clone()).or_default().listen()
    }

    /// Forgets the call of a lane that has no idle connection any more.
    pub fn forget_idle(&self, key: &LaneKey) {
        let mut idle = self.idle.borrow_mut();
        if idle.get(key).is_some_and(|event| event.total_listeners() == 0) {
            idle.remove(key);
        }
    }
}

async fn by_clerk<T: Send + 'static>(
    give: impl FnOnce(Work) -> bool,
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = smol::channel::bounded(1);
    let taken = give(Box::new(move || {
        // Whoever asked may have stopped waiting.
        let _ = sender.try_send(job());
    }));
    if taken { result.recv().await.ok() } else { None }
}

fn stopping() -> Reply {
    Reply::new(451, Enhanced(4, 3, 2), "the box is stopping; try again later")
}
