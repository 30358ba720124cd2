//! Mail that is made on the box itself: `stagepost sendmail` and the console's `send`. It takes the same road
//! as a client's mail (Figure 5), and whoever asks for it sees it leave (Figures 1D, 3A).

use std::io;
use std::rc::Rc;

use smol::channel::Receiver;

use crate::config::{Config, DomainConfig};
use crate::console::exit;
use crate::console::wire::{Submission, ToDaemon};
use crate::limits::HEADER_SECTION_BYTES_MAX;
use crate::mail::addresses;
use crate::mail::headers::{Gatherer, Section};
use crate::mail::note::Note;
use crate::mail::{Address, Body, Envelope, Recipient, ReversePath};
use crate::os::clock;
use crate::relay::intake::{Bearer, Intake, Source};
use crate::relay::{Outcome, Verdict, policy};
use crate::smtp::{Enhanced, Reply};
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};
use crate::tasks::watch::{Sight, fate};

/// Why a submission is refused: the exit code of sysexits.h, and a line for stderr.
struct Refusal(u8, String);

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        let code = match (reply.enhanced(), reply.is_permanent()) {
            (_, false) => exit::TEMPORARY,
            (Some(Enhanced(5, 1, 1)), _) => exit::NO_USER,
            (Some(Enhanced(5, 7, _)), _) => exit::NO_PERMISSION,
            _ => exit::DATA_ERROR,
        };
        Refusal(code, reply.to_string())
    }
}

/// A message that was handed in, and whose departure may be watched.
struct Accepted {
    id: crate::mail::QueueId,
    sights: Option<Receiver<Sight>>,
}

/// Takes a message from `sendmail`; the exit code.
pub async fn from_sendmail(station: &Rc<Station>, talk: &mut Talk, asked: Submission) -> io::Result<u8> {
    let verbose = asked.verbose;
    match take(station, talk, asked).await? {
        Ok(accepted) => {
            if let Some(sights) = accepted.sights {
                show(talk, sights).await?;
            } else if verbose {
                talk.print(&format!("{} queued\n", accepted.id)).await?;
            }
            Ok(exit::OK)
        }
        Err(Refusal(code, why)) => {
            talk.complain(&format!("{why}\n")).await?;
            Ok(code)
        }
    }
}

