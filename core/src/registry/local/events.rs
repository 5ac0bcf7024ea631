//! What wakes a reader when another process writes: file events where the system has some left, else only the actor's own
//! timer. Owned by the actor's thread; one per process and database, as a user has 128 of them.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::place::Place;

/// How often to ask for file events again after the system had none left.
const RETRY: Duration = Duration::from_secs(30);

/// What happened since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The WAL was written.
    pub(super) written: bool,
    /// Files came or went beside it.
    pub(super) moved: bool,
}

/// Whether file events can be had at all.
pub(super) fn available(place: &Place) -> bool {
    files::Files::new().is_some_and(|mut files| files.watch(place))
}

pub(super) struct Events {
    /// Off in tests of the fallback.
    wanted: bool,
    source: Option<files::Files>,
    retry_at: Instant,
}

impl Events {
    pub(super) fn new(wanted: bool) -> Self {
        Events { wanted, source: None, retry_at: Instant::now() }
    }

    /// Begins to watch, if the system has something left for that.
    pub(super) fn watch(&mut self, place: &Place, now: Instant) {
        if !self.wanted || self.source.is_some() || now < self.retry_at {
            return;
        }
        self.source = files::Files::new();
        if !self.reopened(place) {
            self.retry_at = now + RETRY;
            tracing::debug!("no file events left for the local registry; polling instead");
        }
    }

    /// Follows the files that are at their paths now, if it watched any.
    pub(super) fn reopened(&mut self, place: &Place) -> bool {
        if !self.source.as_mut().is_some_and(|files| files.watch(place)) {
            self.source = None;
        }
        self.source.is_some()
    }

    pub(super) fn stop(&mut self) {
        self.source = None;
    }

    pub(super) fn is_polling(&self) -> bool {
        self.source.is_none()
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(files::Files::fd)
    }

    pub(super) fn drain(&mut self, place: &Place) -> Seen {
        self.source.as_mut().map_or(Seen::default(), |files| files.drain(place))
    }
}

#[cfg(target_os = "linux")]
mod files {
    use std::os::fd::{AsFd, BorrowedFd};

    use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

    use super::{Place, Seen};

    pub(super) struct Files {
        inotify: Inotify,
        wal: Option<WatchDescriptor>,
        buffer: Box<[u8; 4096]>,
    }

    impl Files {
        pub(super) fn new() -> Option<Self> {
            let inotify = Inotify::init().ok()?;
            Some(Files { inotify, wal: None, buffer: Box::new([0; 4096]) })
        }

        /// The WAL for what is written, its folder for what comes and goes: in a folder that others write to, watching
        /// that for writes would wake us for every one of theirs.
        pub(super) fn watch(&mut self, place: &Place) -> bool {
            let coming_and_going = WatchMask::CREATE
                | WatchMask::DELETE
                | WatchMask::MOVED_TO
                | WatchMask::MOVED_FROM
                | WatchMask::DELETE_SELF
                | WatchMask::MOVE_SELF
                | WatchMask::ONLYDIR;
            let mut watches = self.inotify.watches();
            self.wal = watches.add(place.wal(), WatchMask::MODIFY).ok();
            self.wal.is_some() && watches.add(place.folder(), coming_and_going).is_ok()
        }

        pub(super) fn fd(&self) -> BorrowedFd<'_> {
            self.inotify.as_fd()
        }

        pub(super) fn drain(&mut self, place: &Place) -> Seen {
            let mut seen = Seen::default();
            let (database, wal, shm) = (place.database(), place.wal(), place.shm());
            let ours = |name: &std::ffi::OsStr| {
                [database, &wal, &shm].into_iter().any(|path| path.file_name() == Some(name))
            };
            while let Ok(events) = self.inotify.read_events(&mut self.buffer[..]) {
                let mut any = false;
                for event in events {
                    any = true;
                    if event.mask.contains(EventMask::Q_OVERFLOW) {
                        seen = Seen { written: true, moved: true };
                    } else if Some(&event.wd) == self.wal.as_ref() {
                        // Anything but a write is the end of this very file.
                        seen.written = true;
                        seen.moved |= !event.mask.contains(EventMask::MODIFY);
                    } else {
                        seen.moved |= event.name.is_none_or(ours);
                    }
                }
                if !any {
                    break;
                }
            }
            seen
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod files {
    use std::os::fd::BorrowedFd;

    use super::{Place, Seen};

    /// Written to be portable: other systems poll.
    pub(super) enum Files {}

    impl Files {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) fn watch(&mut self, _: &Place) -> bool {
            match *self {}
        }

        pub(super) fn fd(&self) -> BorrowedFd<'_> {
            match *self {}
        }

        pub(super) fn drain(&mut self, _: &Place) -> Seen {
            match *self {}
        }
    }
}
