//! A line to one host: the socket bound to the domain's address, and the SMTP session on it under the
//! domain's name. Hosts are tried in order until one is ready to take mail (RFC 5321 §5.1); what the last of
//! them said is what the mail gets to hear when none is.

use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use data_encoding::BASE64;
use event_listener::EventListener;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::config::{Terms, TlsTerms};
use crate::console::answer;
use crate::limits::{
    CONNECT_WAIT_S, REPLY_BUFFER_BYTES, SPOOL_READ_BYTES, SUBMISSIONS_PORT, TLS_HANDSHAKE_WAIT_S,
};
use crate::mail::recode::Survey;
use crate::mail::{Domain, Envelope, QueueId, ReversePath};
use crate::os::{clock, entropy, sockets};
use crate::relay::{Answer, Attempt, Content, Form, Host, LaneKey, Measure, NextHop, departure};
use crate::smtp::client::{Event, Refusal, Session};
use crate::smtp::sasl::Credentials;
use crate::smtp::{Enhanced, Reply};
use crate::tasks::pieces::{Pieces, Unreadable};
use crate::tasks::station::Station;
use crate::tasks::stream::Stream;
use crate::tasks::targets::{self, Target};
use crate::tasks::timer::{by, sleep_until};
use crate::time::Instant;

/// The thread that computes for our connections has no place for it, or has ended.
const TOO_BUSY: &str = "the box has too much to do";

/// An open line.
pub struct Line {
    station: Rc<Station>,
    host: Arc<str>,
    stream: Stream,
    session: Session,
    reused: bool,
    /// The host's name is the configuration's, and not what DNS said without proof.
    named: bool,
    /// What the connection is under, in words.
    tls: Option<Arc<str>>,
    /// The exchange so far, for a watcher of the next message; kept while somebody watches at all.
    seen: Vec<String>,
}

