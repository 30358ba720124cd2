//! The console on the machine's serial line: the same conversation over the control socket that `stagepost
//! console` has, carried to and from the terminal. A session that ends is followed by a new one.
//! Danger: a terminal that takes nothing must hold up nobody but itself.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};

use crate::console::wire::{Decoder, Frame, ToDaemon, ToUser, VERSION};
use crate::limits::{CONSOLE_AGAIN_S, CONTROL_READ_BYTES};
use crate::os::tty;

/// Serves the console as long as the daemon runs.
pub async fn run(socket: PathBuf) {
    let console = match tty::machine_console().and_then(Async::new) {
        Ok(console) => console,
        Err(e) => return log::error!("/dev/console: {e}"),
    };
    let _raw = tty::RawMode::enter(&console);
    loop {
        if let Err(e) = session(&console, &socket).await {
            log::warn!("the console broke off: {e}");
        }
        Timer::after(Duration::from_secs(CONSOLE_AGAIN_S)).await;
    }
}

enum Heard {
    Keys(usize),
    Answer(usize),
}

async fn session(mut console: &Async<File>, socket: &PathBuf) -> io::Result<()> {
    let stream = Async::<UnixStream>::connect(socket).await?;
    let mut stream = &stream;
    send(stream, &ToDaemon::Hello { version: VERSION }).await?;
    send(stream, &ToDaemon::Interactive { width: None }).await?;
    let mut decoder = Decoder::default();
    let (mut keys, mut answers) = ([0; CONTROL_READ_BYTES], [0; CONTROL_READ_BYTES]);
    loop {
        let typed = async { console.read(&mut keys).await.map(Heard::Keys) };
        let answered = async { stream.read(&mut answers).await.map(Heard::Answer) };
        match answered.or(typed).await? {
            Heard::Keys(0) | Heard::Answer(0) => return Ok(()),
            Heard::Keys(n) => send(stream, &ToDaemon::Keys(keys[..n].to_vec())).await?,
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
