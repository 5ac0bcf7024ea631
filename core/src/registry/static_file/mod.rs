//! `static:///file`: a list that a person writes, in TOML or JSON, read again when the file changes. An edit that is not right
//! keeps what was there before, `stale`, and says which line is wrong.

#[cfg(any(test, fuzzing))]
mod fuzzing;
mod list;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::sleep;

#[cfg(any(test, fuzzing))]
pub(crate) use self::fuzzing::fuzz;
use self::list::List;
use super::{Follow, FollowNames, Listing, Position, Record, Registry, Update};
use crate::config::Config;
use crate::diagnosis::Finding;
use crate::error::{Code, Error, Result};
use crate::instance::Instance;

/// Between two looks at the file. Not left to events of the file system: there are none for a file that is mounted over a
/// network, and a mounted ConfigMap is changed by another folder taking its place.
const LOOK: Duration = Duration::from_millis(500);
/// Looks without a change after which somebody is told that the file is as it was.
const ALIVE: u32 = 10;
/// A file that was written to since is read again at the next look.
const SETTLED: Duration = Duration::from_secs(1);
/// Larger files are refused: this is for lists that people write.
const MOST: u64 = 16 << 20;

pub(crate) fn open(config: &Config) -> Result<Arc<dyn Registry>> {
    let path = config.url.path.clone().ok_or_else(|| Error::config("a static: URL without a path"))?;
    let file = File { path, source: config.source().to_owned(), read: Mutex::default() };
    Ok(Arc::new(StaticFile(Arc::new(file))))
}

struct StaticFile(Arc<File>);

/// The file, and what was last read of it.
struct File {
    path: PathBuf,
    source: String,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    /// Of the file as it was read, once that can't have changed unseen since.
    stamp: Option<Stamp>,
    /// The last list that was right.
    list: Arc<List>,
    /// Counts the lists.
    index: u64,
    /// Why there is none now.
    wrong: Option<Error>,
}

/// What a look found.
enum Look {
    Same,
    Read { stamp: Option<Stamp>, list: List },
}

/// Why it found nothing to use, and of which state of the file that is true.
struct Wrong {
    stamp: Option<Stamp>,
    error: Error,
}

/// By what a file is known to have changed.
#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(about: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Stamp {
            size: about.len(),
            modified: about.modified().ok(),
            #[cfg(unix)]
            inode: (about.dev(), about.ino(), about.ctime(), about.ctime_nsec()),
        }
    }
}

impl File {
    /// What stands in the file now, read if it changed. The number grows with each change.
    async fn now(self: &Arc<Self>) -> Result<(Arc<List>, u64)> {
        let mut read = self.read.lock().await;
        let (file, known) = (self.clone(), read.stamp);
        let looked = tokio::task::spawn_blocking(move || file.look(known)).await;
        let looked =
            looked.map_err(|error| Error::new(Code::Internal, format!("reading a file failed: {error}")))?;
        match looked {
            Ok(Look::Same) => {}
            Ok(Look::Read { stamp, list }) => {
                read.stamp = stamp;
                read.wrong = None;
                if read.index == 0 || *read.list != list {
                    read.list = Arc::new(list);
                    read.index += 1;
                }
            }
            Err(Wrong { stamp, error }) => {
                read.stamp = stamp;
                read.wrong = Some(error);
            }
        }
        match &read.wrong {
            None => Ok((read.list.clone(), read.index)),
            Some(error) => Err(error.clone()),
        }
    }

