//! Composition: from a data directory to a running daemon, and back to an orderly end. Boot takes the same
//! road as a change of configuration, from an empty NIC and no doors.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{FutureExt, Stream, StreamExt, future};
use smol::LocalExecutor;

use crate::caller::SOCKET;
use crate::config::{CertificateSource, ClockDuty, Config};
use crate::limits::{CHECKS_WAITING_MAX, DESCRIPTORS_WANTED, OUTGOING_CONNECTIONS_MAX, STOP_WAIT_S};
use crate::os::clerk::Clerk;
use crate::os::confine::{self, Confinement, Needs};
use crate::os::flusher::Flusher;
use crate::os::init::{self, End, Failsafe, Machine};
use crate::os::logging::Ring;
use crate::os::maildir::Maildirs;
use crate::os::process::Request;
use crate::os::{clock, crash, entropy, files, process, sockets};
use crate::relay::{Capacity, Office, Places};
use crate::tasks::certificates::Certificates;
use crate::tasks::clock::{self as timekeeping, Timekeeper};
use crate::tasks::login::Guard;
use crate::tasks::machine::{self, Machinist};
use crate::tasks::nic::NicKeeper;
use crate::tasks::notices::Notices;
use crate::tasks::posts::{self, OpenSpool};
use crate::tasks::resolve::Resolver;
use crate::tasks::settings::{self, Settings};
use crate::tasks::station::{Parts, Station};
use crate::tasks::timer::by;
use crate::tasks::{
    addresses, certificates, committer, control, lease, mailbox, sender, serial, signing, syslog,
};

/// Runs the daemon over `data` until it is told to stop. An error is lines for stderr.
pub fn run(data: &Path, log: Arc<Ring>) -> Result<(), Vec<String>> {
    files::make_private_dir(data).map_err(|e| vec![format!("{}: {e}", data.display())])?;
    crash::take_notes(data, log.clone());
    let settings = Settings::load(data)?;
    let notices = Notices::load(data);
    start(Start { data: data.to_owned(), settings, notices, log, machinist: None })
        .map_err(|error| vec![error])
}

/// Runs a whole machine until it is told to end, and tells how. It never gives up: what the disk is like
/// decides only how much of the configuration there is.
pub fn run_machine(machine: Machine, log: Arc<Ring>) -> End {
    for note in &machine.notes {
        log::error!("{note}");
    }
    let data = Path::new(init::DATA);
    crash::take_notes(data, log.clone());
    let notices = Notices::load(data);
    machine.notes.iter().for_each(|note| notices.trouble(note.clone()));
    let saved = match &machine.failsafe {
        Some(why) => Err(vec![why.to_string()]),
        None => Settings::load(data),
    };
    let settings = saved.unwrap_or_else(|lines| {
        lines.iter().for_each(|line| log::error!("the saved configuration is left aside: {line}"));
        notices.set_failsafe(lines.into_iter().next());
        Settings::without_saved(data)
    });
    let machinist = Machinist::new(machine);
    let parts = Start { data: data.to_owned(), settings, notices, log, machinist: Some(machinist.clone()) };
    if let Err(error) = start(parts) {
        log::error!("{error}; starting over");
        return End::Reboot;
    }
    if let Err(error) = machinist.machine.ended() {
        log::error!("the boot loader is not told of an end in order: {error}");
    }
    machinist.asked_for().unwrap_or(End::PowerOff)
}

fn start(parts: Start) -> Result<(), String> {
    process::raise_descriptors(DESCRIPTORS_WANTED);
    let confinement = match parts.machinist {
        Some(_) => confine::confine_machine(),
        None => confine::confine(&needs(&parts.data, parts.settings.store.borrow().running())),
    };
    let executor = Rc::new(LocalExecutor::new());
    async_io::block_on(executor.clone().run(serve(executor, parts, confinement)))
}

/// What the daemon needs of the system, as it is configured when it starts.
fn needs<'d>(data: &'d Path, config: &Config) -> Needs<'d> {
    let certificates = config.domains.iter().filter_map(|domain| match &domain.certificate {
        CertificateSource::File(path) => Some(path),
        CertificateSource::SelfMade => None,
    });
    let reads = certificates.chain(&config.machine.authority).map(PathBuf::from);
    let clock = config.machine.clock == Some(ClockDuty::Keep);
    Needs { data, reads: reads.collect(), nic: config.machine.interface.is_some(), clock }
}

