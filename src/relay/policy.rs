//! Whose mail it is, who may send it, and whom it is for (step 515 of Figure 5; RFC 5321 §3.6, §4.5.1).
//! Only a `client` of a domain sends for it, under a reverse-path of that domain or `<>`, and a user of it who
//! has authenticated, as himself or whom he `sends-as`; anybody else reaches hosted users alone. A hole here is
//! an open relay.

use std::net::IpAddr;

use crate::config::{ClientLine, Config, DomainConfig, Service};
use crate::limits::{ALIAS_STEPS_MAX, RECIPIENTS_MAX};
use crate::mail::{Address, Domain, Envelope, LocalPart, Notify, Recipient, ReversePath};
use crate::smtp::{Enhanced, Reply};

/// The front door that a client came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Our address, the one that was reached.
    pub reached: IpAddr,
    /// The client's address.
    pub client: IpAddr,
    /// What is spoken at this port. At the submission ports only users send, whoever the mail is for.
    pub service: Service,
}

/// A part of a message that one domain answers for: it keeps the spool, and its identity sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub owner: Domain,
    pub envelope: Envelope,
    /// The owner speaks for itself: one of its users wrote it, or it is the owner's own report. Only such
    /// mail may be signed.
    pub authored: bool,
}

/// What a hosted address stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'c> {
    /// Kept here, in this domain's mailbox of this user.
    Mailbox(&'c DomainConfig, LocalPart),
    /// Rewritten to these.
    Alias(&'c DomainConfig, Vec<Address>),
    /// Handed to this domain's inner host.
    Forward(&'c DomainConfig),
    /// A hosted domain that has no such user.
    NoUser,
    /// Routing hidden in the local part (`x1%xyz.com@bcd.com`, `xyz.com!x1@bcd.com`) of a forwarded domain.
    Routed,
    /// Another system's address.
    Elsewhere,
}

/// Where a hosted address leads, or that it is not ours.
pub fn place<'c>(config: &'c Config, address: &Address) -> Place<'c> {
    let Some(domain) = hosting(config, address) else { return Place::Elsewhere };
    let user = &address.local;
    let targets: Vec<Address> = domain
        .aliases
        .iter()
        .filter(|(name, _)| name.same_user(user))
        .map(|(_, target)| target.clone())
        .collect();
    if !targets.is_empty() {
        return Place::Alias(domain, targets);
    }
    if let Some(mailbox) = domain.mailboxes.iter().find(|m| m.same_user(user)) {
        return Place::Mailbox(domain, mailbox.clone());
    }
    let for_the_house = user.is_postmaster() || is_mailer_daemon(user);
    match &config.machine.postmaster {
        Some(postmaster) if for_the_house && !postmaster.same_user(address) => {
            return Place::Alias(domain, vec![postmaster.clone()]);
        }
        _ => {}
    }
    match &domain.forward {
        Some(_) if user.as_str().contains(['%', '!', '@', ':']) => Place::Routed,
        Some(_) => Place::Forward(domain),
        None if for_the_house => Place::Mailbox(domain, LocalPart::postmaster()),
        None => Place::NoUser,
    }
}

/// Whom our own reports come from; people answer to that.
fn is_mailer_daemon(user: &LocalPart) -> bool {
    user.as_str().eq_ignore_ascii_case("mailer-daemon")
}

/// The hosted domain that an address belongs to: by name, by a literal of one of our addresses, and for
/// the postmaster of the box itself the first domain.
fn hosting<'c>(config: &'c Config, address: &Address) -> Option<&'c DomainConfig> {
    if let Some(domain) = config.domain(&address.domain) {
        return Some(domain);
    }
    if let Some(ip) = address.domain.as_literal() {
        let shared = || config.is_shared_address(ip).then(|| config.domains.first()).flatten();
        return config.domain_at(ip).or_else(shared);
    }
    let is_box = config.machine.name.as_ref() == Some(&address.domain);
    (is_box && address.local.is_postmaster()).then(|| config.domains.first()).flatten()
}

/// The domain that a transaction belongs to: by the address reached; on the box's shared address by the
/// sender's domain; there with `<>`, the domain that has this address too, or the only one that knows the client.
pub fn owner<'c>(config: &'c Config, door: &Door, reverse_path: &ReversePath) -> Option<&'c DomainConfig> {
    let at_address = config.domain_at(door.reached);
    if !config.is_shared_address(door.reached) {
        return at_address;
    }
    if let Some(address) = reverse_path.address() {
        return config.domain(&address.domain).or(at_address);
    }
    at_address.or_else(|| {
        let mut known = config.domains.iter().filter(|d| d.is_client(door.client));
        known.next().filter(|_| known.next().is_none())
    })
}

