//! Routes in the table: one row for each kind of terms, so that a printed configuration tells them apart.
//! Danger: a route that knows a password must never read back as one without.

use super::{Lines, Taker};
use crate::config::argument::{Argument, Word};
use crate::config::{DomainConfig, HostPort, Login, Route, RouteLine, Terms, TlsTerms};
use crate::mail::Domain;
use crate::smtp::sasl::Credentials;

type Read = Result<(), String>;

pub(super) fn read_plain(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    read(domain, args, TlsTerms::Opportunistic)
}

pub(super) fn read_secure(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    read(domain, args, TlsTerms::Required)
}

pub(super) fn read_login(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    read_with_login(domain, args, TlsTerms::Opportunistic, false)
}

pub(super) fn read_secure_login(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    read_with_login(domain, args, TlsTerms::Required, false)
}

pub(super) fn read_open_login(domain: &mut DomainConfig, args: &mut Taker) -> Read {
    read_with_login(domain, args, TlsTerms::Opportunistic, true)
}

fn read(domain: &mut DomainConfig, args: &mut Taker, tls: TlsTerms) -> Read {
    let (to, route): (Option<Domain>, Route) = (args.take()?, args.take()?);
    domain.add_route(RouteLine { to, route, terms: Terms { tls, login: None } });
    Ok(())
}

fn read_with_login(domain: &mut DomainConfig, args: &mut Taker, tls: TlsTerms, in_the_clear: bool) -> Read {
    let (to, host): (Option<Domain>, HostPort) = (args.take()?, args.take()?);
    let (Word(user), Word(password)) = (args.take()?, args.take()?);
    let login = Some(Login { credentials: Credentials { user, password }, in_the_clear });
    domain.add_route(RouteLine { to, route: Route::Host(host), terms: Terms { tls, login } });
    Ok(())
}

pub(super) fn plain(domain: &DomainConfig) -> Lines {
    list(domain, &|terms| terms.login.is_none() && terms.tls == TlsTerms::Opportunistic)
}

pub(super) fn secure(domain: &DomainConfig) -> Lines {
    list(domain, &|terms| terms.login.is_none() && terms.tls == TlsTerms::Required)
}

pub(super) fn login(domain: &DomainConfig) -> Lines {
    list(domain, &|terms| is_login(terms, false) && terms.tls == TlsTerms::Opportunistic)
}

pub(super) fn secure_login(domain: &DomainConfig) -> Lines {
    list(domain, &|terms| is_login(terms, false) && terms.tls == TlsTerms::Required)
}

pub(super) fn open_login(domain: &DomainConfig) -> Lines {
    list(domain, &|terms| is_login(terms, true))
}

fn is_login(terms: &Terms, in_the_clear: bool) -> bool {
    terms.login.as_ref().is_some_and(|login| login.in_the_clear == in_the_clear)
}

fn list(domain: &DomainConfig, fits: &dyn Fn(&Terms) -> bool) -> Lines {
    let line = |line: &RouteLine| {
        let mut words = vec![line.to.write(), line.route.write()];
        if let Some(Login { credentials: Credentials { user, password }, .. }) = &line.terms.login {
            words.extend([user, password].map(|word| Word(word.clone()).write()));
        }
        words
    };
    domain.routes.iter().filter(|l| fits(&l.terms)).map(line).collect()
}

/// The text of a route as it is shown.
pub fn route_statement(domain: &Domain, line: &RouteLine) -> String {
    let mut text = format!("domain {domain} route {} {}", line.to.write(), line.route.write());
    if let Some(login) = &line.terms.login {
        let user = Word(login.credentials.user.clone()).write();
        text += &format!(" user {user} password {}", crate::config::argument::HIDDEN);
        text += if login.in_the_clear { " plaintext-auth" } else { "" };
    }
    text + match line.terms.tls {
        TlsTerms::Opportunistic => "",
        TlsTerms::Required => " tls required",
    }
}
