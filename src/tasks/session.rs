//! One client at the door: carries bytes between the socket and the SMTP session, and what the session asks
//! for to the resolver, the composer and the office. A client that is slow or rude holds up itself alone.

use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::config::Service;
use crate::limits::{FALSE_CLAIMERS_MAX, SESSION_BUFFER_BYTES, TLS_HANDSHAKE_WAIT_S};
use crate::mail::Domain;
use crate::mail::envelope::{Envelope, Notify};
use crate::os::{clock, entropy};
use crate::relay::intake::{Bearer, Intake, Source};
use crate::relay::{Answer, Doing, Door, FrontDesk, Safe, policy};
use crate::smtp::server::{Action, AuthOffer, Peer, Session, Settings, Tls};
use crate::smtp::{Enhanced, Reply};
use crate::tasks::guest::Guest;
use crate::tasks::station::Station;
use crate::tasks::stream::Stream;
use crate::tasks::timer::{by, sleep_until};
use crate::time::Instant;
use crate::tls::Spoken;

/// What a guest hears who has to go when all places were taken.
const GIVES_WAY: &[u8] = b"421 4.3.2 Others need your place, come back later\r\n";

/// Serves one connection until it ends, or until its place is given to another.
pub async fn serve(station: Rc<Station>, stream: Async<TcpStream>, door: Door, guest: Guest) {
    let client = door.client;
    let tls_first = door.service == Service::Submissions;
    let desk = FrontDesk::new(
        station.config(),
        door,
        station.guesses.clone(),
        station.mailboxes.clone(),
        &station.long_envelopes,
    );
    let name = desk.greeting_name();
    let starttls = !tls_first && station.certificates.can_serve(&name);
    let (tolerant, auth) = (desk.is_tolerant(), auth_offer(&station, &desk));
    let settings = Settings { starttls, smtputf8: true, tolerant, auth, ..Settings::new(name) };
    let session = Session::new(settings, Peer { ip: client }, clock::mono());
    let mut visit = Visit {
        station: station.clone(),
        stream: Stream::Clear(stream),
        desk,
        handshake: tls_first.then(|| clock::mono() + Duration::from_secs(TLS_HANDSHAKE_WAIT_S)),
        session,
        intake: None,
        arrival: None,
        unread: Vec::new(),
        told_to_stop: false,
        guest,
    };
    let gives_way = visit.guest.gives_way();
    let over = async {
        gives_way.await;
        None
    };
    match future::or(over, async { Some(visit.run().await) }).await {
        Some(Ok(())) => {}
        Some(Err(error)) => log::info!("{client}: connection lost: {error}"),
        None => {
            log::info!("{client}: gives way to another");
            visit.show_out().await;
        }
    }
    visit.session.closed();
    visit.act().await;
}

/// AUTH, where anybody has a password.
fn auth_offer(station: &Station, desk: &FrontDesk) -> Option<AuthOffer> {
    desk.has_users().then(|| {
        let mut nonce = [0; 32];
        entropy::fill(&mut nonce);
        let (in_the_clear, lacks_users) = (desk.takes_plaintext_auth(), desk.lacks_users());
        AuthOffer { nonce, secret: station.secret, in_the_clear, lacks_users }
    })
}

struct Visit {
    station: Rc<Station>,
    stream: Stream,
    desk: FrontDesk,
    session: Session,
    /// The message that is coming in.
    intake: Option<Intake>,
    arrival: Option<Arrival>,
    /// Bytes that the session has not taken yet.
    unread: Vec<u8>,
    told_to_stop: bool,
    guest: Guest,
    /// TLS comes next, by then.
    handshake: Option<Instant>,
}

type NameSearch = Pin<Box<dyn Future<Output = Option<Domain>>>>;

/// What a wait ended with.
enum Woken {
    Read(usize),
    Resolved(Option<Domain>),
    Deadline,
    Stopping,
}

