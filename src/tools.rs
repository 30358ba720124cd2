//! The tools beside the daemon: `check` reads a configuration, `spool` reads what a stopped daemon left, and
//! carries mail from one box's card to another box.

use std::path::Path;

use crate::caller::SOCKET;
use crate::cli::SpoolTask;
use crate::config::argument::{Argument, FilePath};
use crate::config::{self, Config, Problem};
use crate::console::exit;
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::mail::id::QueueIds;
use crate::mail::{Domain, QueueId};
use crate::os::flash_files::FlashFiles;
use crate::os::{clock, entropy, files, sockets};
use crate::spool::inspect::{Inspection, import};
use crate::spool::{Bounds, DomainLog};
use crate::time::Instant;
use crate::tls::authority;

/// What a tool prints, and its exit code.
#[derive(Default)]
pub struct Told {
    pub out: Vec<u8>,
    /// Lines for stderr.
    pub errors: Vec<String>,
    pub code: u8,
}

impl Told {
    fn failure(what: impl Into<String>) -> Self {
        Told { errors: vec![what.into()], code: exit::FAILURE, ..Told::default() }
    }

    fn say(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.push(b'\n');
    }

    fn complain(&mut self, what: String) {
        self.errors.push(what);
        self.code = exit::FAILURE;
    }
}

/// `stagepost check FILE`.
pub fn check(file: &Path) -> Told {
    let name = file.display();
    let text = match files::read(file) {
        Ok(text) => text,
        Err(error) => return Told::failure(format!("{name}: {error}")),
    };
    let mut told = Told::default();
    let problems = match config::parse(&text) {
        Ok(config) => unusable_authority(&config, &text).into_iter().collect(),
        Err(problems) => problems,
    };
    for problem in problems {
        told.complain(format!("{name}:{}: {}", problem.line, problem.what));
    }
    told
}

/// A file of authorities that is not there, or is none.
fn unusable_authority(config: &Config, text: &[u8]) -> Option<Problem> {
    let file = config.machine.authority.as_ref()?;
    let pem = files::read_bounded(Path::new(file), CERTIFICATE_FILE_BYTES_MAX).map_err(|e| e.to_string());
    let why = pem.and_then(|pem| authority::from_pem(&pem)).err()?;
    let line = config::text::line_of(text, &format!("box authority {}", FilePath(file.clone()).write()));
    Some(Problem { line, what: format!("{file}: {why}") })
}

/// `stagepost spool ...`, over the data directory of a daemon that does not run.
pub fn spool(data: &Path, task: &SpoolTask) -> Told {
    if sockets::connect_unix(&data.join(SOCKET)).is_ok() {
        return Told::failure("the daemon runs on this spool: stop it, or ask it with `stagepost console`");
    }
    let domains = match domains_in(&data.join("spool")) {
        Ok(domains) => domains,
        Err(error) => return Told::failure(format!("{}: {error}", data.join("spool").display())),
    };
    match task {
        SpoolTask::List => list(&domains),
        SpoolTask::Verify => verify(&domains),
        SpoolTask::Cat { id } => cat(&domains, id),
        SpoolTask::Export { dir } => export(&domains, dir),
        SpoolTask::Import { dir } => take_in(data, dir),
    }
}

/// A domain's spool, opened.
struct Spool {
    name: Domain,
    flash: FlashFiles,
}

fn domains_in(spool: &Path) -> std::io::Result<Vec<Spool>> {
    let mut found = Vec::new();
    for name in files::folders(spool)? {
        if let Ok(domain) = Domain::host_name(&name) {
            found.push(Spool { name: domain, flash: FlashFiles::open(&spool.join(&name))? });
        }
    }
    Ok(found)
}

fn list(domains: &[Spool]) -> Told {
    let mut told = Told::default();
    for Spool { name, flash } in domains {
        Inspection::new(flash).list().lines().for_each(|line| told.say(&format!("{name} {line}")));
    }
    told
}

