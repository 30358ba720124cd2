//! One connection on the control socket, as frames (`console::wire`).

use std::io;
use std::os::unix::net::UnixStream;

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::console::wire::{Decoder, Frame, ToDaemon, ToUser, VERSION};
use crate::limits::{CONTROL_PIECE_BYTES_MAX, CONTROL_READ_BYTES};

/// The daemon's end.
pub struct Link {
    stream: Async<UnixStream>,
    decoder: Decoder,
}

impl Link {
    /// Exchanges hellos with a user who has just connected.
    pub async fn open(stream: Async<UnixStream>) -> io::Result<Link> {
        let mut link = Link { stream, decoder: Decoder::default() };
        link.send(&ToUser::Hello { version: VERSION }).await?;
        match link.receive().await? {
            Some(ToDaemon::Hello { version: VERSION }) => Ok(link),
            _ => {
                let text =
                    format!("this daemon is version {}; use the same stagepost\n", env!("CARGO_PKG_VERSION"));
                link.send(&ToUser::Err(text.into_bytes())).await?;
                link.send(&ToUser::Exit(1)).await?;
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// The next frame; `None` when the user has gone.
    pub async fn receive(&mut self) -> io::Result<Option<ToDaemon>> {
        let mut piece = [0; CONTROL_READ_BYTES];
        loop {
            // A user who types without end, or has much piped in, is not alone here.
            future::yield_now().await;
            let frame =
                self.decoder.next_frame().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            if frame.is_some() {
                return Ok(frame);
            }
            match self.stream.read(&mut piece).await? {
                0 => return Ok(None),
                n => self.decoder.input(&piece[..n]),
            }
        }
    }

    pub async fn send(&mut self, frame: &ToUser) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes).await
    }

    /// Output, in as many frames as it takes.
    pub async fn print(&mut self, text: &[u8]) -> io::Result<()> {
        for piece in text.chunks(CONTROL_PIECE_BYTES_MAX) {
            self.send(&ToUser::Out(piece.to_vec())).await?;
        }
        Ok(())
    }

    pub async fn complain(&mut self, text: &[u8]) -> io::Result<()> {
        for piece in text.chunks(CONTROL_PIECE_BYTES_MAX) {
            self.send(&ToUser::Err(piece.to_vec())).await?;
        }
        Ok(())
    }
}
