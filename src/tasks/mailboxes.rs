//! The mailboxes of the box at its console, and how full they are: measured when they are new, before they are shown,
//! and when one had no room, since other programs may take mail out of them too. All of it happens on the flusher's
//! thread: a mailbox is listed at once, its messages are read and removed a few at a time.

use std::rc::Rc;

use crate::config::Config;
use crate::console::mailbox::{LetterLine, LetterReport, MailboxLine, MailboxReport, Order};
use crate::console::report::Report;
use crate::limits::{
    MAILBOX_LISTED_AT_ONCE, MAILBOX_PAGE_LINES, MAILBOX_READ_BYTES_MAX, MAILBOX_SHARE_PERCENT,
    MAILBOX_SUMMARY_BYTES_MAX,
};
use crate::mail::reading::{Summary, text_lines};
use crate::mail::{Address, Domain, LocalPart};
use crate::os::files;
use crate::os::letters::{Letter, Look, read_head, remove};
use crate::relay::policy::{Place, place};
use crate::tasks::station::Station;

/// Every mailbox of the configuration, those of postmasters among them.
pub fn all(config: &Config) -> Vec<Address> {
    let mut all = Vec::new();
    for domain in &config.domains {
        let here = |user: &LocalPart| Address::new(user.clone(), domain.name.clone());
        all.extend(domain.mailboxes.iter().map(here));
        let postmaster = here(&LocalPart::postmaster());
        if matches!(place(config, &postmaster), Place::Mailbox(..))
            && !domain.mailboxes.iter().any(LocalPart::is_postmaster)
        {
            all.push(postmaster);
        }
    }
    all
}

/// Shares out the room for all mailboxes among the domains that have any.
pub fn share_out(station: &Station) {
    let config = station.config();
    let room = files::room_bytes(&station.data).unwrap_or(u64::MAX);
    station.mailboxes.borrow_mut().share_out(room / 100 * MAILBOX_SHARE_PERCENT, &all(&config));
}

/// Looks how full a domain's mailboxes are.
pub async fn measure(station: &Station, domain: &Domain) {
    for address in all(&station.config()).into_iter().filter(|address| address.domain == *domain) {
        let Address { local, domain } = address.clone();
        match station.in_mailboxes(move |maildirs| maildirs.measure(&domain, &local)).await {
            Some(Ok(stock)) => {
                station.mailboxes.borrow_mut().measured(&address.domain, &address.local, stock);
            }
            Some(Err(error)) => log::warn!("the mailbox of {address} cannot be measured: {error}"),
            None => return,
        }
    }
}

/// The same for all domains.
pub async fn measure_all(station: &Station) {
    for domain in &station.config().domains {
        measure(station, &domain.name).await;
    }
}

/// Carries out a command of the console.
///
/// # Errors
/// Why it cannot be done, in words.
pub async fn carry_out(station: &Rc<Station>, order: Order) -> Result<Report, String> {
    match order {
        Order::ShowAll => {
            measure_all(station).await;
            Ok(Report::Mailboxes(overview(station)))
        }
        Order::Show(address, count) => show(station, &hosted(station, address)?, count).await,
        Order::Read { mailbox, number, page } => {
            read(station, &hosted(station, mailbox)?, number, page).await
        }
        Order::Delete(address, number) => delete(station, &hosted(station, address)?, number).await,
    }
}

fn overview(station: &Station) -> Vec<MailboxLine> {
    let mailboxes = station.mailboxes.borrow();
    let line = |address: Address| {
        let stock = mailboxes.stock(&address.domain, &address.local);
        MailboxLine {
            address: address.to_string(),
            messages: stock.messages,
            used_bytes: stock.bytes,
            bound_bytes: mailboxes.bound_bytes(&address.domain, &address.local),
        }
    };
    all(&station.config()).into_iter().map(line).collect()
}

/// The mailbox that an address names.
fn hosted(station: &Station, address: Address) -> Result<Address, String> {
    match place(&station.config(), &address) {
        Place::Mailbox(domain, user) => Ok(Address::new(user, domain.name.clone())),
        _ => Err(format!("{address} has no mailbox here; `show mailboxes` lists those that are")),
    }
}

