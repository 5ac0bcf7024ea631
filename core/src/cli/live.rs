//! The live table of `watch` on a terminal: what it shows of the latest news, and when it is drawn anew.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use crossterm::style::{Color, Stylize};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGTSTP, SIGWINCH};
use tokio::time::{Instant, sleep};

use super::exit::{self, Failure};
use super::feed::{Feed, News};
use super::output::{Output, printable};
use super::row;
use super::screen::{Keys, Screen};
use super::signals::Signals;
use super::table::Table;
use super::value;
use crate::error::Error;

/// Shortest time between two drawings: nobody reads faster, and a busy service changes a thousand times a second.
const FRAME: Duration = Duration::from_millis(40);
/// Longest time between two drawings: ages are shown in seconds.
const TICK: Duration = Duration::from_secs(1);

const INSTANCE: [&str; 7] = ["INSTANCE", "STATUS", "AGE", "ADDRESS", "ZONE", "VERSION", "TAGS"];
const SERVICE: [&str; 4] = ["SERVICE", "HEALTHY", "INSTANCES", "AGE"];

/// Draws the news until `q` is pressed.
pub(super) async fn follow(
    mut feed: Feed,
    trouble: impl Future<Output = Error>,
    service: Option<&str>,
    source: &str,
    output: &Output,
) -> Result<i32, Failure> {
    let (mut trouble, mut untold) = (pin!(trouble), true);
    let mut signals = Signals::listen(&[SIGWINCH, SIGTSTP])?;
    let mut screen = Screen::enter().map_err(Failure::Output)?;
    let mut keys = Keys::new();
    let mut view = View {
        service: service.map(printable),
        source: printable(source),
        colour: output.has_colour(),
        news: None,
        trouble: None,
        since: BTreeMap::new(),
    };
    loop {
        screen.draw(&view.lines(screen.size())).map_err(Failure::Output)?;
        sleep(FRAME).await;
        tokio::select! {
            () = keys.quit() => return Ok(exit::OK),
            () = sleep(TICK) => {}
            error = &mut trouble, if untold => {
                untold = false;
                view.trouble = Some(printable(&error.to_string()));
            }
            news = feed.next() => match news {
                Some(news) => view.take(news),
                None => return Ok(exit::OK),
            },
            received = signals.next() => if received.number == SIGTSTP {
                drop(screen);
                // Whoever continues this process continues here.
                let _ = kill_process(getpid(), Signal::STOP);
                screen = Screen::enter().map_err(Failure::Output)?;
            },
        }
    }
}

struct View {
    service: Option<String>,
    source: String,
    colour: bool,
    news: Option<News>,
    /// Why nothing was read yet.
    trouble: Option<String>,
    /// Since when each instance or service is as it is, by id or name.
    since: BTreeMap<String, Instant>,
}

impl View {
    fn take(&mut self, news: News) {
        let now = Instant::now();
        match (&self.news, &news) {
            (Some(News::Service(before)), News::Service(after)) => {
                let changes = after.changes_since(before);
                for instance in changes.added.iter().chain(&changes.changed) {
                    self.since.insert(instance.id.clone(), now);
                }
                self.since.retain(|id, _| after.get(id).is_some());
            }
            (_, News::Service(first)) => {
                self.since = first.iter().map(|instance| (instance.id.clone(), now)).collect();
            }
            (before, News::Services(after)) => {
                let before = match before {
                    Some(News::Services(before)) => &before.services[..],
                    _ => &[],
                };
                let changed = after.services.iter().filter(|count| !before.contains(count));
                self.since.extend(changed.map(|count| (count.service.clone(), now)));
                self.since.retain(|name, _| after.services.iter().any(|count| count.service == *name));
            }
        }
        self.news = Some(news);
    }

    fn lines(&self, (width, height): (u16, u16)) -> Vec<String> {
        // The title, the header and the last line with a blank above it.
        let room = usize::from(height).saturating_sub(5).max(1);
        let (mut lines, table, rows) = match &self.news {
            None => (vec![self.waiting()], None, 0),
            Some(News::Service(snapshot)) => {
                let title = format!("{} of {} healthy", row::healthy(snapshot), snapshot.len());
                let age = value::age(snapshot.age());
                let error = snapshot.last_error().map(ToString::to_string);
                let title = self.title(&title, snapshot.freshness().as_str(), &age, error);
                let mut table = Table::new(&INSTANCE);
                for instance in snapshot.iter().take(room) {
                    let [id, address, status, zone, version, tags] = row::columns(instance);
                    table.row([id, status, self.age(&instance.id), address, zone, version, tags]);
                }
                (vec![title], Some(table), snapshot.len())
            }
            Some(News::Services(services)) => {
                let count = match services.services.len() {
                    1 => "1 service".to_owned(),
                    count => format!("{count} services"),
                };
                let title = self.title(&count, services.freshness, "", services.last_error.clone());
                let mut table = Table::new(&SERVICE);
                for count in services.services.iter().take(room) {
                    let [service, healthy, instances] = count.columns();
                    table.row([service, healthy, instances, self.age(&count.service)]);
                }
                (vec![title], Some(table), services.services.len())
            }
        };
        match table {
            Some(table) if rows > 0 => lines.extend(table.lines(Some(width), self.colour)),
            Some(_) => lines.push(self.nothing()),
            None => {}
        }
        if rows > room {
            lines.push(format!("and {} more", rows - room));
        }
        lines.push(String::new());
        lines.push(self.paint("q or Ctrl-C to end", Color::DarkGrey));
        lines
    }

    fn title(&self, counts: &str, freshness: &str, age: &str, error: Option<String>) -> String {
        let name = self.service.as_deref().map(|service| format!("{service}: ")).unwrap_or_default();
        let trust = match error {
            _ if freshness == "live" => self.paint(freshness, Color::Green),
            error => {
                let age = if age.is_empty() { String::new() } else { format!(" for {age}") };
                let why = error.map(|error| format!(": {}", printable(&error))).unwrap_or_default();
                self.paint(&format!("{freshness}{age}{why}"), Color::Yellow)
            }
        };
        format!("{name}{counts}, {trust}, {}", self.source)
    }

    fn waiting(&self) -> String {
        match &self.trouble {
            None => format!("reading {}", self.source),
            Some(trouble) => self.paint(&format!("{trouble}; trying again"), Color::Yellow),
        }
    }

    fn nothing(&self) -> String {
        let service = self.service.as_deref().unwrap_or("billing");
        format!("nothing yet; to start one: callsheet run {service} --port PORT -- PROGRAM")
    }

    fn age(&self, key: &str) -> String {
        self.since.get(key).map(|since| value::age(since.elapsed())).unwrap_or_default()
    }

    fn paint(&self, text: &str, colour: Color) -> String {
        if self.colour { text.with(colour).to_string() } else { text.to_owned() }
    }
}