impl Visit {
    async fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; SESSION_BUFFER_BYTES];
        let mut name = Some(self.look_up());
        self.secure().await?;
        loop {
            // A client that talks without pause is always ready: the others have their turn all the same.
            future::yield_now().await;
            self.feed();
            self.act().await;
            self.guest.does(if self.intake.is_some() { Doing::Sending } else { Doing::Talking });
            self.let_flash_catch_up().await;
            self.flush().await?;
            self.secure().await?;
            if self.session.is_finished() {
                return Ok(());
            }
            if !self.unread.is_empty() && self.feed() {
                continue;
            }
            match self.wait(&mut buffer, &mut name).await? {
                Woken::Read(0) => return Ok(()),
                Woken::Read(n) => {
                    self.guest.stirs();
                    self.unread.extend_from_slice(&buffer[..n]);
                }
                Woken::Resolved(verified) => {
                    name = None;
                    self.session.resolved(clock::mono(), verified);
                }
                Woken::Deadline => self.session.timeout(clock::mono()),
                Woken::Stopping => {
                    self.told_to_stop = true;
                    self.session.shutdown(clock::mono());
                }
            }
        }
    }

    /// The last reply, if it can be said at once; a client that hangs in a handshake hears nothing.
    async fn show_out(&mut self) {
        let said = async {
            self.stream.write_all(GIVES_WAY).await?;
            self.stream.flush().await
        };
        // Whoever does not listen has lost nothing.
        let _ = by(clock::mono() + Duration::from_secs(1), said).await;
    }

    /// Offers the session what it has not taken yet. True: it took something.
    fn feed(&mut self) -> bool {
        let used = self.session.input(clock::mono(), &self.desk, &self.unread);
        self.unread.drain(..used);
        used > 0
    }

    /// Does what the session asks for.
    async fn act(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::ResolvePeer | Action::Close => {}
                Action::StartTls => self.handshake = Some(self.session.deadline()),
                Action::Refused { line, reply } => {
                    log::warn!("{}: {line:?} refused: {reply}", self.desk.door().client)
                }
                Action::CheckPassword(check) => {
                    self.guest.does(Doing::Waiting);
                    let verdict = self.station.compute(|| check.run()).await;
                    self.session.checked(clock::mono(), verdict);
                }
                Action::AuthFailed { user } => {
                    let wait = self.desk.note_guess(clock::mono(), &user);
                    self.session.penalize(clock::mono(), wait);
                    log::warn!("{}: AUTH failed for {user:?}", self.desk.door().client);
                }
                Action::Authenticated(user) => {
                    self.guest.becomes_user();
                    log::info!("{}: authenticated as {user}", self.desk.door().client);
                }
                Action::SpeaksTls => log::warn!(
                    "{}: speaks TLS to a port that begins in the clear: set it to STARTTLS, or to the port of \
                     submissions",
                    self.desk.door().client
                ),
                Action::ClaimDiffers { claimed, verified } => self.note_claim(&claimed, &verified),
                Action::DataStarts(envelope) => self.begin(envelope),
                Action::Aborted => {
                    self.desk.forget_envelope();
                    self.abandon();
                }
                Action::Message { envelope, bytes, .. } => {
                    let reply = match self.desk.check_room(self.session.client(), &envelope, bytes) {
                        Ok(()) => self.finish().await,
                        Err(reply) => {
                            log::warn!("{}: a message not accepted: {reply}", self.desk.door().client);
                            self.abandon();
                            reply
                        }
                    };
                    self.desk.forget_envelope();
                    self.session.answer(clock::mono(), reply);
                }
            }
        }
        // Behind the actions: it may be of a message that begins only among them.
        self.drain_content();
    }

    /// Does the handshake that is due. What came before it in the clear counts for nothing.
    async fn secure(&mut self) -> io::Result<()> {
        let Some(deadline) = self.handshake.take() else { return Ok(()) };
        self.unread.clear();
        let Some(config) = self.station.certificates.server(&self.desk.greeting_name()) else {
            return Err(io::Error::other("there is no certificate for TLS"));
        };
        let Spoken { version, cipher } = self.stream.accept(config, deadline).await?;
        let binding = self.stream.binding();
        self.session.tls_started(clock::mono(), Tls { version, cipher, binding });
        Ok(())
    }

    /// Moves content out of the session when a good deal has come together.
    fn drain_content(&mut self) {
        if self.session.content_len() >= SESSION_BUFFER_BYTES {
            self.take_content();
        }
    }

    fn take_content(&mut self) {
        let piece = self.session.take_content();
        if let Some(intake) = &mut self.intake {
            intake.take(&mut self.station.office.borrow_mut(), clock::now(), &piece);
            self.station.to_commit.notify(usize::MAX);
        }
    }

    /// A client that is faster than the flash waits for it.
    async fn let_flash_catch_up(&mut self) {
        if let Some(intake) = &mut self.intake {
            self.station.catch_up(intake).await;
        }
    }

    fn begin(&mut self, envelope: Arc<Envelope>) {
        self.guest.does(Doing::Sending);
        let config = self.station.config();
        let door = self.desk.door();
        let client = self.session.client();
        let user = client.user.as_ref();
        let author =
            policy::may_send(&config, door, user, &envelope.reverse_path).ok().map(|d| d.name.clone());
        let bearer = Bearer::Smtp {
            ip: client.ip,
            claimed: client.claimed.as_ref().map(|c| c.to_string()).unwrap_or_default(),
            verified: client.verified.clone(),
            extended: client.extended,
            cipher: client.tls.as_ref().map(|tls| tls.cipher.clone()),
            user: client.user.clone(),
        };
        let our_name = self.desk.greeting_name();
        let tolerant = self.desk.is_tolerant();
        let source = Source { our_name, author, bearer, drop_bcc: false, full_name: None, tolerant };
        let mut envelope = Arc::unwrap_or_clone(envelope);
        if !policy::vouches(&config, door, user, &envelope.reverse_path, client.verified.as_ref()) {
            envelope.recipients.iter_mut().for_each(|recipient| recipient.notify = Some(Notify::NEVER));
        }
        let shares = policy::shares(&config, door, user, &envelope);
        self.arrival = Some(Arrival::begin(self.station.clone()));
        let office = &mut self.station.office.borrow_mut();
        self.intake = Some(match shares {
            Ok(shares) => Intake::new(office, clock::now(), source, envelope, shares),
            Err(reply) => Intake::refused(office, clock::now(), source, envelope, reply),
        });
    }

    /// The whole message is here: it is answered when it is safe.
    async fn finish(&mut self) -> Reply {
        self.take_content();
        self.let_flash_catch_up().await;
        self.arrival = None;
        let Some(intake) = self.intake.take() else {
            return Reply::new(451, Enhanced(4, 3, 0), "the message was lost on its way in");
        };
        self.guest.does(Doing::Waiting);
        let id = intake.id;
        let receipt = intake.finish(&mut self.station.office.borrow_mut(), clock::now());
        let stored = match receipt {
            Ok(receipt) => self.station.stored(receipt).await,
            Err(reply) => Err(reply),
        };
        if stored.is_ok() {
            self.guest.brought_mail();
        }
        match stored {
            Ok(Safe::Delivered(Answer { host: Some(host), reply })) => {
                Reply::new(250, Enhanced(2, 0, 0), format!("{id} {} said: {}", host.name, reply.text()))
            }
            Ok(_) => Reply::new(250, Enhanced(2, 0, 0), format!("{id} Message accepted for delivery")),
            Err(reply) => {
                log::warn!("{}: message {id} not accepted: {reply}", self.desk.door().client);
                reply
            }
        }
    }

    fn abandon(&mut self) {
        self.arrival = None;
        if let Some(intake) = self.intake.take() {
            intake.abandon(&mut self.station.office.borrow_mut());
        }
    }

    /// Writes what the session has to say; a client that does not read gets no more than its time.
    async fn flush(&mut self) -> io::Result<()> {
        while !self.session.output().is_empty() {
            match by(self.session.deadline(), self.stream.write(self.session.output())).await {
                Some(written) => self.session.sent(written?),
                None => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let flushed = by(self.session.deadline(), self.stream.flush()).await;
        flushed.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn wait(&mut self, buffer: &mut [u8], name: &mut Option<NameSearch>) -> io::Result<Woken> {
        let deadline = self.session.deadline();
        // What the session has not taken bounds what is read on.
        let full = self.unread.len() >= SESSION_BUFFER_BYTES;
        let read = async {
            match full {
                true => future::pending().await,
                false => self.stream.read(buffer).await.map(Woken::Read),
            }
        };
        let resolved = async {
            match name {
                Some(search) => Ok(Woken::Resolved(search.await)),
                None => future::pending().await,
            }
        };
        let late = async {
            sleep_until(deadline).await;
            Ok(Woken::Deadline)
        };
        let stopping = async {
            match self.told_to_stop {
                true => future::pending().await,
                false => self.station.stop.wait().await,
            }
            Ok(Woken::Stopping)
        };
        future::or(future::or(read, resolved), future::or(late, stopping)).await
    }

    /// Searches the client's name in the meantime.
    fn look_up(&self) -> NameSearch {
        let (station, ip) = (self.station.clone(), self.desk.door().client);
        Box::pin(async move { station.resolver.verified_name(ip).await })
    }

    fn note_claim(&self, claimed: &str, verified: &Domain) {
        log::warn!("[{}] Host {verified} claimed to be {claimed}", self.desk.door().client);
        let mut counts = self.station.meters.false_claims.borrow_mut();
        if counts.len() < FALSE_CLAIMERS_MAX || counts.contains_key(&self.desk.door().client) {
            *counts.entry(self.desk.door().client).or_default() += 1;
        }
    }
}

/// Counts a message for as long as its content comes in.
struct Arrival(Rc<Station>);

impl Arrival {
    fn begin(station: Rc<Station>) -> Self {
        let arriving = &station.meters.arriving;
        arriving.set(arriving.get() + 1);
        Arrival(station)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let arriving = &self.0.meters.arriving;
        arriving.set(arriving.get() - 1);
    }
}