fn verify(domains: &[Spool]) -> Told {
    let mut told = Told::default();
    for Spool { name, flash } in domains {
        let verdict = Inspection::new(flash).verify();
        verdict.report.lines().for_each(|line| told.say(&format!("{name}: {line}")));
        if !verdict.well {
            told.code = exit::FAILURE;
        }
    }
    told
}

fn cat(domains: &[Spool], id: &str) -> Told {
    let Some(id) = QueueId::parse(id) else { return Told::failure(format!("{id:?} is no message id")) };
    for Spool { flash, .. } in domains {
        let spool = Inspection::new(flash);
        if spool.ids().any(|known| known == id) {
            return match spool.cat(id) {
                Ok(out) => Told { out, ..Told::default() },
                Err(why) => Told::failure(format!("{id}: {why}")),
            };
        }
    }
    Told::failure(format!("no message {id} is in the spool"))
}

/// Every message as `DIR/DOMAIN/ID.eml` and `DIR/DOMAIN/ID.envelope`.
fn export(domains: &[Spool], dir: &Path) -> Told {
    let mut told = Told::default();
    for Spool { name, flash } in domains {
        let spool = Inspection::new(flash);
        let folder = dir.join(name.as_str());
        for id in spool.ids() {
            let exported = match spool.export(id) {
                Ok(exported) => exported,
                Err(why) => {
                    told.complain(format!("{name} {id}: {why}"));
                    continue;
                }
            };
            let written = files::make_private_dir(&folder)
                .and_then(|()| files::replace(&folder.join(format!("{id}.eml")), &exported.eml))
                .and_then(|()| {
                    files::replace(&folder.join(format!("{id}.envelope")), exported.envelope.as_bytes())
                });
            match written {
                Ok(()) => told.say(&format!("{name} {id}")),
                Err(error) => told.complain(format!("{}: {error}", folder.display())),
            }
        }
    }
    told
}

/// Takes in what [`export`] wrote, under new ids, into the spools of `data`.
fn take_in(data: &Path, dir: &Path) -> Told {
    let mut told = Told::default();
    let folders = match files::folders(dir) {
        Ok(folders) => folders,
        Err(error) => return Told::failure(format!("{}: {error}", dir.display())),
    };
    for folder in folders {
        let Ok(name) = Domain::host_name(&folder) else { continue };
        if let Err(error) = take_in_domain(data, &dir.join(&folder), &name, &mut told) {
            told.complain(format!("{name}: {error}"));
        }
    }
    told
}

fn take_in_domain(data: &Path, folder: &Path, name: &Domain, told: &mut Told) -> std::io::Result<()> {
    let flash = FlashFiles::open(&data.join("spool").join(name.as_str()))?;
    let bounds = Bounds::for_quota(files::room_bytes(data)?, entropy::u64());
    let (mut log, found) = DomainLog::recover(&flash, bounds);
    let mut ids = QueueIds::new(found.messages.iter().map(|m| m.id).max(), entropy::u64());
    for path in files::with_ending(folder, "eml")? {
        let id = ids.next(clock::wall());
        match take_in_message(&mut log, &flash, id, &path) {
            Ok(()) => told.say(&format!("{name} {id}")),
            Err(why) => told.complain(format!("{}: {why}", path.display())),
        }
    }
    Ok(())
}

/// One message, on flash when this returns.
fn take_in_message(log: &mut DomainLog, flash: &FlashFiles, id: QueueId, eml: &Path) -> Result<(), String> {
    let message = files::read(eml).map_err(|e| e.to_string())?;
    let envelope = files::read(&eml.with_extension("envelope")).map_err(|e| format!("its envelope: {e}"))?;
    let envelope = String::from_utf8(envelope).map_err(|_| "its envelope is no UTF-8".to_owned())?;
    import(log, id, &message, &envelope)?;
    while let Some(batch) = log.take_batch(flash, Instant::NEVER) {
        let result = batch.run(flash);
        if let Some(failed) = log.batch_finished(result).failed {
            return Err(failed.why.to_string());
        }
    }
    Ok(())
}
