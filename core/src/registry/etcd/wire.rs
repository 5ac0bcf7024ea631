//! What a connection said first and how it ended, told by its bytes. HTTP/2 above it forgets the reason: whoever asks
//! after a refused certificate learns that an operation was canceled.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::config::Tls;
use crate::error::{Code, Error};
use crate::tls;

/// Bytes of a greeting that tell what speaks.
const GREETING: usize = 32;

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection, as those who use it see it.
pub(super) struct Wire {
    host: String,
    tls: Option<Tls>,
    /// The server's certificate and what it showed along with it.
    pub(super) presented: Vec<CertificateDer<'static>>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    greeting: Vec<u8>,
    end: Option<End>,
}

enum End {
    /// The server closed it.
    Closed,
    Failed(Error),
}

impl Wire {
    pub(super) fn new(host: &str, tls: Option<&Tls>, presented: Vec<CertificateDer<'static>>) -> Arc<Self> {
        Arc::new(Wire { host: host.to_owned(), tls: tls.cloned(), presented, heard: Mutex::default() })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why requests fail on it, with what to do, if the connection itself is the reason.
    pub(super) fn why(&self) -> Option<Error> {
        let heard = self.heard();
        match (&heard.end, Speech::of(&heard.greeting)) {
            (Some(End::Failed(error)), _) if error.refused() => Some(error.clone()),
            (_, Speech::Other) => Some(Error::new(
                Code::Protocol,
                format!(
                    "what listens there is no etcd, it says {:?}: check host and port",
                    String::from_utf8_lossy(&heard.greeting).trim_end()
                ),
            )),
            (_, Speech::Http1) => {
                let why =
                    "what listens there speaks HTTP/1 and is no client port of etcd: check host and port";
                Some(Error::new(Code::Protocol, why))
            }
            (_, Speech::Tls) => Some(Error::new(
                Code::Unavailable,
                "the server speaks TLS on this port: write etcds:// instead of etcd://",
            )),
            (Some(end), Speech::Nothing) => {
                let silent = Error::new(Code::Unavailable, self.silence());
                Some(match end {
                    End::Closed => silent,
                    End::Failed(error) => silent.with_cause(error.clone()),
                })
            }
            (Some(End::Failed(error)), _) => Some(error.clone()),
            (Some(End::Closed), _) => Some(Error::new(Code::Unavailable, "the server closed the connection")),
            (None, _) => None,
        }
    }

    /// What it may mean that the server ended the connection before it said anything.
    fn silence(&self) -> String {
        let guess = match &self.tls {
            None => "if it speaks TLS on this port, write etcds:// instead of etcd://".to_owned(),
            // Said in an alert, which a proxy in between may lose.
            Some(Tls { identity: None, .. }) => {
                "it may ask for a client certificate (give cert and key)".to_owned()
            }
            Some(Tls { identity: Some((cert, _)), .. }) => {
                format!("it may not accept our certificate {}", cert.display())
            }
        };
        format!(
            "the server ended the connection before it said anything: {guess}; else check that this is a client port of \
             etcd, and that etcd runs behind it"
        )
    }

    /// Whether the connection ended without a word, and so may have had a reason.
    pub(super) fn silent(&self) -> bool {
        let heard = self.heard();
        match &heard.end {
            Some(End::Failed(error)) => heard.greeting.is_empty() && !error.refused(),
            Some(End::Closed) => heard.greeting.is_empty(),
            None => false,
        }
    }

    pub(super) fn hear(&self, bytes: &[u8]) -> bool {
        let mut heard = self.heard();
        let room = GREETING - heard.greeting.len();
        heard.greeting.extend_from_slice(&bytes[..bytes.len().min(room)]);
        heard.greeting.len() == GREETING
    }

    fn ended(&self) -> bool {
        self.heard().end.is_some()
    }

    fn end(&self, end: End) {
        self.heard().end.get_or_insert(end);
    }

    fn fail(&self, error: &io::Error) {
        // Few servers say goodbye.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.end(End::Closed);
        }
        // What rustls found out is inside, and an io::Error can't be cloned.
        let failed = match self.tls.as_ref().and_then(|tls| tls::explained(error, &self.host, tls)) {
            Some(explained) => explained,
            None => Error::new(Code::Unavailable, "the connection broke").with_cause(error.to_string()),
        };
        self.end(End::Failed(failed));
    }
}

/// What the first bytes of a server are.
#[derive(Debug, PartialEq, Eq)]
enum Speech {
    Nothing,
    /// A SETTINGS frame, or too little to tell.
    Http2,
    Http1,
    Tls,
    Other,
}

