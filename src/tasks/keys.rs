//! Keys and certificates that the owner pastes, as a box without a shell has no other way in: checked, then
//! kept in the data directory, mode 0600, before the candidate gets the statement that names them. And those
//! that an export carries. Danger: what is in use already is replaced at once, so only what is sound is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::config::candidate::Refusal;
use crate::config::grammar::Spelling;
use crate::config::text::{self, Statement};
use crate::config::{CertificateSource, Config};
use crate::console::carried::{self, Carried, Section};
use crate::console::report::Report;
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::mail::Domain;
use crate::mail::dkim::SigningKey;
use crate::ntp::Trust;
use crate::os::{clock, files};
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::{paste, signing};
use crate::time::WallTime;
use crate::tls::authority;
use crate::tls::outgoing::Outgoing;
use crate::tls::pasted::{Pasted, Purpose};

/// The authorities that were pasted, in the data directory.
const AUTHORITY: &str = "authority.pem";

const CERTIFICATE_ASKED: &str = "The certificate, those above it and the private key, in PEM, in any order;\n\
                                 then a line with a dot. Nothing of it is shown.\n";
const AUTHORITY_ASKED: &str = "Certificates of authorities in PEM, in the place of all before;\n\
                               then a line with a dot. Nothing of it is shown.\n";

/// `import certificate DOMAIN`.
///
/// # Errors
/// Those of talking to the user.
pub async fn import_certificate(
    station: &Rc<Station>,
    talk: &mut Talk,
    name: Domain,
) -> io::Result<Result<Report, Refusal>> {
    let draft = station.settings.store.borrow().draft();
    let Some(domain) = draft.domain(&name) else {
        let why = format!("{name} is not hosted here; `set domain {name} address IP` comes first");
        return Ok(Err(vec![why]));
    };
    let names: Vec<Domain> = domain.names().cloned().collect();
    let text = match paste::text(talk, CERTIFICATE_ASKED, false, CERTIFICATE_FILE_BYTES_MAX as usize).await? {
        Ok(text) => text,
        Err(why) => return Ok(unkept(&why)),
    };
    let judge = Judge::of(station);
    let read = move || {
        let mut pasted = Pasted::read(text.as_bytes())?;
        judge.judge(&mut pasted, &names)?;
        Ok::<Pasted, String>(pasted)
    };
    let pasted = match station.compute_first(read).await {
        Some(Ok(pasted)) => pasted,
        Some(Err(why)) => return Ok(unkept(&why)),
        None => return Ok(unkept("the box has too much to do; try it again in a while")),
    };
    let path = certificate_path(&station.data, &name);
    let told = [format!("{} until {}", pasted.facts.subject, pasted.facts.not_after.rfc3339())]
        .into_iter()
        .chain(pasted.notes)
        .collect::<Vec<_>>()
        .join("; ");
    let now = "it is shown from now on";
    let later = format!("`commit` makes {name} show it");
    Ok(kept_and_named(station, &Carried::Certificate(name), path, pasted.pem, [now, &later])
        .await
        .map(|then| Report::Done(format!("{told}; {then}"))))
}

/// `import authority`.
///
/// # Errors
/// Those of talking to the user.
pub async fn import_authority(station: &Rc<Station>, talk: &mut Talk) -> io::Result<Result<Report, Refusal>> {
    let text = match paste::text(talk, AUTHORITY_ASKED, false, CERTIFICATE_FILE_BYTES_MAX as usize).await? {
        Ok(text) => text,
        Err(why) => return Ok(unkept(&why)),
    };
    let authorities = match authority::from_pem(text.as_bytes()) {
        Ok(authorities) => authorities,
        Err(why) => return Ok(unkept(&why)),
    };
    let told: Vec<String> = authorities
        .iter()
        .map(|a| format!("{} until {}", a.facts.subject, a.facts.not_after.rfc3339()))
        .collect();
    let (path, pem) = (authority_path(&station.data), authority::to_pem(&authorities));
    let says = ["it vouches for other hosts from now on", "`commit` lets it vouch for other hosts"];
    let done = kept_and_named(station, &Carried::Authority, path, pem, says).await;
    Ok(done.map(|then| Report::Done(format!("{}; {then}", told.join("; ")))))
}

