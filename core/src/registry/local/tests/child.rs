//! Another process: this test binary, running the test below alone, with its commands coming over standard input. It ends
//! when that is closed, so that none outlives its test.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::registry::{Follow, Loss};

const PATH: &str = "CALLSHEET_TEST_PATH";
const POLLING: &str = "CALLSHEET_TEST_POLLING";
/// An unprivileged user; as such `nobody` on every Linux.
pub(super) const NOBODY: u32 = 65534;

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How a child is started.
#[derive(Clone, Copy, Default)]
pub(super) struct How {
    pub(super) polling: bool,
    pub(super) uid: Option<u32>,
    /// Shell commands to run before, in the child's process.
    pub(super) before: &'static str,
    /// A command that runs the rest.
    pub(super) under: &'static [&'static str],
}

pub(super) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<(Instant, String)>,
}

impl Child {
    pub(super) fn start(path: &Path) -> Self {
        Self::start_as(path, How::default())
    }

    pub(super) fn start_as(path: &Path, how: How) -> Self {
        let own = std::env::current_exe().unwrap();
        let mut words: Vec<String> = how.under.iter().map(|word| word.to_string()).collect();
        if !how.before.is_empty() {
            words.extend(["sh".into(), "-c".into(), format!("{}\nexec \"$0\" \"$@\"", how.before)]);
        }
        words.push(own.to_str().unwrap().to_owned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["--exact", "registry::local::tests::child::child", "--nocapture", "--test-threads=1"])
            .env(PATH, path)
            .env("CALLSHEET_WORKERS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if how.polling {
            command.env(POLLING, "1");
        }
        if let Some(uid) = how.uid {
            command.uid(uid).gid(uid);
        }
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // What the test harness prints has no such mark.
                if let Some((_, said)) = line.split_once('@')
                    && sender.send((Instant::now(), said.to_owned())).is_err()
                {
                    break;
                }
            }
        });
        Child { process, input, lines }
    }

    pub(super) fn say(&mut self, command: &str) {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
    }

    pub(super) fn hear(&self) -> String {
        self.hear_at().1
    }

    pub(super) fn hear_at(&self) -> (Instant, String) {
        self.lines.recv_timeout(6 * DEADLINE).expect("the child says nothing")
    }

    pub(super) fn ask(&mut self, command: &str) -> String {
        self.say(command);
        self.hear()
    }

    /// Reads on until it says this.
    pub(super) fn until(&self, wanted: &str) -> Instant {
        let begun = Instant::now();
        loop {
            let (at, said) = self.hear_at();
            if said == wanted {
                return at;
            }
            assert!(begun.elapsed() < 6 * DEADLINE, "{said} instead of {wanted}");
        }
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.process.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(super) fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Whether the last of its threads is gone, and with it the locks.
    pub(super) fn is_over(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Lets it end in good order.
    pub(super) fn end(mut self) {
        self.input.take();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tell(said: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "@{said}");
    let _ = out.flush();
}

fn failed(error: crate::Error) -> String {
    format!("error {}: {error}", error.code()).replace('\n', " ")
}

/// The child's side. Does nothing as a test of its own.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    let settings = Settings { events: std::env::var(POLLING).is_err(), ..Settings::default() };
    let client = Arc::new(Client::new(Path::new(&path), settings));
    let runtime = crate::runtime::handle().unwrap();
    let published = Arc::new(Mutex::new(HashMap::new()));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let client = client.clone();
        match words[0].as_str() {
            // `publish service id ttl_ms [times]`: published again whenever it is lost.
            "publish" => {
                let times = words.get(4).map_or(1, |times| times.parse().unwrap());
                for at in 0..times {
                    let id = if times == 1 { words[2].clone() } else { format!("{}{at}", words[2]) };
                    let (service, ttl) = (words[1].clone(), Duration::from_millis(words[3].parse().unwrap()));
                    let quiet = at + 1 < times;
                    let (ending, end) = tokio::sync::oneshot::channel();
                    published.lock().unwrap().insert(id.clone(), ending);
                    runtime.spawn(keep(client.clone(), service, id, ttl, end, quiet));
                }
            }
            "withdraw" => {
                published.lock().unwrap().remove(&words[1]);
            }
            "load" => tell(runtime.block_on(async {
                match client.registry.load(&words[1], None).await {
                    Ok(_) => format!("ids {}", client.ids(&words[1]).await.join(" ")),
                    Err(error) => failed(error),
                }
            })),
            "ping" => tell(match runtime.block_on(client.registry.ping()) {
                Ok(()) => "ok".to_owned(),
                Err(error) => failed(error),
            }),
            "watch" => {
                runtime.spawn(watch(client, words[1].clone()));
            }
            // Watches without a word, for measuring what that costs.
            "idle" => {
                for at in 0..words[1].parse().unwrap() {
                    let client = client.clone();
                    runtime.spawn(async move {
                        let mut follow = client.follow(&format!("idle-{at}")).await;
                        while follow.next().await.is_ok() {}
                    });
                }
            }
            // Opens file events until there are none left for this user.
            #[cfg(target_os = "linux")]
            "exhaust" => {
                let all: Vec<_> = std::iter::from_fn(|| inotify::Inotify::init().ok()).collect();
                tell(format!("exhausted {}", all.len()));
                std::mem::forget(all);
            }
            "fork" => super::forks::fork(&client, Path::new(&path)),
            "close" => tell(runtime.block_on(async {
                client.registry.close().await;
                "closed"
            })),
            other => panic!("{other}"),
        }
    }
    std::process::exit(0);
}

async fn keep(
    client: Arc<Client>,
    service: String,
    id: String,
    ttl: Duration,
    mut end: tokio::sync::oneshot::Receiver<()>,
    quiet: bool,
) {
    loop {
        let publish = client.publish_of(&service, &id, ttl, Claim::IfFree);
        let mut publication = match client.registry.publish(publish).await {
            Ok(Published::Ours(publication)) => publication,
            Ok(Published::Held(holder)) => {
                tell("held");
                holder.released.await;
                continue;
            }
            Err(error) => {
                tell(failed(error));
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if !quiet {
            tell("registered");
        }
        tokio::select! {
            loss = publication.lost() => match loss {
                Loss::Gone(_) => tell("gone"),
                Loss::Taken(_) => tell("taken"),
            },
            _ = &mut end => {
                publication.withdraw().await.unwrap();
                tell("withdrawn");
                return;
            }
        }
    }
}

/// Says the list whenever it changes, beginning with the present one.
async fn watch(client: Arc<Client>, service: String) {
    let mut said = None;
    loop {
        let listing = match client.registry.load(&service, None).await {
            Ok(listing) => listing,
            Err(error) => {
                tell(failed(error));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut ids: BTreeSet<_> = listing.records.into_iter().map(|record| record.instance.id).collect();
        let mut follow: Box<dyn Follow> = match client.registry.follow(&service, listing.position).await {
            Ok(follow) => follow,
            Err(error) => {
                tell(failed(error));
                continue;
            }
        };
        loop {
            let list = format!("ids {}", ids.iter().cloned().collect::<Vec<_>>().join(" "));
            if said.as_ref() != Some(&list) {
                tell(&list);
                said = Some(list);
            }
            match follow.next().await {
                Ok(Update::Changes { changes, .. }) => {
                    for change in changes {
                        match change {
                            Change::Put(record) => ids.insert(record.instance.id),
                            Change::Delete { id } => ids.remove(&id),
                        };
                    }
                }
                Ok(Update::Alive) => {}
                Ok(_) => break,
                Err(error) => {
                    tell(failed(error));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    break;
                }
            }
        }
    }
}