    /// Reads the file unless it is as it was.
    fn look(&self, known: Option<Stamp>) -> std::result::Result<Look, Wrong> {
        let path = &self.path;
        let unreadable = |why: &dyn std::fmt::Display, remedy: &str| Wrong {
            stamp: None,
            error: Error::new(Code::Unavailable, format!("can't read {}: {why}: {remedy}", self.source)),
        };
        let about = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                unreadable(&"there is no such file", "write it, or mend the path in the URL")
            }
            _ => unreadable(&error, "let this user read it"),
        })?;
        // Reading a pipe would wait for whoever writes to it.
        if !about.is_file() {
            return Err(unreadable(&"it is no file", "name a file"));
        }
        if about.len() > MOST {
            let why = format!("it has {} bytes, and {MOST} are allowed", about.len());
            return Err(unreadable(&why, "use a registry for so many instances"));
        }
        let stamp = Stamp::of(&about);
        if known == Some(stamp) {
            return Ok(Look::Same);
        }
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => unreadable(&"it is not UTF-8", "save it as UTF-8"),
            _ => unreadable(&error, "let this user read it"),
        })?;
        // What is written in the same tick of the file system's clock leaves no trace.
        let settled = stamp.modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > SETTLED)
            && std::fs::metadata(path).is_ok_and(|about| Stamp::of(&about) == stamp);
        let stamp = settled.then_some(stamp);
        match list::parse(path, &text) {
            Ok(list) => Ok(Look::Read { stamp, list }),
            Err(why) => {
                let error = Error::new(Code::Protocol, format!("{} is not right: {why}", self.source));
                Err(Wrong { stamp, error })
            }
        }
    }

    fn listing(list: &List, index: u64, service: &str) -> Listing {
        let record = |instance: &Instance| Record::unowned(instance.clone());
        Listing {
            records: list.get(service).into_iter().flatten().map(record).collect(),
            position: Position { epoch: 0, index },
            proven: true,
        }
    }
}

#[async_trait]
impl Registry for StaticFile {
    fn source(&self) -> &str {
        &self.0.source
    }

    async fn ping(&self) -> Result<()> {
        self.0.now().await.map(drop)
    }

    fn writable(&self) -> Result<()> {
        Err(Error::invalid(format!(
            "{} is a list that people write, so nothing can be registered there: edit the file",
            self.source()
        )))
    }

    async fn load(&self, service: &str, _: Option<Position>) -> Result<Listing> {
        let (list, index) = self.0.now().await?;
        Ok(File::listing(&list, index, service))
    }

    async fn follow(&self, service: &str, from: Position) -> Result<Box<dyn Follow>> {
        Ok(Box::new(Changes {
            file: self.0.clone(),
            service: service.to_owned(),
            index: from.index,
            looks: 0,
        }))
    }

    async fn follow_names(&self) -> Result<Box<dyn FollowNames>> {
        Ok(Box::new(Names { file: self.0.clone(), told: None }))
    }

    async fn diagnose(&self) -> Vec<Finding> {
        let Ok((list, _)) = self.0.now().await else { return Vec::new() };
        let instances: usize = list.values().map(Vec::len).sum();
        vec![
            Finding::ok("file", "format", format_of(&self.0.path)),
            Finding::ok("file", "services", list.len().to_string()),
            Finding::ok("file", "instances", instances.to_string()),
        ]
    }
}

fn format_of(path: &Path) -> &'static str {
    if list::is_toml(path) { "TOML" } else { "JSON" }
}

struct Changes {
    file: Arc<File>,
    service: String,
    index: u64,
    looks: u32,
}

#[async_trait]
impl Follow for Changes {
    async fn next(&mut self) -> Result<Update> {
        loop {
            sleep(LOOK).await;
            let (list, index) = self.file.now().await?;
            self.looks += 1;
            if index != self.index {
                self.index = index;
                return Ok(Update::List(File::listing(&list, index, &self.service)));
            }
            if self.looks >= ALIVE {
                self.looks = 0;
                return Ok(Update::Alive);
            }
        }
    }
}

struct Names {
    file: Arc<File>,
    told: Option<Vec<String>>,
}

#[async_trait]
impl FollowNames for Names {
    async fn next(&mut self) -> Result<Vec<String>> {
        loop {
            if self.told.is_some() {
                sleep(LOOK).await;
            }
            let (list, _) = self.file.now().await?;
            let named =
                |(name, instances): (&String, &Vec<Instance>)| (!instances.is_empty()).then(|| name.clone());
            let names: Vec<_> = list.iter().filter_map(named).collect();
            if self.told.as_ref() != Some(&names) {
                self.told = Some(names.clone());
                return Ok(names);
            }
        }
    }
}