fn unkept(why: &str) -> Result<Report, Refusal> {
    Err(vec![format!("{why}; nothing was kept")])
}

/// Keeps a file and has the candidate name it; what to say of that: the first where it is in use already.
async fn kept_and_named<'s>(
    station: &Rc<Station>,
    what: &Carried,
    path: PathBuf,
    pem: String,
    says: [&'s str; 2],
) -> Result<&'s str, Refusal> {
    let statement = naming(what, &path).map_err(|why| vec![why])?;
    keep(station, vec![(path, pem)]).await?;
    let is_in_use = text::statements(station.settings.store.borrow().running()).contains(&statement);
    station.settings.store.borrow_mut().set(statement).map_err(|why| vec![why])?;
    follow(station);
    Ok(says[usize::from(!is_in_use)])
}

/// The statement that names a pasted file.
fn naming(what: &Carried, path: &Path) -> Result<Statement, String> {
    let file = path.to_string_lossy();
    let words = match what {
        Carried::Certificate(name) => vec!["domain", name.as_str(), "certificate", &file],
        _ => vec!["box", "authority", &file],
    };
    text::statement_of(&words, Spelling::Full)
}

fn certificate_path(data: &Path, name: &Domain) -> PathBuf {
    files::absolute(data).join("certificates/pasted").join(format!("{name}.pem"))
}

fn authority_path(data: &Path) -> PathBuf {
    files::absolute(data).join(AUTHORITY)
}

/// Writes files where only the box can read them.
async fn keep(station: &Station, kept: Vec<(PathBuf, String)>) -> Result<(), Refusal> {
    let written = station.blocking(move || {
        for (path, pem) in kept {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let done = files::make_private_dir(folder).and_then(|()| files::replace(&path, pem.as_bytes()));
            done.map_err(|e| vec![format!("{}: {e}", path.display())])?;
        }
        Ok(())
    });
    written.await.unwrap_or_else(|| Err(vec!["the box is stopping".to_owned()]))
}

/// What is in use already counts at once.
fn follow(station: &Rc<Station>) {
    station.certificates.follow(&station.config(), clock::now().wall);
}

/// What a certificate is judged by, wherever that is done.
struct Judge {
    now: WallTime,
    clock_is_set: bool,
    trusted: Outgoing,
}

impl Judge {
    fn of(station: &Station) -> Self {
        let clock_is_set = !matches!(station.clock.keeper.borrow().trust(), Trust::Unset(_));
        Judge { now: clock::wall(), clock_is_set, trusted: station.certificates.outgoing() }
    }

    fn judge(&self, pasted: &mut Pasted, names: &[Domain]) -> Result<(), String> {
        let Judge { now, clock_is_set, trusted } = self;
        pasted.judge(&Purpose { names, now: *now, clock_is_set: *clock_is_set, trusted })
    }
}

/// Keeps what came with an imported configuration and gives the statements that name it here. Nothing is kept
/// before all of it is found sound; where the flash fails on the way, what was written stays. What is in use
/// already counts at once, before the `commit`. A certificate that has ended is kept too: an old export must not
/// be refused for it.
///
/// # Errors
/// What is wrong with it, by its lines.
pub async fn take(
    station: &Rc<Station>,
    sections: Vec<Section>,
    wanted: &Config,
) -> Result<Vec<Statement>, Refusal> {
    let (mut statements, mut paths) = (Vec::new(), Vec::new());
    for section in &sections {
        let (path, statement) = place(station, &section.what, wanted).map_err(|why| wrong(section, &why))?;
        paths.push(path);
        statements.extend(statement);
    }
    let check = move || {
        let sound = |section: Section| sound(&section).map_err(|why| wrong(&section, &why));
        sections.into_iter().map(sound).collect::<Result<Vec<String>, Refusal>>()
    };
    let busy = || Err(vec!["the box has too much to do; try it again in a while".to_owned()]);
    let sound = station.compute_first(check).await.unwrap_or_else(busy)?;
    keep(station, paths.into_iter().zip(sound).collect()).await?;
    follow(station);
    signing::read_again(station);
    Ok(statements)
}