/// Connects to the first host of the lane that is ready, from the sender's own address.
pub async fn reach(station: &Rc<Station>, key: &LaneKey) -> Result<Line, Attempt> {
    let targets = targets::find(station, key).await?;
    let config = station.config();
    let ehlo = config.domain(&key.sender).map_or_else(|| key.sender.clone(), |d| d.ehlo_name().clone());
    let mut last = None;
    for target in targets {
        match Line::reach(station, &target, &ehlo, &key.terms).await {
            Ok(line) => return Ok(Line { named: matches!(key.hop, NextHop::Host(_)), ..line }),
            Err(attempt) => {
                log::info!("{} to {} [{}]: {}", key.sender, target.host, target.address, attempt.answer());
                let settled = matches!(attempt, Attempt::NotAdmitted(_));
                last = Some(attempt);
                // Its other addresses know us no better, and count our failures.
                if settled {
                    break;
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| unreached(Enhanced(4, 4, 4), "no host to try".to_owned())))
}

impl Line {
    /// A line on these terms. A host that offers TLS and cannot do it is called again, in the clear, where
    /// that is allowed; a password is said in the clear only where the operator's own text allows that.
    async fn reach(
        station: &Rc<Station>,
        target: &Target,
        ehlo: &Domain,
        terms: &Terms,
    ) -> Result<Line, Attempt> {
        if terms.tls == TlsTerms::Required
            && let Err(why) = station.clock.keeper.borrow().judges()
        {
            let text = format!("{}: TLS is required, but no certificate can be judged: {why}", target.host);
            return Err(unreached(Enhanced(4, 7, 5), text));
        }
        let in_the_clear = terms.login.as_ref().is_none_or(|login| login.in_the_clear);
        let mut line = Line::open(station, target, ehlo.clone()).await?;
        let line = match (line.secure().await, terms.tls) {
            (Ok(()), TlsTerms::Opportunistic) => line,
            (Ok(()), TlsTerms::Required) => line.insist().await?,
            (Err(Unsecured::Stays(_)), TlsTerms::Opportunistic) if in_the_clear => line,
            (Err(Unsecured::Lost(why)), TlsTerms::Opportunistic) if in_the_clear => {
                log::warn!("{}: no TLS, so in the clear: {why}", line.host);
                Line::open(station, target, ehlo.clone()).await?
            }
            (Err(Unsecured::Stays(why) | Unsecured::Lost(why)), _) => return Err(line.untrusted(&why).await),
        };
        match &terms.login {
            Some(login) => line.log_in(&login.credentials).await,
            None => Ok(line),
        }
    }

    /// Goes on only when the host knows us.
    async fn log_in(mut self, credentials: &Credentials) -> Result<Line, Attempt> {
        let mut nonce = [0; 18];
        entropy::fill(&mut nonce);
        self.session.authenticate(clock::mono(), credentials, BASE64.encode(&nonce));
        loop {
            match self.next_event().await {
                Event::Derive(derivation) => {
                    match self.station.compute_outgoing(move || derivation.run()).await {
                        Some(salted) => self.session.derived(clock::mono(), salted),
                        None => {
                            return Err(unreached(Enhanced(4, 3, 2), TOO_BUSY.into()));
                        }
                    }
                }
                Event::Authenticated => return Ok(self),
                Event::AuthRefused(reply) => {
                    let text = format!("{} does not admit us as {}: {reply}", self.host, credentials.user);
                    self.quit(None).await;
                    let answer = Answer::own(454, Enhanced(4, 7, 8), text);
                    return Err(match reply.is_permanent() {
                        true => Attempt::NotAdmitted(answer),
                        false => Attempt::Unreached(answer),
                    });
                }
                event => return Err(self.not_ready(event)),
            }
        }
    }

    /// Goes on only with a host that has proved its name.
    async fn insist(self) -> Result<Line, Attempt> {
        match self.verified() {
            Ok(()) => Ok(self),
            Err(why) => Err(self.untrusted(&format!("its certificate does not do: {why}")).await),
        }
    }

    /// Nothing is sent: the route requires TLS.
    async fn untrusted(self, why: &str) -> Attempt {
        let text = format!("{}: TLS is required, but {why}", self.host);
        self.quit(None).await;
        unreached(Enhanced(4, 7, 5), text)
    }

    /// Takes up TLS where the host offers it.
    async fn secure(&mut self) -> Result<(), Unsecured> {
        if self.tls.is_some() {
            return Ok(());
        }
        if !self.session.extensions().starttls {
            return Err(Unsecured::Stays("the host does not offer it".to_owned()));
        }
        self.session.start_tls(clock::mono());
        match self.next_event().await {
            Event::StartTls => self.handshake().await.map_err(Unsecured::Lost),
            Event::TlsRefused(reply) => Err(Unsecured::Stays(format!("the host refuses it: {reply}"))),
            event => Err(Unsecured::Lost(broken(event))),
        }
    }

    async fn handshake(&mut self) -> Result<(), String> {
        self.shake_hands(self.session.deadline()).await?;
        self.session.tls_started(clock::mono());
        match self.next_event().await {
            Event::Ready => Ok(()),
            event => Err(broken(event)),
        }
    }

    async fn shake_hands(&mut self, deadline: Instant) -> Result<(), String> {
        let config = self.station.certificates.outgoing().config.clone();
        let done = self.stream.connect(config, &self.host, deadline).await;
        let spoken = match done {
            Ok(spoken) => spoken,
            Err(error) => {
                self.session.closed();
                return Err(format!("the handshake failed: {error}"));
            }
        };
        let trust = if self.verified().is_ok() { "verified" } else { "not verified" };
        self.tls = Some(format!("{} {}, {trust}", spoken.version, spoken.cipher).into());
        Ok(())
    }

    /// Whether the host's certificate is trusted and has its name.
    fn verified(&self) -> Result<(), String> {
        let outgoing = self.station.certificates.outgoing();
        outgoing.verify(self.stream.certificates(), &self.host, clock::now().wall)
    }

    async fn open(station: &Rc<Station>, target: &Target, ehlo: Domain) -> Result<Line, Attempt> {
        let stream = connect(target).await.map_err(|error| obstacle(target, &error))?;
        let mut session = Session::new(ehlo, clock::mono());
        if station.watchers.any() {
            session.record_transcript();
        }
        let host = target.host.as_str().into();
        let stream = Stream::Clear(stream);
        let station = station.clone();
        let mut line =
            Line { station, host, stream, session, tls: None, reused: false, named: false, seen: Vec::new() };
        if target.address.port() == SUBMISSIONS_PORT {
            let until = clock::mono() + Duration::from_secs(TLS_HANDSHAKE_WAIT_S);
            let done = line.shake_hands(until).await;
            done.map_err(|why| unreached(Enhanced(4, 7, 5), format!("{}: {why}", line.host)))?;
            line.session = line.session.secured();
        }
        match line.next_event().await {
            Event::Ready => Ok(line),
            event => Err(line.not_ready(event)),
        }
    }

    fn not_ready(&self, event: Event) -> Attempt {
        match event {
            Event::Refused(reply) => Attempt::Unreached(self.said(reply)),
            event => unreached(Enhanced(4, 4, 2), format!("{}: {}", self.host, broken(event))),
        }
    }

    /// Whether the host takes another message.
    pub fn is_ready(&self) -> bool {
        self.session.is_ready()
    }

    /// Whether it has carried a message before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    fn is_open(&self) -> bool {
        !self.session.is_finished()
    }

    /// One message to some of its recipients; an attempt for each of the envelope's, in order.
    pub async fn transact(
        &mut self,
        owner: &Domain,
        id: QueueId,
        envelope: &Envelope,
        content: &Content,
    ) -> Vec<Attempt> {
        if self.station.watchers.has(id) {
            self.session.record_transcript();
        }
        self.show_seen(id);
        let relaxed = self.relaxed(envelope);
        let envelope = relaxed.as_ref().unwrap_or(envelope);
        if let Some(attempt) = self.too_open_for(envelope) {
            return vec![attempt; envelope.recipients.len()];
        }
        let form = match self.form(owner, id, envelope, content).await {
            Ok(form) => form,
            Err(attempt) => return vec![attempt; envelope.recipients.len()],
        };
        self.session.start(clock::mono(), &form.envelope, form.octets);
        loop {
            let event = self.next_event_for(Some(id)).await;
            match event {
                Event::Ready => {}
                Event::SendContent => self.send(owner, id, content, &form).await,
                Event::Finished(outcome) => {
                    self.reused = true;
                    return outcome.recipients.into_iter().map(|result| self.attempt(result)).collect();
                }
                event => {
                    let attempt = self.not_ready(event);
                    return vec![attempt; envelope.recipients.len()];
                }
            }
        }
    }

    fn attempt(&self, result: Result<Reply, Refusal>) -> Attempt {
        match result {
            Ok(reply) => Attempt::Accepted(self.said(reply)),
            Err(Refusal::Said(reply)) => Attempt::Refused(self.said(reply)),
            Err(Refusal::Found(reply)) => self.found(&reply),
        }
    }

    /// What we hold against the host, which has not said it.
    fn found(&self, what: &Reply) -> Attempt {
        let status = what.enhanced().unwrap_or(Enhanced(4, 0, 0));
        Attempt::Refused(Answer::own(what.code(), status, format!("{}: {}", self.host, what.text())))
    }

    fn said(&self, reply: Reply) -> Answer {
        let reports = self.session.extensions().dsn;
        let host = Host { name: self.host.clone(), reports, tls: self.tls.clone() };
        Answer { host: Some(host), reply }
    }

    /// Why a message of REQUIRETLS cannot go this way (RFC 8689 §4.2.1). Whether the host offers TLS and
    /// REQUIRETLS, the session looks after.
    fn too_open_for(&self, envelope: &Envelope) -> Option<Attempt> {
        let offered = self.tls.is_some() && self.session.extensions().require_tls;
        if !envelope.require_tls || !offered {
            return None;
        }
        let why = self.proved().err()?;
        let text = format!("the mail requires TLS all the way, but {why}");
        Some(self.found(&Reply::new(550, Enhanced(5, 7, 10), text)))
    }

    /// Whether the host is the one that is meant, which MX records without DNSSEC do not prove.
    fn proved(&self) -> Result<(), String> {
        self.verified().map_err(|why| format!("its certificate does not do: {why}"))?;
        match self.named {
            true => Ok(()),
            false => {
                Err("its name comes from DNS without proof; a route to a named host would do".to_owned())
            }
        }
    }

    /// A report on mail of REQUIRETLS, to be sent without: better so than lost, where the host cannot keep the
    /// promise (RFC 8689 §5). It holds no more than the mail's header.
    fn relaxed(&self, envelope: &Envelope) -> Option<Envelope> {
        let is_report = envelope.require_tls && envelope.reverse_path == ReversePath::Null;
        let kept = self.tls.is_some() && self.session.extensions().require_tls && self.proved().is_ok();
        (is_report && !kept).then(|| Envelope { require_tls: false, ..envelope.clone() })
    }

    /// The message as this host gets it: re-encoded where the host needs that, then signed.
    async fn form(
        &self,
        owner: &Domain,
        id: QueueId,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Form, Attempt> {
        let unreadable =
            |_: Unreadable| unreached(Enhanced(4, 3, 0), "the message cannot be read from the spool".into());
        let offered = self.session.extensions();
        let mut form = Form::plain(envelope.clone(), content.octets());
        if departure::needs_survey(envelope, offered) {
            let mut survey = Survey::default();
            survey.push(&content.head);
            let mut body = Pieces::of(&self.station, owner, id, content);
            while let Some(piece) = body.next().await.map_err(unreadable)? {
                survey.push(piece);
            }
            let within = form.within(offered, survey.finish());
            form = within.map_err(|reply| self.found(&reply))?;
        }
        let mut keys = self.station.signing.keys(owner);
        if !self.station.office.borrow().is_authored(owner, id) {
            keys = Arc::from([]);
        }
        let known = self.station.office.borrow().signatures(owner, id).filter(|_| form.is_unchanged());
        match known {
            Some(signatures) => return Ok(form.signed(signatures)),
            None if keys.is_empty() && form.is_unchanged() => return Ok(form),
            None => {}
        }
        let mut measure = Measure::new(&form, &content.head);
        let mut body = Pieces::of(&self.station, owner, id, content);
        while let Some(piece) = body.next().await.map_err(unreadable)? {
            measure.body(piece);
        }
        let (owner_too, now) = (owner.clone(), clock::now().wall);
        let signed = self.station.compute_outgoing(move || measure.finish(&owner_too, &keys, now)).await;
        let (octets, signatures) = signed.ok_or_else(|| unreached(Enhanced(4, 3, 2), TOO_BUSY.into()))?;
        let signatures: Rc<str> = signatures.into();
        if form.is_unchanged() {
            self.station.office.borrow_mut().keep_signatures(owner, id, signatures.clone());
        }
        form.octets = octets;
        Ok(form.signed(signatures))
    }

    /// Sends the content; the last piece and the final dot leave in one write.
    async fn send(&mut self, owner: &Domain, id: QueueId, content: &Content, form: &Form) {
        let station = self.station.clone();
        let (mut writer, mut body) = (form.writer(), Pieces::of(&station, owner, id, content));
        self.session.content(clock::mono(), form.signatures());
        self.session.content(clock::mono(), &writer.take(&content.head));
        while self.is_open() {
            match body.next().await {
                Ok(Some(piece)) => self.session.content(clock::mono(), &writer.take(piece)),
                Ok(None) => break,
                // A message that cannot be read whole must not arrive cut off.
                Err(Unreadable) => return self.session.closed(),
            }
            self.make_room().await;
        }
        self.session.content(clock::mono(), &writer.finish());
        self.session.end_of_content(clock::mono());
    }

    /// Writes while a good deal waits to be written.
    async fn make_room(&mut self) {
        if self.session.output().len() >= SPOOL_READ_BYTES && self.flush().await.is_err() {
            self.session.closed();
        }
    }

    async fn next_event(&mut self) -> Event {
        self.next_event_for(None).await
    }

    async fn next_event_for(&mut self, watched: Option<QueueId>) -> Event {
        let mut buffer = [0; REPLY_BUFFER_BYTES];
        loop {
            // A host that talks without end holds up its own mail alone.
            future::yield_now().await;
            self.show(watched);
            if let Some(event) = self.session.next_event() {
                return event;
            }
            if self.flush().await.is_err() {
                self.session.closed();
                continue;
            }
            match by(self.session.deadline(), self.stream.read(&mut buffer)).await {
                None => self.session.timeout(clock::mono()),
                Some(Ok(0) | Err(_)) => self.session.closed(),
                Some(Ok(n)) => self.session.input(clock::mono(), &buffer[..n]),
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.session.output().is_empty() {
            let deadline = self.session.deadline();
            match by(deadline, self.stream.write(self.session.output())).await {
                Some(written) => self.session.sent(written?),
                None => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let flushed = by(self.session.deadline(), self.stream.flush()).await;
        flushed.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Waits idle until `called` or `until`. False: time is up, or the host has something to say, which
    /// between transactions can only be the end.
    pub async fn quiet_until(&mut self, called: EventListener, until: Instant) -> bool {
        let job = async {
            called.await;
            true
        };
        let end = async {
            future::or(sleep_until(until), async {
                // Whatever this brings, the line is over.
                let _ = self.stream.read(&mut [0]).await;
            })
            .await;
            false
        };
        future::or(job, end).await
    }

    /// Says QUIT and waits for the answer, if the host is still there.
    pub async fn quit(mut self, watched: Option<QueueId>) {
        if self.is_open() {
            if let Some(id) = watched {
                self.station.watchers.show(id, answer::closing(&self.host));
            }
            self.session.quit(clock::mono());
            while !matches!(self.next_event_for(watched).await, Event::Closed | Event::Broken(_)) {}
        }
    }

    /// Passes the exchange on to the watcher of a message.
    fn show(&mut self, watched: Option<QueueId>) {
        let lines = self.session.take_transcript();
        match watched.filter(|id| self.station.watchers.has(*id)) {
            Some(id) => lines.into_iter().for_each(|line| self.station.watchers.show(id, line.to_string())),
            None if self.station.watchers.any() => self.seen.extend(lines.iter().map(|l| l.to_string())),
            None => self.seen.clear(),
        }
    }

    /// Shows what went before, from the greeting on, to the watcher of the message that comes now.
    fn show_seen(&mut self, id: QueueId) {
        for line in std::mem::take(&mut self.seen) {
            self.station.watchers.show(id, line);
        }
    }
}

/// Why a line is not under TLS.
enum Unsecured {
    /// It is of use in the clear.
    Stays(String),
    /// It is of no use at all.
    Lost(String),
}

/// How a line came to its end.
fn broken(event: Event) -> String {
    match event {
        Event::Refused(reply) => format!("it said: {reply}"),
        Event::Broken(why) => why,
        _ => "it closed the connection".to_owned(),
    }
}

/// A connection to a target, from the address that was chosen for it.
pub(super) async fn connect(target: &Target) -> io::Result<Async<TcpStream>> {
    let stream = Async::new_nonblocking(sockets::connect_from(target.source, target.address)?)?;
    let until = clock::mono() + Duration::from_secs(CONNECT_WAIT_S);
    by(until, stream.writable()).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// What an error of connecting means: our own address has gone, or the host is not to be reached.
pub(super) fn obstacle(target: &Target, error: &io::Error) -> Attempt {
    let Target { host, source, address } = target;
    if error.kind() == io::ErrorKind::AddrNotAvailable {
        let text = format!("the address {source} is not on this machine");
        return Attempt::NoAddress(Answer::own(451, Enhanced(4, 3, 5), text));
    }
    unreached(Enhanced(4, 4, 1), format!("no connection to {host} [{address}] from {source}: {error}"))
}

fn unreached(status: Enhanced, why: String) -> Attempt {
    Attempt::Unreached(Answer::own(451, status, why))
}
