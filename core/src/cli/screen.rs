//! A terminal's screen while something is drawn on it in place, and its keyboard. Dropping it, also in a panic, gives
//! the terminal back as it was.

use std::future::pending;
use std::io::{self, IsTerminal, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen,
};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Taken for a terminal that does not know its size.
const USUAL: (u16, u16) = (80, 24);

pub(super) struct Screen {
    /// What the keyboard was set to; `None` when stdin is no terminal.
    before: Option<Termios>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let before = if io::stdin().is_terminal() { Some(tcgetattr(stdin())?) } else { None };
        // From here on dropping it restores what was changed so far.
        let screen = Screen { before };
        if let Some(mut keyboard) = screen.before.clone() {
            // Keys come at once and unseen. Ctrl-C and Ctrl-Z stay signals, which also work without a keyboard.
            keyboard.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            keyboard.special_codes[SpecialCodeIndex::VMIN] = 0;
            keyboard.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(stdin(), OptionalActions::Now, &keyboard)?;
        }
        let mut bytes = Vec::new();
        queue!(bytes, EnterAlternateScreen, Hide, DisableLineWrap)?;
        write(&bytes)?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => USUAL,
        }
    }

    /// Replaces what is shown; lines that don't fit are cut off by the terminal.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut bytes = Vec::new();
        queue!(bytes, BeginSynchronizedUpdate)?;
        for (row, line) in (0..self.size().1).zip(lines) {
            queue!(bytes, MoveTo(0, row))?;
            bytes.extend_from_slice(line.as_bytes());
            queue!(bytes, Clear(ClearType::UntilNewLine))?;
        }
        let below = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        if below < self.size().1 {
            queue!(bytes, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        queue!(bytes, EndSynchronizedUpdate)?;
        write(&bytes)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut bytes = Vec::new();
        // A terminal that is gone needs nothing restored.
        let _ = queue!(bytes, EnableLineWrap, Show, LeaveAlternateScreen);
        let _ = write(&bytes);
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// The keyboard of a [`Screen`], if there is one. Not a pipe, but tokio waits for any descriptor in this way.
pub(super) struct Keys(Option<pipe::Receiver>);

impl Keys {
    pub(super) fn new() -> Self {
        let keyboard = || pipe::Receiver::from_owned_fd_unchecked(stdin().try_clone_to_owned().ok()?).ok();
        Keys(if io::stdin().is_terminal() { keyboard() } else { None })
    }

    /// Until the key `q` is pressed. Cancel-safe.
    pub(super) async fn quit(&mut self) {
        let Some(keyboard) = &mut self.0 else { return pending().await };
        // More than a terminal keeps, so that a read takes all there is and the next one waits.
        let mut bytes = [0; 8192];
        loop {
            match keyboard.read(&mut bytes).await {
                // The terminal is gone, or others read from it too: signals still end the command.
                Ok(0) | Err(_) => return pending().await,
                // A `q` behind an escape belongs to what a cursor key or the terminal says.
                Ok(count) if bytes[0] != 0x1b && bytes[..count].iter().any(|key| b"qQ".contains(key)) => {
                    return;
                }
                Ok(_) => {}
            }
        }
    }
}