impl Speech {
    fn of(greeting: &[u8]) -> Self {
        // RFC 9113, 3.4: a server begins with SETTINGS, type 4 on stream 0, and sends few of them.
        match greeting {
            [] => Speech::Nothing,
            // RFC 8446, 5.1: an alert or a handshake, of a version from 3.0 to 3.4.
            [21 | 22, 3, 0..=4, ..] => Speech::Tls,
            [0, _, _, 4, ..] => Speech::Http2,
            [0] | [0, _] | [0, _, _] | [21 | 22] | [21 | 22, 3] => Speech::Http2,
            // Our own preface may be answered by a page of HTML as HTTP/0.9 has it.
            _ if greeting.starts_with(b"HTTP/") || greeting.starts_with(b"<") => Speech::Http1,
            _ => Speech::Other,
        }
    }
}

/// A connection whose bytes pass by its wire.
pub(super) struct Tap {
    pub(super) io: Box<dyn Io>,
    pub(super) wire: Arc<Wire>,
    /// Enough was heard to tell who speaks.
    pub(super) greeted: bool,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        let new = &buf.filled()[before..];
        match &read {
            Err(error) => self.wire.fail(error),
            Ok(()) if new.is_empty() && buf.remaining() > 0 => self.wire.end(End::Closed),
            Ok(()) if !self.greeted => self.greeted = self.wire.hear(new),
            Ok(()) => {}
        }
        Poll::Ready(read)
    }
}

impl Tap {
    /// What a write comes to. One that failed waits for the end of what is there to be read, which may be the reason: a
    /// server that refuses us says so and closes.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let error = match written {
            Poll::Ready(Err(error)) if !self.wire.ended() => error,
            // Nothing more is ever read after an end, not even another end.
            other => return other,
        };
        let mut rest = [0; 1024];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut rest)) {
                Ok(()) if rest.filled().is_empty() => self.wire.end(End::Closed),
                Ok(()) => {
                    self.wire.hear(rest.filled());
                    continue;
                }
                Err(reason) => self.wire.fail(&reason),
            }
            return Poll::Ready(Err(error));
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio_rustls::rustls;

    use super::*;

    #[test]
    fn who_speaks_is_told_by_the_first_bytes() {
        for (greeting, speech) in [
            (&b""[..], Speech::Nothing),
            (b"\0\0\x06\x04\0\0\0\0\0", Speech::Http2),
            (b"\0\0", Speech::Http2),
            (b"HTTP/1.1 400 Bad Request", Speech::Http1),
            (b"<html>", Speech::Http1),
            (b"\x15\x03\x01\0\x02\x02\x16", Speech::Tls),
            (b"\x16\x03\x03\0\x7a", Speech::Tls),
            (b"SSH-2.0-OpenSSH_9.6", Speech::Other),
        ] {
            assert_eq!(Speech::of(greeting), speech, "{greeting:?}");
        }
    }

    #[test]
    fn a_refusal_outweighs_what_was_said_before() {
        let wire = Wire::new("h", Some(&Tls::default()), Vec::new());
        assert!(wire.why().is_none());
        wire.hear(b"\0\0\x06\x04");
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        wire.fail(&io::Error::new(io::ErrorKind::InvalidData, alert));
        wire.end(End::Closed);
        let why = wire.why().unwrap();
        assert!(why.refused() && why.message().contains("give cert and key"), "{why}");
    }

    #[test]
    fn a_connection_that_closes_in_silence_may_want_tls() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        for end in [|wire: &Wire, _: &io::Error| wire.end(End::Closed), Wire::fail] {
            let wire = Wire::new("h", None, Vec::new());
            assert!(!wire.silent());
            end(&wire, &reset);
            assert!(wire.silent());
            assert!(wire.why().unwrap().message().contains("etcds://"));
        }
    }

    /// A connection that the server refused: its reason can be read once, as rustls or a server of HTTP/1 puts it, and
    /// nothing written.
    struct Refused {
        said: VecDeque<io::Result<&'static [u8]>>,
    }

    impl Refused {
        fn by_tls() -> Self {
            let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
            Refused { said: [Err(io::Error::new(io::ErrorKind::InvalidData, alert))].into() }
        }

        fn by_http() -> Self {
            Refused { said: [Ok(&b"HTTP/1.1 404 Not Found\r\n"[..]), Ok(&[])].into() }
        }
    }

    impl AsyncRead for Refused {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.said.pop_front() {
                None => Poll::Pending,
                Some(said) => Poll::Ready(said.map(|bytes| buf.put_slice(bytes))),
            }
        }
    }

    impl AsyncWrite for Refused {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_write_that_fails_finds_the_reason_and_never_waits_for_another() {
        for (refused, code) in
            [(Refused::by_tls(), Code::Unauthenticated), (Refused::by_http(), Code::Protocol)]
        {
            let wire = Wire::new("h", Some(&Tls::default()), Vec::new());
            let mut tap = Tap { io: Box::new(refused), wire: wire.clone(), greeted: false };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            for _ in 0..2 {
                assert!(matches!(Pin::new(&mut tap).poll_write(&mut cx, b"x"), Poll::Ready(Err(_))));
                assert!(matches!(Pin::new(&mut tap).poll_flush(&mut cx), Poll::Ready(Err(_))));
            }
            assert!(!wire.silent());
            assert_eq!(wire.why().unwrap().code(), code);
        }
    }
}