async fn list(station: &Station, mailbox: &Address) -> Result<Vec<Letter>, String> {
    let Address { local, domain } = mailbox.clone();
    let listed = station.in_mailboxes(move |maildirs| maildirs.list(&domain, &local)).await;
    done(mailbox, listed)
}

fn done<T>(mailbox: &Address, result: Option<std::io::Result<T>>) -> Result<T, String> {
    result.ok_or("the box is stopping")?.map_err(|error| format!("the mailbox of {mailbox}: {error}"))
}

async fn show(station: &Station, mailbox: &Address, count: usize) -> Result<Report, String> {
    let all = list(station, mailbox).await?;
    measure(station, &mailbox.domain).await;
    let messages = station.mailboxes.borrow().stock(&mailbox.domain, &mailbox.local).messages;
    let newest = &all[all.len().saturating_sub(count)..];
    let mut letters = Vec::new();
    for some in newest.chunks(MAILBOX_LISTED_AT_ONCE) {
        let some = some.to_vec();
        letters.extend(
            station
                .blocking(move || some.into_iter().map(line).collect::<Vec<_>>())
                .await
                .unwrap_or_default(),
        );
    }
    Ok(Report::Mailbox(MailboxReport { address: mailbox.to_string(), messages, letters }))
}

/// One that cannot be read is listed without its fields.
fn line(letter: Letter) -> LetterLine {
    let head = read_head(&letter.file, MAILBOX_SUMMARY_BYTES_MAX).unwrap_or_default();
    let Letter { number, arrived, bytes, .. } = letter;
    LetterLine { number, arrived, bytes, summary: Summary::of(&head) }
}

async fn find(station: &Station, mailbox: &Address, number: u64) -> Result<Letter, String> {
    let found = list(station, mailbox).await?.into_iter().find(|letter| letter.number == number);
    found
        .ok_or_else(|| format!("no message {number} is there; `show mailbox {mailbox}` lists those that are"))
}

async fn read(station: &Station, mailbox: &Address, number: u64, page: usize) -> Result<Report, String> {
    let letter = find(station, mailbox, number).await?;
    let read = station.blocking(move || {
        let bytes = read_head(&letter.file, MAILBOX_READ_BYTES_MAX)?;
        let lines = text_lines(&bytes);
        Ok((line(letter), lines))
    });
    let (letter, lines) = done(mailbox, read.await)?;
    let pages = lines.len().div_ceil(MAILBOX_PAGE_LINES).max(1);
    if page > pages {
        return Err(format!("message {number} has no page {page}; the last one is {pages}"));
    }
    let cut = letter.bytes > MAILBOX_READ_BYTES_MAX as u64;
    let lines = lines.into_iter().skip((page - 1) * MAILBOX_PAGE_LINES).take(MAILBOX_PAGE_LINES).collect();
    Ok(Report::Letter(LetterReport { address: mailbox.to_string(), letter, lines, page, pages, cut }))
}

/// Takes out one message, or all that are there now: what comes meanwhile stays.
async fn delete(station: &Station, mailbox: &Address, number: Option<u64>) -> Result<Report, String> {
    let mut messages = 0;
    match number {
        Some(number) => {
            let letter = find(station, mailbox, number).await?;
            messages += take_out(station, mailbox, vec![letter]).await?;
        }
        None => {
            let mut letters = list(station, mailbox).await?;
            let look = Look::of(&letters);
            while !letters.is_empty() {
                for some in letters.chunks(MAILBOX_LISTED_AT_ONCE) {
                    messages += take_out(station, mailbox, some.to_vec()).await?;
                }
                letters = list(station, mailbox).await?;
                letters.retain(|letter| look.means(letter));
            }
        }
    }
    log::info!("{messages} messages of {mailbox} were deleted at the console");
    Ok(Report::Touched { messages })
}

async fn take_out(station: &Station, mailbox: &Address, letters: Vec<Letter>) -> Result<usize, String> {
    let Address { local, domain } = mailbox.clone();
    let taken =
        station.in_mailboxes(move |maildirs| remove(&maildirs.mailbox(&domain, &local), letters)).await;
    let (taken, result) = taken.ok_or("the box is stopping")?;
    for letter in &taken {
        station.mailboxes.borrow_mut().goes(&mailbox.domain, &mailbox.local, letter.bytes);
    }
    done(mailbox, Some(result)).map(|()| taken.len())
}
