//! A port that listens, and if asked to, answers HTTP.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Listens on loopback until it is dropped.
pub(crate) struct Listener {
    port: u16,
    open: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Listener {
    /// Answers every request with the status `answers`, or closes each connection as it comes.
    pub(crate) fn open(port: u16, answers: Option<i64>) -> io::Result<Self> {
        let listener = bind(port)?;
        let open = Arc::new(AtomicBool::new(true));
        let theirs = open.clone();
        let serving = spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !theirs.load(Ordering::Acquire) {
                    return;
                }
                let _ = answers.map_or(Ok(()), |status| answer(stream, status));
            }
        });
        Ok(Listener { port, open, serving: Some(serving) })
    }
}

/// A process that another scenario starts just now may hold a copy of the port's last listener for a moment.
pub(crate) fn bind(port: u16) -> io::Result<TcpListener> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(10)),
            bound => return bound,
        }
    }
}

fn answer(mut stream: TcpStream, status: i64) -> io::Result<()> {
    let _ = stream.read(&mut [0; 4096])?;
    write!(stream, "HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Release);
        // Wakes the thread, which then lets go of the port.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.serving.take().map(JoinHandle::join));
    }
}