/// The domain for which this client may send under this reverse-path, or the rule that forbids it. What the
/// client has proved to be goes before where it comes from.
pub fn may_send<'c>(
    config: &'c Config,
    door: &Door,
    user: Option<&Address>,
    reverse_path: &ReversePath,
) -> Result<&'c DomainConfig, String> {
    if let Some(user) = user {
        return may_send_as(config, user, reverse_path);
    }
    let client = door.client.to_canonical();
    let Some(domain) = owner(config, door, reverse_path) else {
        return Err(match reverse_path {
            ReversePath::Null => format!("{client} is no client of one domain here, and <> names none"),
            ReversePath::Address(from) => format!("{} is not hosted here", from.domain),
        });
    };
    if !domain.is_client(client) {
        return Err(format!("{client} is no client of {}", domain.name));
    }
    match reverse_path {
        ReversePath::Address(from) if from.domain != domain.name => {
            Err(format!("a client of {} sends as its users, not as <{from}>", domain.name))
        }
        _ => Ok(domain),
    }
}

fn may_send_as<'c>(
    config: &'c Config,
    user: &Address,
    reverse_path: &ReversePath,
) -> Result<&'c DomainConfig, String> {
    let domain = config.domain(&user.domain);
    let Some((domain, known)) = domain.and_then(|d| Some((d, d.user(&user.local)?))) else {
        return Err(format!("{user} is no user any more"));
    };
    match reverse_path {
        ReversePath::Address(from) if !known.owns(&domain.name, from) => {
            Err(format!("{user} may not send as <{from}>"))
        }
        _ => Ok(domain),
    }
}

/// The client lines that grant this client something at this door: of the domain that was reached, on the
/// box's shared address of all.
pub fn client_lines<'c>(config: &'c Config, door: &Door) -> impl Iterator<Item = &'c ClientLine> {
    let (client, reached) = (door.client.to_canonical(), door.reached);
    let shared = config.is_shared_address(reached);
    let all = if shared { &config.domains[..] } else { &[] };
    let here = if shared { None } else { config.domain_at(reached) };
    all.iter().chain(here).flat_map(move |domain| domain.clients_at(client))
}

/// The user whom a client means that authenticates as `name`: an address, or at a domain's own address the
/// local part of one.
pub fn user_named(config: &Config, door: &Door, name: &str) -> Option<Address> {
    if name.contains('@') {
        return Address::parse(name).ok();
    }
    let domain = config.domain_at(door.reached)?;
    Some(Address::new(LocalPart::parse(name).ok()?, domain.name.clone()))
}

/// MAIL: a user sends as himself (553), and at the submission ports nobody sends but users and clients (RFC
/// 6409 §4.3, §6.1).
pub fn check_sender(
    config: &Config,
    door: &Door,
    user: Option<&Address>,
    under_tls: bool,
    reverse_path: &ReversePath,
) -> Result<(), Reply> {
    if user.is_none() && door.service == Service::Smtp {
        // Whether it relays depends on the recipients.
        return Ok(());
    }
    let Err(rule) = may_send(config, door, user, reverse_path) else { return Ok(()) };
    if let Some(later) = not_known_yet(config, door, user, reverse_path) {
        return Err(later);
    }
    let can_log_in = config.domains.iter().any(|domain| !domain.users.is_empty());
    let is_client = client_lines(config, door).next().is_some();
    Err(match user {
        Some(_) => Reply::new(553, Enhanced(5, 7, 1), rule),
        None if can_log_in && !is_client => {
            let first = if under_tls { "" } else { "; say STARTTLS first" };
            Reply::new(530, Enhanced(5, 7, 0), format!("Authentication required{first}"))
        }
        None => Reply::new(550, Enhanced(5, 7, 1), format!("only users send mail here: {rule}")),
    })
}

