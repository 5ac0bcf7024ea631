//! A descriptor as a bell: readable from the first ring until it is silenced, for hosts that wait with poll, epoll or
//! kqueue. It carries no data; what waits is asked for elsewhere.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(not(target_os = "linux"))]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::Wake;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Code, Error, Result};

/// A descriptor that is readable while something waits.
pub struct Descriptor {
    #[cfg(target_os = "linux")]
    bell: std::fs::File,
    #[cfg(not(target_os = "linux"))]
    bell: UnixStream,
    /// The other end, where there is no eventfd.
    #[cfg(not(target_os = "linux"))]
    rope: UnixStream,
}

impl Descriptor {
    /// A silent one. It is closed on exec and never blocks.
    ///
    /// # Errors
    /// `internal` when the process has no descriptors left.
    pub fn new() -> Result<Self> {
        Self::make().map_err(|error| {
            Error::new(Code::Internal, "can't make a descriptor (see `ulimit -n`)").with_cause(error)
        })
    }

    #[cfg(target_os = "linux")]
    fn make() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Descriptor { bell: descriptor.into() })
    }

    #[cfg(not(target_os = "linux"))]
    fn make() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        Ok(Descriptor { bell, rope })
    }

    /// What to wait on for reading. Whoever reads it takes the ring from those who wait.
    pub fn fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// Makes it readable. Never blocks.
    pub fn ring(&self) {
        // One that is full is readable already.
        #[cfg(target_os = "linux")]
        let _ = (&self.bell).write(&1u64.to_ne_bytes());
        #[cfg(not(target_os = "linux"))]
        let _ = (&self.rope).write(&[1]);
    }

    /// Makes it unreadable. What is asked for after this and before the next look is not missed.
    pub fn silence(&self) {
        #[cfg(target_os = "linux")]
        let _ = (&self.bell).read(&mut [0; 8]);
        #[cfg(not(target_os = "linux"))]
        while matches!((&self.bell).read(&mut [0; 64]), Ok(64)) {}
    }

    /// Blocks until it rings, or until `deadline`; says whether it did.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], left.map(timespec).as_ref()) {
                Ok(0) if left.is_some_and(|left| left <= LONGEST) => return false,
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return true,
                // Nothing can be waited for: the caller looks again and finds out what is wrong.
                Err(_) => return true,
            }
        }
    }
}

/// The longest single wait; a longer one is made of several.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fn timespec(left: Duration) -> Timespec {
    let left = left.min(LONGEST);
    Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl Wake for Descriptor {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

impl std::fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Descriptor").field(&self.fd()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_readable_from_the_first_ring_until_it_is_silenced() {
        let descriptor = Descriptor::new().unwrap();
        let now = || Some(Instant::now());
        assert!(!descriptor.wait(now()));
        descriptor.ring();
        descriptor.ring();
        assert!(descriptor.wait(now()) && descriptor.wait(None));
        descriptor.silence();
        assert!(!descriptor.wait(now()));
        descriptor.silence();
        assert!(!descriptor.wait(Some(Instant::now() + Duration::from_millis(1))));
    }

    #[test]
    fn it_wakes_another_thread() {
        let descriptor = Arc::new(Descriptor::new().unwrap());
        let theirs = descriptor.clone();
        let waiting = std::thread::spawn(move || theirs.wait(Some(Instant::now() + Duration::from_secs(30))));
        std::task::Waker::from(descriptor).wake();
        assert!(waiting.join().unwrap());
    }
}
