//! What a command has of its user: somewhere to print, and somebody to ask. A user with one command answers
//! prompts line by line; one at an interactive console has the daemon edit his lines, key by key.
//! Danger: keys typed while a command runs are kept within a bound, and one that hangs must stay breakable.

use std::io;
use std::time::Duration;

use futures_lite::future;

use crate::console::help;
use crate::console::line_editor::{Event, LineEditor, Mode};
use crate::console::report::Report;
use crate::console::wire::{ToDaemon, ToUser};
use crate::limits::CONSOLE_TYPE_AHEAD_BYTES_MAX;
use crate::os::clock;
use crate::tasks::link::Link;
use crate::tasks::timer::{by, sleep_until};
use crate::time::Instant;

/// ^C as a terminal in raw mode sends it.
const INTERRUPT: u8 = 0x03;

/// Begins what a cursor key sends.
const ESCAPE: u8 = 0x1b;

/// One user of the control socket.
pub struct Talk {
    pub link: Link,
    /// Columns of his terminal.
    pub width: usize,
    /// The state of the candidate that its user has seen, by `Store::edits`.
    pub seen: u64,
    /// How long the user may touch no key at a prompt; `None`: as long as he likes.
    idle: Option<Duration>,
    /// Where the console is interactive.
    screen: Option<Screen>,
}

struct Screen {
    editor: LineEditor,
    /// Keys that nobody has asked for yet.
    typed: Vec<u8>,
}

/// What the user says when he is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Line(String),
    /// ^D, or the end of what was piped in.
    End,
    /// ^C
    Broken,
}

impl Talk {
    /// A user with one command.
    pub fn plain(link: Link, width: usize) -> Self {
        Talk { link, width, seen: 0, idle: None, screen: None }
    }

    /// A user at an interactive console.
    pub fn interactive(link: Link, width: usize) -> Self {
        let screen = Screen { editor: LineEditor::new(width), typed: Vec::new() };
        Talk { link, width, seen: 0, idle: None, screen: Some(screen) }
    }

    /// He came in by a login, and goes out when he touches no key for so long.
    pub fn log_out_after(&mut self, idle: Duration) {
        self.idle = Some(idle);
    }

    pub fn has_login(&self) -> bool {
        self.idle.is_some()
    }

    pub fn is_interactive(&self) -> bool {
        self.screen.is_some()
    }

    pub async fn print(&mut self, text: &str) -> io::Result<()> {
        self.link.print(text.as_bytes()).await
    }

    /// Prints a sentence in lines as wide as the terminal.
    pub async fn print_wrapped(&mut self, text: &str) -> io::Result<()> {
        let text = Report::Done(text.to_owned()).text(self.width);
        self.print(&text).await
    }