/// Whether a report may go to the sender of a message: a user of ours, or one of the domain that the host which
/// brought the message proves to be in. Any other may be an innocent whose name was borrowed, and a report
/// would be one more unwanted mail to him (backscatter).
pub fn vouches(
    config: &Config,
    door: &Door,
    user: Option<&Address>,
    path: &ReversePath,
    verified: Option<&Domain>,
) -> bool {
    let from_there = |address: &Address| {
        let (domain, host) = (address.domain.as_str(), verified.map_or("", Domain::as_str));
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    may_send(config, door, user, path).is_ok() || path.address().is_some_and(from_there)
}

/// RCPT: hosted users are open to everyone, other systems' users to those who [`may_send`]; the submission
/// ports are open to the latter alone (RFC 6409 §4.3).
pub fn check_recipient(
    config: &Config,
    door: &Door,
    user: Option<&Address>,
    reverse_path: &ReversePath,
    recipient: &Address,
) -> Result<(), Reply> {
    if door.service != Service::Smtp {
        may_send(config, door, user, reverse_path).map_err(|rule| {
            let refusal = || Reply::new(550, Enhanced(5, 7, 1), format!("only users send mail here: {rule}"));
            not_known_yet(config, door, user, reverse_path).unwrap_or_else(refusal)
        })?;
    }
    match place(config, recipient) {
        Place::Mailbox(..) | Place::Alias(..) | Place::Forward(..) => Ok(()),
        Place::NoUser => Err(no_user(config, recipient)),
        Place::Routed => {
            Err(Reply::new(550, Enhanced(5, 7, 1), format!("<{recipient}>: no routing inside a local part")))
        }
        Place::Elsewhere => may_send(config, door, user, reverse_path).map(|_| ()).map_err(|rule| {
            // A domain of which only a later version knows the address is hosted all the same.
            match config.lacks_roads(&recipient.domain) {
                true => no_user(config, recipient),
                false => not_known_yet(config, door, user, reverse_path).unwrap_or_else(|| {
                    Reply::new(550, Enhanced(5, 7, 1), format!("<{recipient}>: relaying refused: {rule}"))
                }),
            }
        }),
    }
}

/// For a sender that may not send as far as this version can tell, where a later one has said more of who does.
fn not_known_yet(config: &Config, door: &Door, user: Option<&Address>, path: &ReversePath) -> Option<Reply> {
    let of_user = user.map(|user| &user.domain);
    let of_path = path.address().map(|address| &address.domain);
    let name = of_user.or_else(|| owner(config, door, path).map(|domain| &domain.name)).or(of_path)?;
    let text = format!("no client or user of {name} at the moment, try later");
    config.lacks_senders(name).then(|| Reply::new(450, Enhanced(4, 7, 1), text))
}

/// Nobody here has this address, as far as this version can tell.
fn no_user(config: &Config, address: &Address) -> Reply {
    match config.lacks_roads(&address.domain) {
        true => {
            Reply::new(450, Enhanced(4, 3, 5), format!("<{address}>: not known at the moment, try later"))
        }
        false => Reply::new(550, Enhanced(5, 1, 1), format!("<{address}>: no such user here")),
    }
}

/// Cuts an accepted envelope into the shares of the domains that answer for its recipients: a hosted
/// recipient's own domain, for all others the sender's. Aliases are followed here, once.
pub fn shares(
    config: &Config,
    door: &Door,
    user: Option<&Address>,
    envelope: &Envelope,
) -> Result<Vec<Share>, Reply> {
    let sender = may_send(config, door, user, &envelope.reverse_path).ok();
    shares_for(config, sender, envelope)
}

/// The same for mail that was made on the box: by `stagepost sendmail`, the console, or a bounce of `sender`.
pub fn shares_for(
    config: &Config,
    sender: Option<&DomainConfig>,
    envelope: &Envelope,
) -> Result<Vec<Share>, Reply> {
    let mut shares: Vec<Share> = Vec::new();
    for recipient in &envelope.recipients {
        let mut targets = Targets::default();
        follow(config, sender, recipient, 0, &mut targets)?;
        for (owner, recipient) in targets.found {
            add(&mut shares, owner, recipient, envelope, sender);
        }
    }
    Ok(shares)
}

/// The ends of one recipient's aliases.
#[derive(Default)]
struct Targets {
    found: Vec<(Domain, Recipient)>,
}

fn follow(
    config: &Config,
    sender: Option<&DomainConfig>,
    recipient: &Recipient,
    steps: usize,
    targets: &mut Targets,
) -> Result<(), Reply> {
    let address = &recipient.address;
    if steps > ALIAS_STEPS_MAX || targets.found.len() >= RECIPIENTS_MAX {
        return Err(Reply::new(550, Enhanced(5, 4, 6), format!("<{address}>: its aliases run in a circle")));
    }
    let owner = match place(config, address) {
        Place::Alias(domain, rewritten) => {
            for (nth, address) in rewritten.into_iter().enumerate() {
                // One of several answers for success (RFC 3461 §5.2.7.3); of a failure the sender hears always.
                let notify = match nth {
                    0 => recipient.notify,
                    _ => recipient.notify.map(|notify| Notify { success: false, ..notify }),
                };
                let next = Recipient { address, notify, orcpt: recipient.orcpt.clone() };
                follow(config, Some(domain), &next, steps + 1, targets)?;
            }
            return Ok(());
        }
        Place::Mailbox(domain, _) | Place::Forward(domain) => domain,
        Place::NoUser | Place::Routed => return Err(no_user(config, address)),
        Place::Elsewhere => sender
            .ok_or_else(|| Reply::new(550, Enhanced(5, 7, 1), format!("<{address}>: relaying refused")))?,
    };
    targets.found.push((owner.name.clone(), recipient.clone()));
    Ok(())
}

fn add(
    shares: &mut Vec<Share>,
    owner: Domain,
    recipient: Recipient,
    envelope: &Envelope,
    sender: Option<&DomainConfig>,
) {
    let share = match shares.iter_mut().find(|s| s.owner == owner) {
        Some(share) => share,
        None => {
            let authored = sender.is_some_and(|s| s.name == owner);
            let envelope = Envelope { recipients: Vec::new(), ..envelope.clone() };
            shares.push(Share { owner, envelope, authored });
            shares.last_mut().expect("just pushed")
        }
    };
    // An alias may lead to an address that the client could not have written.
    share.envelope.smtputf8 |= !recipient.address.local.as_str().is_ascii();
    if !share.envelope.recipients.iter().any(|r| r.address == recipient.address) {
        share.envelope.recipients.push(recipient);
    }
}

#[cfg(test)]
mod tests;
