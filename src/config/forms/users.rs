//! Clients and users in the table. Danger: a password that is typed becomes a verifier here, and nothing
//! beyond this file ever sees it.

use super::{Lines, Taker};
use crate::config::argument::{Argument, Favour, Word};
use crate::config::{ClientLine, DomainConfig, IpNet};
use crate::mail::{Address, LocalPart};
use crate::smtp::sasl::Verifier;

type Read = Result<(), String>;

pub(super) fn read_client(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    let mut client = ClientLine::plain(args.take::<IpNet>()?);
    let favours: Vec<Favour> = args.take_rest()?;
    for favour in &favours {
        let given = match favour {
            Favour::Tolerant => &mut client.tolerant,
            Favour::PlaintextAuth => &mut client.plaintext_auth,
        };
        if std::mem::replace(given, true) {
            return Err(format!("`{}` stands there twice; write it once", favour.write()));
        }
    }
    args.rewrite(favours.len(), favours_of(&client));
    domain.clients.push(client);
    Ok(())
}

pub(super) fn clients(domain: &DomainConfig) -> Lines {
    let line = |client: &ClientLine| [vec![client.net.write()], favours_of(client)].concat();
    domain.clients.iter().map(line).collect()
}

fn favours_of(client: &ClientLine) -> Vec<String> {
    let all = [(client.tolerant, Favour::Tolerant), (client.plaintext_auth, Favour::PlaintextAuth)];
    all.into_iter().filter(|(given, _)| *given).map(|(_, favour)| favour.write()).collect()
}

pub(super) fn read_password(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    let (name, Word(password)): (LocalPart, Word) = (args.take()?, args.take()?);
    domain.user_or_new(name).verifier = Some(Verifier::of(&password));
    Ok(())
}

pub(super) fn read_verifier(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    let (name, verifier) = (args.take()?, args.take()?);
    domain.user_or_new(name).verifier = Some(verifier);
    Ok(())
}

pub(super) fn verifiers(domain: &DomainConfig) -> Lines {
    let known = domain.users.iter().filter_map(|user| Some((user, user.verifier.as_ref()?)));
    known.map(|(user, verifier)| vec![user.name.write(), verifier.write()]).collect()
}

pub(super) fn read_sends_as(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    let (name, addresses): (LocalPart, Vec<Address>) = (args.take()?, args.take_rest()?);
    domain.user_or_new(name).sends_as = addresses;
    Ok(())
}

pub(super) fn sends_as(domain: &DomainConfig) -> Lines {
    let having = domain.users.iter().filter(|user| !user.sends_as.is_empty());
    having
        .map(|user| [vec![user.name.write()], user.sends_as.iter().map(Argument::write).collect()].concat())
        .collect()
}