/// What a daemon starts from.
struct Start {
    data: PathBuf,
    settings: Settings,
    notices: Notices,
    log: Arc<Ring>,
    /// Where this process is the machine's first.
    machinist: Option<Rc<Machinist>>,
}

async fn serve(
    executor: Rc<LocalExecutor<'static>>,
    start: Start,
    confinement: Confinement,
) -> Result<(), String> {
    let Start { data, settings, notices, log, machinist } = start;
    let config = Rc::new(settings.store.borrow().running().clone());
    let requests = process::requests().map_err(|e| format!("signals: {e}"))?;
    let control_path = data.join(SOCKET);
    let control = tolerated(&machinist, &notices, {
        let opened = sockets::listen_unix(&control_path).and_then(Async::new);
        opened.map_err(|e| format!("{}: {e}", control_path.display()))
    })?;
    let nic = nic_keeper(&executor, &config);
    future::yield_now().await;
    let timekeeper = Timekeeper::begin(&data, &config, machinist.is_some());
    let mut office = Office::new(config.clone(), entropy::u64());
    let memory = process::machine_memory().map(|(bytes, _)| bytes);
    office.keep_within(Capacity::for_memory(memory));
    office.know_steps(timekeeper.steps.borrow().clone());
    open_spools(&mut office, &data, &machinist, &notices).await?;
    let resolver = Resolver::new(entropy::u64());
    resolver.configure(&config);
    let certificates = Certificates::new(data.join("certificates"));
    future::yield_now().await;
    certificates.follow(&config, clock::now().wall);
    future::yield_now().await;
    let (flusher, flushed) = Flusher::start().map_err(|e| format!("the flusher's thread: {e}"))?;
    let (clerk, outgoing_clerk) = clerks()?;
    let secret = secret(&data);
    let guard = guard(&data, machinist.as_deref());
    let station = Station::new(Parts {
        maildirs: Maildirs::new(data.join("mail"), &host_name(&config)),
        executor,
        notices,
        guard,
        data,
        settings,
        office,
        resolver,
        certificates,
        nic,
        flusher,
        places: Places::for_memory(memory),
        clerk,
        outgoing_clerk,
        secret,
        timekeeper,
        log,
        confinement: confinement.to_string(),
        machinist: machinist.clone(),
    });
    station.spawn(committer::take_back(station.clone(), flushed));
    start_tasks(&station);
    let has_socket = control.is_some();
    control.into_iter().for_each(|control| station.spawn(control::run(station.clone(), control)));
    log::info!("stagepost {} is running as {confinement}", env!("CARGO_PKG_VERSION"));
    match &machinist {
        Some(machinist) => told_to_stop(requests).or(machinist.ended()).await,
        None => told_to_stop(requests).await,
    }
    stop(&station).await;
    if has_socket {
        files::remove(&control_path);
    }
    Ok(())
}

/// The NIC's keeper, already at work: while the link comes up and is asked whether our addresses are free, the
/// rest of the start goes on.
fn nic_keeper(executor: &LocalExecutor<'static>, config: &Config) -> Rc<NicKeeper> {
    let nic = Rc::new(NicKeeper::new());
    nic.apply(config);
    let keeper = nic.clone();
    executor.spawn(async move { keeper.run().await }).detach();
    nic
}

/// Opens the spool of every domain. Each may take its time: the watchdog is fed in between.
async fn open_spools(
    office: &mut Office,
    data: &Path,
    machinist: &Option<Rc<Machinist>>,
    notices: &Notices,
) -> Result<(), String> {
    let config = office.config().clone();
    for domain in &config.domains {
        let quota = posts::quota_bytes(data, &config, domain);
        let spool = tolerated(machinist, notices, OpenSpool::read(data, &domain.name, quota))?;
        spool.into_iter().for_each(|spool| spool.enter(office));
        if config.lacks_roads(&domain.name) {
            office.hold_again(&domain.name);
        }
        machinist.iter().for_each(|machinist| machinist.feed());
        future::yield_now().await;
    }
    Ok(())
}

