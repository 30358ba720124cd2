//! Composition: from a data directory to a running daemon, and back to an orderly end. Boot takes the same
//! road as a change of configuration, from an empty NIC and no doors.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{FutureExt, Stream, StreamExt};
use smol::LocalExecutor;

use crate::caller::SOCKET;
use crate::config::Config;
use crate::limits::{DESCRIPTORS_WANTED, STOP_WAIT_S};
use crate::os::clerk::Clerk;
use crate::os::flusher::Flusher;
use crate::os::init::{self, End, Machine};
use crate::os::logging::Ring;
use crate::os::maildir::Maildirs;
use crate::os::process::Request;
use crate::os::{clock, entropy, files, process, sockets};
use crate::relay::Office;
use crate::tasks::certificates::Certificates;
use crate::tasks::machine::{self, Machinist};
use crate::tasks::nic::NicKeeper;
use crate::tasks::posts::{self, OpenSpool};
use crate::tasks::resolve::Resolver;
use crate::tasks::settings::{self, Settings};
use crate::tasks::station::{Parts, Station};
use crate::tasks::timer::by;
use crate::tasks::{addresses, certificates, committer, control, mailbox, sender, serial, signing};

/// Runs the daemon over `data` until it is told to stop. An error is lines for stderr.
pub fn run(data: &Path, log: Arc<Ring>) -> Result<(), Vec<String>> {
    files::make_private_dir(data).map_err(|e| vec![format!("{}: {e}", data.display())])?;
    let settings = Settings::load(data)?;
    start(data, settings, log, None).map_err(|error| vec![error])
}

/// Runs a whole machine until it is told to end, and tells how. It never gives up: what the disk is like
/// decides only how much of the configuration there is.
pub fn run_machine(machine: Machine, log: Arc<Ring>) -> End {
    for note in &machine.notes {
        log::error!("{note}");
    }
    let data = Path::new(init::DATA);
    let saved = match &machine.failsafe {
        Some(why) => Err(vec![format!("the saved configuration is left aside: {why}")]),
        None => Settings::load(data),
    };
    let settings = saved.unwrap_or_else(|lines| {
        lines.iter().for_each(|line| log::error!("{line}"));
        Settings::without_saved(data)
    });
    let machinist = Machinist::new(machine);
    if let Err(error) = start(data, settings, log.clone(), Some(machinist.clone())) {
        log::error!("{error}; only the console is left");
        if let Err(error) = start(data, Settings::without_saved(data), log, Some(machinist.clone())) {
            log::error!("{error}; starting over");
            return End::Reboot;
        }
    }
    machinist.asked_for().unwrap_or(End::PowerOff)
}

fn start(
    data: &Path,
    settings: Settings,
    log: Arc<Ring>,
    machinist: Option<Rc<Machinist>>,
) -> Result<(), String> {
    process::raise_descriptors(DESCRIPTORS_WANTED);
    let executor = Rc::new(LocalExecutor::new());
    let parts = Start { data: data.to_owned(), settings, log, machinist };
    async_io::block_on(executor.clone().run(serve(executor, parts)))
}

/// What a daemon starts from.
struct Start {
    data: PathBuf,
    settings: Settings,
    log: Arc<Ring>,
    /// Where this process is the machine's first.
    machinist: Option<Rc<Machinist>>,
}

async fn serve(executor: Rc<LocalExecutor<'static>>, start: Start) -> Result<(), String> {
    let Start { data, settings, log, machinist } = start;
    let config = Rc::new(settings.store.borrow().running().clone());
    let requests = process::requests().map_err(|e| format!("signals: {e}"))?;
    if let Some(machinist) = &machinist {
        machinist.start(&executor);
    }
    let control_path = data.join(SOCKET);
    let control = sockets::listen_unix(&control_path)
        .and_then(Async::new)
        .map_err(|e| format!("{}: {e}", control_path.display()))?;
    let mut office = Office::new(config.clone(), entropy::u64());
    open_posts(&mut office, &data, machinist.as_deref())?;
    let resolver = Resolver::new(entropy::u64());
    resolver.configure(&config);
    let nic = NicKeeper::new();
    nic.apply(&config);
    let maildirs = Maildirs::new(data.join("mail"), &host_name(&config));
    let certificates = Certificates::new(data.join("certificates"));
    certificates.follow(&config, clock::now().wall);
    let (flusher, flushed) = Flusher::start().map_err(|e| format!("the flusher's thread: {e}"))?;
    let clerk = Clerk::start().map_err(|e| format!("the clerk's thread: {e}"))?;
    let secret = secret(&data);
    let station = Station::new(Parts {
        executor,
        data,
        settings,
        office,
        resolver,
        certificates,
        nic,
        flusher,
        clerk,
        secret,
        log,
        machinist: machinist.clone(),
    });
    station.spawn(committer::take_back(station.clone(), flushed));
    start_tasks(&station, control, maildirs);
    if let Some(machinist) = &machinist {
        station.spawn(machine::keep_alive(station.clone(), machinist.clone()));
        station.spawn(machine::confirm(station.clone(), machinist.clone()));
        station.spawn(serial::run(control_path.clone()));
    }
    log::info!("stagepost {} is running", env!("CARGO_PKG_VERSION"));
    match &machinist {
        Some(machinist) => told_to_stop(requests).or(machinist.ended()).await,
        None => told_to_stop(requests).await,
    }
    stop(&station).await;
    files::remove(&control_path);
    Ok(())
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

async fn told_to_stop(mut requests: impl Stream<Item = Request> + Unpin) {
    while let Some(Request::Reload) = requests.next().await {
        log::info!("the configuration changes through the console, not by a signal");
    }
}

fn start_tasks(station: &Rc<Station>, control: Async<std::os::unix::net::UnixListener>, maildirs: Maildirs) {
    addresses::follow(station);
    signing::follow(station);
    let keeper = station.clone();
    station.spawn(async move {
        keeper.nic.run().await;
    });
    station.spawn(addresses::run(station.clone()));
    station.spawn(certificates::run(station.clone()));
    station.spawn(committer::hand_out(station.clone()));
    station.spawn(sender::run(station.clone()));
    station.spawn(mailbox::run(station.clone(), maildirs));
    station.spawn(settings::run(station.clone()));
    station.spawn(control::run(station.clone(), control));
}

/// Opens the spool of every domain. Each may take its time: the watchdog is fed in between.
fn open_posts(office: &mut Office, data: &Path, machinist: Option<&Machinist>) -> Result<(), String> {
    let config = office.config().clone();
    for domain in &config.domains {
        OpenSpool::read(data, &domain.name, posts::quota_bytes(data, &config, domain))?.enter(office);
        machinist.inspect(|machinist| machinist.feed());
    }
    Ok(())
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
}