async fn take(
    station: &Rc<Station>,
    talk: &mut Talk,
    asked: Submission,
) -> io::Result<Result<Accepted, Refusal>> {
    let mut gatherer = Gatherer::default();
    let mut complete = false;
    let mut whole = false;
    while !complete && !whole {
        match talk.link.receive().await? {
            Some(ToDaemon::Data(piece)) => match gatherer.push(&piece) {
                Ok(is_complete) => complete = is_complete,
                Err(_) => {
                    let why = format!("the header section is longer than {HEADER_SECTION_BYTES_MAX} bytes");
                    return Ok(Err(Refusal(exit::DATA_ERROR, why)));
                }
            },
            Some(ToDaemon::EndOfData) => whole = true,
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    let start = gatherer.into_bytes();
    let config = station.config();
    let verbose = asked.verbose;
    let mut intake = match begin(station, &config, asked, &start) {
        Ok(intake) => intake,
        Err(refusal) => return Ok(Err(refusal)),
    };
    intake.take(&mut station.office.borrow_mut(), clock::now(), &start);
    while !whole {
        match talk.link.receive().await? {
            Some(ToDaemon::Data(piece)) => {
                intake.take(&mut station.office.borrow_mut(), clock::now(), &piece);
                station.catch_up(&mut intake).await;
            }
            Some(ToDaemon::EndOfData) => whole = true,
            _ => {
                intake.abandon(&mut station.office.borrow_mut());
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(finish(station, intake, verbose).await)
}

/// The envelope of a `sendmail` submission, and the shares of those who answer for it.
fn begin(station: &Rc<Station>, config: &Config, asked: Submission, start: &[u8]) -> Result<Intake, Refusal> {
    let section = Section::of(start);
    let (reverse_path, domain) = sender(config, &asked, &section)?;
    let mut recipients = Vec::new();
    for text in &asked.recipients {
        let address = complete(text, domain)
            .map_err(|e| Refusal(exit::DATA_ERROR, format!("recipient {text:?}: {e}")))?;
        recipients.push(address);
    }
    if asked.from_header {
        let named = addresses::recipients(&section, &domain.name)
            .map_err(|e| Refusal(exit::DATA_ERROR, e.to_string()))?;
        recipients.extend(named);
    }
    if recipients.is_empty() {
        return Err(Refusal(exit::USAGE, "no recipients: name them, or use -t and To, Cc or Bcc".to_owned()));
    }
    let mut envelope = Envelope::plain(reverse_path, recipients);
    if !start.is_ascii() {
        envelope.body = Body::EightBitMime;
    }
    envelope.smtputf8 = envelope.goes_beyond_ascii();
    let shares = policy::shares_for(config, Some(domain), &envelope)?;
    let source = Source {
        our_name: domain.ehlo_name().clone(),
        author: Some(domain.name.clone()),
        bearer: Bearer::Local { user: asked.user },
        drop_bcc: asked.from_header,
        full_name: asked.full_name,
        tolerant: false,
    };
    Ok(Intake::new(&mut station.office.borrow_mut(), clock::now(), source, envelope, shares))
}

/// Whose mail it is: by `-f`, else by the From field, else the caller as a user of the first domain.
fn sender<'c>(
    config: &'c Config,
    asked: &Submission,
    section: &Section<'_>,
) -> Result<(ReversePath, &'c DomainConfig), Refusal> {
    let first = config.domains.first();
    let usual = first.ok_or_else(|| Refusal(exit::UNAVAILABLE, "no domain is configured".to_owned()))?;
    let author = addresses::author(section, &usual.name);
    let (reverse_path, named) = match asked.sender.as_deref() {
        Some("") => (ReversePath::Null, author),
        Some(text) => {
            let address = complete(text, usual)
                .map_err(|e| Refusal(exit::DATA_ERROR, format!("sender {text:?}: {e}")))?;
            (ReversePath::Address(address.clone()), Some(address))
        }
        None => {
            let address = match author {
                Some(address) => address,
                None => complete(&asked.user, usual)
                    .map_err(|e| Refusal(exit::DATA_ERROR, format!("user {:?}: {e}", asked.user)))?,
            };
            (ReversePath::Address(address.clone()), Some(address))
        }
    };
    let Some(address) = named else { return Ok((reverse_path, usual)) };
    match config.domain(&address.domain) {
        Some(domain) => Ok((reverse_path, domain)),
        None => {
            Err(Refusal(exit::NO_PERMISSION, format!("<{address}>: {} is not hosted here", address.domain)))
        }
    }
}

/// An address as a user writes it: `b2` is a user of `domain`.
fn complete(text: &str, domain: &DomainConfig) -> Result<Address, crate::mail::AddressError> {
    let text = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
    if text.contains('@') {
        return Address::parse(text);
    }
    Ok(Address::new(crate::mail::LocalPart::parse(text)?, domain.name.clone()))
}

async fn finish(station: &Rc<Station>, intake: Intake, watched: bool) -> Result<Accepted, Refusal> {
    let id = intake.id;
    let sights = watched.then(|| {
        station.office.borrow_mut().watch(id);
        station.watchers.watch(id, intake.shares())
    });
    let receipt = intake.finish(&mut station.office.borrow_mut(), clock::now());
    let stored = match receipt {
        Ok(receipt) => station.stored(receipt).await,
        Err(reply) => Err(reply),
    };
    match stored {
        Ok(_) => Ok(Accepted { id, sights }),
        Err(reply) => {
            station.watchers.forget(id);
            Err(reply.into())
        }
    }
}

/// Prints the exchange as it happens, then what became of each recipient. False: one of them failed.
async fn show(talk: &mut Talk, sights: Receiver<Sight>) -> io::Result<bool> {
    let mut all_well = true;
    loop {
        let sight = match talk.unless_broken(sights.recv()).await? {
            Some(Ok(sight)) => sight,
            Some(Err(_)) => return Ok(all_well),
            None => {
                talk.print("the message stays in the queue; `show queue` tells of it\n").await?;
                return Ok(all_well);
            }
        };
        match sight {
            Sight::Line(line) => talk.print(&format!("{line}\n")).await?,
            Sight::End(Outcome { recipients, .. }) => {
                for (address, verdict) in recipients {
                    all_well &= !matches!(verdict, Verdict::Failed(_));
                    // What a host said was shown when it said it.
                    if verdict.answer().host.is_none() {
                        talk.print(&format!("{}\n", fate(&verdict).line(&address))).await?;
                    }
                }
            }
        }
    }
}

/// The console's `send`: asks for the text, hands it in, shows it leave; the exit code.
pub async fn from_console(
    station: &Rc<Station>,
    talk: &mut Talk,
    from: Address,
    to: Vec<Address>,
    subject: Option<String>,
) -> io::Result<u8> {
    let config = station.config();
    let Some(domain) = config.domain(&from.domain) else {
        talk.complain(&format!(
            "{} is not hosted here; `send` speaks for hosted domains only\n",
            from.domain
        ))
        .await?;
        return Ok(exit::FAILURE);
    };
    let text = Note::new(&from, &to, subject.as_deref());
    let Some(message) = ask_text(talk, text).await? else { return Ok(exit::FAILURE) };
    send_note(station, talk, domain, from, to, message).await
}

/// Sends the test message of a new box and shows it leave; the exit code. `from` is of a hosted domain.
pub async fn send_test(station: &Rc<Station>, talk: &mut Talk, from: Address, to: Address) -> io::Result<u8> {
    let config = station.config();
    let Some(domain) = config.domain(&from.domain) else { return Ok(exit::FAILURE) };
    let mut note = Note::new(&from, std::slice::from_ref(&to), Some("Test message"));
    note.line(&format!("This is a test of the mail relay {}.", station.name()));
    note.line(&format!("It should come from the address of {}, under its name.", from.domain));
    send_note(station, talk, domain, from, vec![to], note.into_bytes()).await
}

/// Hands in a message that was made at the console and shows it leave; the exit code.
async fn send_note(
    station: &Rc<Station>,
    talk: &mut Talk,
    domain: &DomainConfig,
    from: Address,
    to: Vec<Address>,
    message: Vec<u8>,
) -> io::Result<u8> {
    let config = station.config();
    let recipients: Vec<Recipient> = to.into_iter().map(Recipient::plain).collect();
    let mut envelope = Envelope::plain(ReversePath::Address(from), []);
    envelope.recipients = recipients;
    if !message.is_ascii() {
        envelope.body = Body::EightBitMime;
    }
    envelope.smtputf8 = envelope.goes_beyond_ascii();
    let handed_in = match policy::shares_for(&config, Some(domain), &envelope) {
        Err(reply) => Err(reply.into()),
        Ok(shares) => {
            let source = Source {
                our_name: domain.ehlo_name().clone(),
                author: Some(domain.name.clone()),
                bearer: Bearer::Local { user: "console".to_owned() },
                drop_bcc: false,
                full_name: None,
                tolerant: false,
            };
            let intake = {
                let mut office = station.office.borrow_mut();
                let mut intake = Intake::new(&mut office, clock::now(), source, envelope, shares);
                intake.take(&mut office, clock::now(), &message);
                intake
            };
            finish(station, intake, true).await
        }
    };
    match handed_in {
        Ok(Accepted { sights: Some(sights), .. }) => {
            let well = show(talk, sights).await?;
            Ok(if well { exit::OK } else { exit::FAILURE })
        }
        Ok(_) => Ok(exit::OK),
        Err(Refusal(_, why)) => {
            talk.complain(&format!("{why}\n")).await?;
            Ok(exit::FAILURE)
        }
    }
}

/// The lines of a message up to one with a dot alone; `None` when the user broke off.
async fn ask_text(talk: &mut Talk, mut text: Note) -> io::Result<Option<Vec<u8>>> {
    let mut prompt = "Text, then a line with a dot: ";
    loop {
        match talk.ask(prompt, true).await? {
            Heard::Line(line) if line == "." => return Ok(Some(text.into_bytes())),
            Heard::Line(line) => text.line(&line),
            Heard::End => return Ok(Some(text.into_bytes())),
            Heard::Broken => {
                talk.print("nothing was sent\n").await?;
                return Ok(None);
            }
        }
        prompt = "";
    }
}