/// Who computes for those who come to us, and who for our own connections.
fn clerks() -> Result<(Clerk, Clerk), String> {
    let start = |name, waiting_max| {
        Clerk::start(name, waiting_max).map_err(|e| format!("the thread of the {name}: {e}"))
    };
    Ok((start("clerk", CHECKS_WAITING_MAX)?, start("outgoing clerk", OUTGOING_CONNECTIONS_MAX)?))
}

/// The guard of the console, who lets everybody in where somebody at the box itself asked for that.
fn guard(data: &Path, machinist: Option<&Machinist>) -> Guard {
    let guard = Guard::load(data);
    if machinist.is_some_and(|m| m.machine.failsafe == Some(Failsafe::Asked)) {
        guard.open();
    }
    guard
}

/// The box's own secret, drawn at its first start. One that cannot be kept does until the next.
fn secret(data: &Path) -> [u8; 32] {
    let path = data.join("secret");
    if let Ok(kept) = files::read(&path)
        && let Ok(secret) = kept.try_into()
    {
        return secret;
    }
    let mut secret = [0; 32];
    entropy::fill(&mut secret);
    if let Err(error) = files::replace(&path, &secret) {
        log::warn!("{}: {error}", path.display());
    }
    secret
}

/// A machine goes on without what cannot be opened, and its owner hears of it; a program on somebody's Linux
/// ends, and says why.
fn tolerated<T>(
    machinist: &Option<Rc<Machinist>>,
    notices: &Notices,
    opened: Result<T, String>,
) -> Result<Option<T>, String> {
    match (opened, machinist) {
        (Ok(opened), _) => Ok(Some(opened)),
        (Err(error), None) => Err(error),
        (Err(error), Some(_)) => {
            log::error!("{error}");
            notices.trouble(error);
            Ok(None)
        }
    }
}

async fn told_to_stop(mut requests: impl Stream<Item = Request> + Unpin) {
    while let Some(Request::Reload) = requests.next().await {
        log::info!("the configuration changes through the console, not by a signal");
    }
}

fn start_tasks(station: &Rc<Station>) {
    addresses::follow(station);
    signing::follow(station);
    station.spawn(addresses::run(station.clone()));
    station.spawn(certificates::run(station.clone()));
    station.spawn(committer::hand_out(station.clone()));
    station.spawn(sender::run(station.clone()));
    station.spawn(mailbox::run(station.clone()));
    station.spawn(settings::run(station.clone()));
    station.spawn(lease::run(station.clone()));
    if let Some(machinist) = &station.machinist {
        station.spawn(machine::keep_alive(station.clone(), machinist.clone()));
        station.spawn(serial::run(station.clone()));
    }
    station.spawn(start_the_rest(station.clone()));
}

/// What mail does not need waits until a machine that starts takes mail.
async fn start_the_rest(station: Rc<Station>) {
    if let Some(machinist) = station.machinist.clone() {
        if !station.config().listeners().is_empty() {
            machinist.first_door().await;
        }
        machinist.hear_buttons(&station.executor);
        station.spawn(machine::confirm(station.clone(), machinist));
    }
    station.spawn(syslog::run(station.clone()));
    station.spawn(timekeeping::run(station.clone()));
    station.spawn(timekeeping::run_saving(station.clone()));
}

fn host_name(config: &Config) -> String {
    let name = config.machine.name.as_ref().or_else(|| config.domains.first().map(|d| &d.name));
    name.map_or_else(|| "localhost".to_owned(), |n| n.to_string())
}

/// Lets sessions and connections come to their next boundary, and what is unwritten reach the flash.
async fn stop(station: &Rc<Station>) {
    log::info!("stopping");
    station.stop.give();
    station.wake_senders();
    let until = clock::mono() + Duration::from_secs(STOP_WAIT_S);
    if by(until, station.quiet()).await.is_none() {
        log::warn!("stopped with sessions or connections still open");
    }
    station.flush_all(until).await;
    station.clock.save();
}