    /// The same for each line of a text.
    pub async fn print_wrapped_lines(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            self.print_wrapped(line).await?;
        }
        Ok(())
    }

    /// Prints what went wrong: on a terminal where everything else stands too.
    pub async fn complain(&mut self, text: &str) -> io::Result<()> {
        match self.screen {
            Some(_) => self.link.print(text.as_bytes()).await,
            None => self.link.complain(text.as_bytes()).await,
        }
    }

    /// Asks for one line of text; without `echo` it is a secret.
    pub async fn ask(&mut self, prompt: &str, echo: bool) -> io::Result<Heard> {
        let Some(screen) = &mut self.screen else {
            self.link.send(&ToUser::Prompt { text: prompt.to_owned(), echo }).await?;
            return match self.link.receive().await? {
                Some(ToDaemon::Line(line)) => Ok(Heard::Line(line)),
                Some(ToDaemon::EndOfInput) => Ok(Heard::End),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        };
        // An editor's prompt is the last line of what is asked.
        let (before, prompt) = prompt.split_at(prompt.rfind('\n').map_or(0, |at| at + 1));
        self.link.print(before.as_bytes()).await?;
        screen.editor.begin(prompt, if echo { Mode::Text } else { Mode::Secret });
        loop {
            match self.event().await? {
                Event::Line(line) => return Ok(Heard::Line(line)),
                Event::EndOfInput => return Ok(Heard::End),
                Event::Interrupt => return Ok(Heard::Broken),
                Event::Complete | Event::Explain => {}
            }
        }
    }

    /// Asks for a command, with history, TAB and `?`; `names` gives the words that an argument may be now.
    pub async fn ask_command(
        &mut self,
        prompt: &str,
        names: impl Fn(&str) -> Vec<String>,
    ) -> io::Result<Heard> {
        if let Some(screen) = &mut self.screen {
            screen.editor.begin(prompt, Mode::Command);
        }
        loop {
            let event = self.event().await?;
            let Some(Screen { editor, .. }) = &mut self.screen else { return Ok(Heard::End) };
            match event {
                Event::Line(line) => return Ok(Heard::Line(line)),
                Event::EndOfInput => return Ok(Heard::End),
                Event::Interrupt => return Ok(Heard::Broken),
                Event::Complete => editor.complete(&help::complete(&editor.before_cursor(), &names)),
                Event::Explain => {
                    let lines = help::explain(&editor.before_cursor());
                    editor.redraw();
                    let redrawn = editor.take_output();
                    let text = Report::Help(lines).text(self.width);
                    self.link.print(text.as_bytes()).await?;
                    self.link.print(&redrawn).await?;
                }
            }
        }
    }

    /// The next event of the line that is being edited.
    async fn event(&mut self) -> io::Result<Event> {
        loop {
            let Some(Screen { editor, typed }) = &mut self.screen else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let (used, event) = editor.input(typed);
            typed.drain(..used);
            let out = editor.take_output();
            self.link.print(&out).await?;
            match event {
                Some(event) => return Ok(event),
                None => self.keys_in_time().await?,
            }
        }
    }

    /// More keys; an error of `TimedOut` when the user has touched none for too long.
    async fn keys_in_time(&mut self) -> io::Result<()> {
        let until = self.idle.map_or(Instant::NEVER, |idle| clock::mono() + idle);
        by(until, self.more_keys()).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn more_keys(&mut self) -> io::Result<()> {
        match (self.link.receive().await?, &mut self.screen) {
            (Some(ToDaemon::Keys(keys)), Some(screen)) => {
                let room = CONSOLE_TYPE_AHEAD_BYTES_MAX.saturating_sub(screen.typed.len());
                screen.typed.extend_from_slice(&keys[..keys.len().min(room)]);
                Ok(())
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The result of `work`, or `None` when the user breaks it off with ^C; an error when he has gone.
    pub async fn unless_broken<T>(&mut self, work: impl Future<Output = T>) -> io::Result<Option<T>> {
        let done = async { Ok(Some(work.await)) };
        let broken = async {
            loop {
                self.more_keys().await?;
                if self.take_interrupt() {
                    return Ok(None);
                }
            }
        };
        future::or(done, broken).await
    }

    /// Whether a key is hit within this time; it counts for nothing else.
    pub async fn key_within(&mut self, wait: Duration) -> io::Result<bool> {
        let hit = async {
            if self.screen.as_ref().is_none_or(|screen| screen.typed.is_empty()) {
                self.more_keys().await?;
            }
            if let Some(Screen { typed, .. }) = &mut self.screen {
                // A cursor key is several bytes; anything else is one key, and what follows is a command.
                let key = if typed.first() == Some(&ESCAPE) { typed.len() } else { 1 };
                typed.drain(..key.min(typed.len()));
            }
            Ok(true)
        };
        let late = async {
            sleep_until(clock::mono() + wait).await;
            Ok(false)
        };
        future::or(hit, late).await
    }

    /// Forgets what was typed up to a ^C. False: there is none.
    fn take_interrupt(&mut self) -> bool {
        let Some(Screen { typed, .. }) = &mut self.screen else { return false };
        let at = typed.iter().rposition(|key| *key == INTERRUPT);
        typed.drain(..at.map_or(0, |at| at + 1));
        at.is_some()
    }
}
