//! The console on the machine's serial line: the same conversation that `stagepost console` has over the
//! control socket, after a login. A session that ends is followed by a new one, a line that was hung up is
//! opened anew. Danger: a terminal that takes nothing must hold up nobody but itself.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};

use crate::console::wire::{Decoder, Frame, ToDaemon, ToUser, VERSION};
use crate::limits::{CONSOLE_AGAIN_S, CONTROL_READ_BYTES, FAILSAFE_KEY_WAIT_S};
use crate::os::{clock, tty};
use crate::tasks::station::Station;
use crate::tasks::timer::by;
use crate::tasks::{control, settings};

/// Serves the console as long as the daemon runs.
pub async fn run(station: Rc<Station>) {
    let mut offer = station.settings.store.borrow().is_configured();
    let mut last = None;
    loop {
        let error = match tty::machine_console().and_then(Async::new) {
            Ok(console) => attend(&station, &console, &mut offer).await,
            Err(error) => error,
        };
        if last != Some(error.kind()) {
            last = Some(error.kind());
            log::warn!("the console broke off: {error}");
        }
        Timer::after(Duration::from_secs(CONSOLE_AGAIN_S)).await;
    }
}

/// One session after the other; the error that ended the line.
async fn attend(station: &Rc<Station>, console: &Async<File>, offer: &mut bool) -> io::Error {
    let served = async {
        let _raw = tty::RawMode::enter(console)?;
        if std::mem::take(offer) {
            offer_failsafe(station, console).await?;
        }
        loop {
            session(station, console).await?;
            Timer::after(Duration::from_secs(CONSOLE_AGAIN_S)).await;
        }
    };
    let ended: io::Result<std::convert::Infallible> = served.await;
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// For some seconds after the start, a key leaves the saved configuration aside; mail flows meanwhile.
async fn offer_failsafe(station: &Rc<Station>, mut console: &Async<File>) -> io::Result<()> {
    let text = format!(
        "\nHit f within {FAILSAFE_KEY_WAIT_S} seconds to start without the saved configuration and its password.\n"
    );
    console.write_all(text.as_bytes()).await?;
    let mut keys = [0; CONTROL_READ_BYTES];
    let until = clock::mono() + Duration::from_secs(FAILSAFE_KEY_WAIT_S);
    let typed = by(until, console.read(&mut keys)).await.transpose()?.unwrap_or(0);
    if tty::is_failsafe(&keys[..typed]) {
        station.guard.open();
        settings::leave_aside(station, "it was asked for at the console".to_owned()).await;
    }
    Ok(())
}

enum Heard {
    Keys(usize),
    /// So many bytes of what was typed are passed on.
    Passed(usize),
    Answer(usize),
}

/// From login to logout.
async fn session(station: &Rc<Station>, mut console: &Async<File>) -> io::Result<()> {
    let (near, far) = UnixStream::pair()?;
    let (stream, served) = (Async::new(near)?, Async::new(far)?);
    let keeper = station.clone();
    station.spawn(async move {
        // Its end is seen at the other side.
        let _ = control::serve(&keeper, served, false).await;
    });
    let (stream, mut passing, mut answering) = (&stream, &stream, &stream);
    send(stream, &ToDaemon::Hello { version: VERSION }).await?;
    send(stream, &ToDaemon::Interactive { width: None, login: true }).await?;
    let mut decoder = Decoder::default();
    let (mut keys, mut answers) = ([0; CONTROL_READ_BYTES], [0; CONTROL_READ_BYTES]);
    // Whoever pastes much is read no further while nothing is taken; what is answered is shown all the same.
    let mut unsent = Vec::new();
    loop {
        future::yield_now().await;
        let typed = async {
            match unsent.is_empty() {
                true => console.read(&mut keys).await.map(Heard::Keys),
                false => passing.write(&unsent).await.map(Heard::Passed),
            }
        };
        let answered = async { answering.read(&mut answers).await.map(Heard::Answer) };
        match answered.or(typed).await? {
            // The line was hung up: whoever comes next has to log in.
            Heard::Keys(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Heard::Answer(0) => return Ok(()),
            Heard::Keys(n) => ToDaemon::Keys(keys[..n].to_vec()).encode(&mut unsent),
            Heard::Passed(n) => drop(unsent.drain(..n)),
            Heard::Answer(n) => decoder.input(&answers[..n]),
        }
        while let Some(frame) =
            decoder.next_frame().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?
        {
            match frame {
                ToUser::Out(text) | ToUser::Err(text) => console.write_all(&text).await?,
                ToUser::Exit(_) => return Ok(()),
                ToUser::Hello { .. } | ToUser::Prompt { .. } => {}
            }
        }
    }
}

async fn send(mut stream: &Async<UnixStream>, frame: &ToDaemon) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    stream.write_all(&bytes).await
}