fn wrong(section: &Section, why: &str) -> Refusal {
    vec![format!("line {}: {}: {why}", section.line, section.what)]
}

/// Where a section is kept, and the statement that then names it; keys for DKIM have their places.
fn place(station: &Station, what: &Carried, wanted: &Config) -> Result<(PathBuf, Option<Statement>), String> {
    let hosted =
        |name: &Domain| wanted.domain(name).ok_or("no statement speaks of this domain; put it among them");
    match what {
        Carried::Certificate(name) => {
            hosted(name)?;
            let path = certificate_path(&station.data, name);
            let statement = naming(what, &path)?;
            Ok((path, Some(statement)))
        }
        Carried::Authority => {
            let path = authority_path(&station.data);
            let statement = naming(what, &path)?;
            Ok((path, Some(statement)))
        }
        Carried::Dkim { domain, selector } => {
            let signs = hosted(domain)?.dkim.as_ref().ok_or("no statement has this domain sign its mail")?;
            let places = station.signing.places(domain, signs);
            let found = places.into_iter().find(|(name, _)| name == selector);
            let (_, path) =
                found.ok_or_else(|| format!("its selectors are of `dkim {signs}`, others than this"))?;
            Ok((path, None))
        }
    }
}

/// A section as it is kept, if it is what it is said to be.
fn sound(section: &Section) -> Result<String, String> {
    let pem = section.pem.as_bytes();
    match &section.what {
        Carried::Certificate(_) => Ok(Pasted::read(pem)?.pem),
        Carried::Authority => Ok(authority::to_pem(&authority::from_pem(pem)?)),
        Carried::Dkim { selector, .. } => {
            let key = SigningKey::from_pem(selector.clone(), pem).map_err(|e| e.to_string())?;
            match key.is_named_for_its_kind() {
                true => Ok(section.pem.clone()),
                false => Err(format!("it is a key for {}, which has another selector", key.algorithm())),
            }
        }
    }
}

/// The lines of an export that carry the keys and certificates of the running configuration: what was pasted,
/// and the keys for DKIM.
pub async fn carried(station: &Rc<Station>) -> Vec<String> {
    let config = station.settings.store.borrow().running().clone();
    let mut places: Vec<(Carried, PathBuf)> = Vec::new();
    for domain in &config.domains {
        let path = certificate_path(&station.data, &domain.name);
        if domain.certificate == CertificateSource::File(path.to_string_lossy().into_owned()) {
            places.push((Carried::Certificate(domain.name.clone()), path));
        }
        for (selector, path) in domain.dkim.iter().flat_map(|s| station.signing.places(&domain.name, s)) {
            places.push((Carried::Dkim { domain: domain.name.clone(), selector }, path));
        }
    }
    let path = authority_path(&station.data);
    if config.machine.authority.as_deref() == path.to_str() {
        places.push((Carried::Authority, path));
    }
    let read = station.blocking(move || {
        let (mut sections, mut missing) = (Vec::new(), Vec::new());
        for (what, path) in places {
            match files::read_bounded(&path, CERTIFICATE_FILE_BYTES_MAX) {
                Ok(pem) => {
                    let pem = String::from_utf8_lossy(&pem).into_owned();
                    sections.push(Section { line: 0, what, pem });
                }
                Err(error) => missing.push(format!("# {what} is not in this export: {error}")),
            }
        }
        [carried::lines(&sections), missing].concat()
    });
    read.await.unwrap_or_default()
}
