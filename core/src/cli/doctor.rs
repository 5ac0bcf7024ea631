//! `callsheet doctor`: which registry and why this one, whether it answers and how fast, what can be told of it, and a
//! verdict. Looks only: it registers nothing and repairs nothing.

use std::collections::HashSet;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossterm::style::Stylize;
use serde::Serialize;

use super::exit::{self, Failure};
use super::output::{Output, printable};
use super::{list, row};
use crate::client::Client;
use crate::diagnosis::{Finding, Level, milliseconds};
use crate::error::Code;

/// Pings whose time is taken, after a first one that also connects.
const PINGS: usize = 5;
/// 2025-01-01 and 2100-01-01. A clock outside of these was never set.
const SANE: std::ops::Range<u64> = 1_735_689_600..4_102_444_800;

const AFTER_HELP: &str = "\
Each finding is `ok`, `note` (it works, but you may want to know) or `wrong`, with what to do about it. In a pipe each \
line has tab-separated columns: level, topic, name, what was found, what to do (\"-\" where nothing is). A local: \
registry that is not there yet is made, as by any command.

Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage or configuration, 69 the registry can't be reached.

Examples:
  callsheet doctor
  callsheet doctor --registry etcd://10.0.0.5:2379
  callsheet doctor --json | jq -r '.findings[] | select(.level != \"ok\") | .remedy'";

/// Look at the registry: which one, reachable, how fast, allowed to read and write, and what is wrong
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Doctor {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    registry: String,
    verdict: String,
    exit: i32,
    findings: Vec<Finding>,
}

impl Doctor {
    /// `named`: the registry was an argument.
    pub(super) async fn execute(self, client: &Client, named: bool, output: &Output) -> Result<i32, Failure> {
        let version = concat!("callsheet ", env!("CARGO_PKG_VERSION"));
        let mut findings = vec![registry(client, named), Finding::ok("registry", "version", version)];
        let (answer, reached) = reach(client).await;
        findings.push(answer);
        match client.diagnose().await {
            Ok(more) => findings.extend(more),
            Err(error) => {
                let found = Finding::ok("registry", "diagnosis", error.to_string());
                findings.push(found.wrong("see whether it hangs: a disk, a lock or the network"));
            }
        }
        if reached == exit::OK {
            findings.push(services(client).await);
        }
        findings.push(wall_clock(SystemTime::now()));
        let report = Report::new(client, reached, findings);
        report.tell(self.json, output)?;
        Ok(report.exit)
    }
}

fn registry(client: &Client, named: bool) -> Finding {
    let why = match std::env::var_os("CALLSHEET_URL").filter(|url| !url.is_empty()) {
        _ if named => "named by --registry",
        Some(_) => "named by $CALLSHEET_URL",
        None => "the default, as neither --registry nor $CALLSHEET_URL names one",
    };
    Finding::ok("registry", "url", format!("{} ({why})", client.source()))
}

/// Whether it answers and how fast; the exit code that this alone means.
async fn reach(client: &Client) -> (Finding, i32) {
    let mut times = Vec::with_capacity(PINGS);
    let mut first = None;
    for _ in 0..=PINGS {
        let began = Instant::now();
        if let Err(error) = client.ping().await {
            let after = match times.len() {
                0 => String::new(),
                count => format!(", after {count} answers"),
            };
            let found = Finding::ok("registry", "answers", format!("{error}{after}"));
            return match error.code() {
                Code::Unavailable | Code::Timeout => {
                    let remedy =
                        "mend what it says, or name another registry with --registry or $CALLSHEET_URL";
                    (found.wrong(remedy), exit::UNAVAILABLE)
                }
                _ => (found.wrong("see what it says: nothing can be looked up or registered"), exit::FAILED),
            };
        }
        match first {
            None => first = Some(began.elapsed()),
            Some(_) => times.push(began.elapsed()),
        }
    }
    times.sort_unstable();
    let (first, median, most) = (
        milliseconds(first.unwrap_or_default()),
        milliseconds(times[PINGS / 2]),
        milliseconds(times[PINGS - 1]),
    );
    let value = format!("in {median} (median of {PINGS}, at most {most}; the first in {first})");
    (Finding::ok("registry", "answers", value), exit::OK)
}

/// Reads everything that can be looked up, which is also where values that are no instances show.
async fn services(client: &Client) -> Finding {
    let counts = match list::counts(client).await {
        Ok(counts) => counts,
        Err(error) => {
            let found = Finding::ok("services", "reading", error.to_string());
            return found.wrong("nothing can be looked up until that is mended");
        }
    };
    let (instances, healthy) = counts.iter().fold((0, 0), |(instances, healthy), count: &row::Count| {
        (instances + count.instances, healthy + count.healthy)
    });
    let value = format!("{} services, {instances} instances, {healthy} of them healthy", counts.len());
    match client.stats().map(|stats| stats.undecodable) {
        Ok(undecodable @ 1..) => {
            Finding::ok("services", "reading", format!("{value}; {undecodable} values are no instances"))
                .wrong(
                    "find who writes them below a service's name: they are skipped, and the log names them",
                )
        }
        _ => Finding::ok("services", "reading", value),
    }
}

fn wall_clock(now: SystemTime) -> Finding {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let found = Finding::ok("machine", "clock", utc(seconds));
    if SANE.contains(&seconds) {
        return found;
    }
    found.wrong("set the clock: certificates and tokens are judged by it, though leases are not")
}

impl Report {
    fn new(client: &Client, reached: i32, mut findings: Vec<Finding>) -> Self {
        let mut topics: Vec<_> = findings.iter().map(|finding| finding.topic).collect();
        let mut seen = HashSet::new();
        topics.retain(|topic| seen.insert(*topic));
        findings.sort_by_key(|finding| topics.iter().position(|topic| *topic == finding.topic));
        let wrong = findings.iter().filter(|finding| finding.level == Level::Wrong).count();
        let exit = match reached {
            exit::OK if wrong > 0 => exit::FAILED,
            reached => reached,
        };
        let verdict = match (exit, wrong) {
            (exit::OK, _) => "all is well".to_owned(),
            (exit::UNAVAILABLE, _) => "the registry can't be reached".to_owned(),
            (_, 1) => "one thing is wrong".to_owned(),
            (_, wrong) => format!("{wrong} things are wrong"),
        };
        Report { registry: client.source().to_owned(), verdict, exit, findings }
    }

    fn tell(&self, json: bool, output: &Output) -> Result<(), Failure> {
        if json {
            return output.json(self);
        }
        if output.is_terminal() {
            return self.show(output);
        }
        for finding in &self.findings {
            let remedy = finding.remedy.as_deref().unwrap_or_default();
            let (value, remedy) = (printable(&finding.value), printable(remedy));
            output.line(&row::tabbed([
                word(finding.level),
                finding.topic,
                &finding.name,
                &value,
                &remedy,
            ]))?;
        }
        output.line(&row::tabbed([
            if self.exit == exit::OK { "ok" } else { "wrong" },
            "verdict",
            "",
            &self.verdict,
            "",
        ]))
    }

    fn show(&self, output: &Output) -> Result<(), Failure> {
        let wide = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
        let mut topic = "";
        for finding in &self.findings {
            if finding.topic != topic {
                topic = finding.topic;
                output.line(topic)?;
            }
            let mark = format!("{:<5}", word(finding.level));
            let mark = if output.has_colour() { coloured(finding.level, &mark) } else { mark };
            output.line(&format!("  {mark} {:<wide$} {}", finding.name, printable(&finding.value)))?;
            if let Some(remedy) = &finding.remedy {
                output.line(&format!("  {:<5} {:<wide$} -> {}", "", "", printable(remedy)))?;
            }
        }
        output.line(&format!("\n{}", self.verdict))
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Wrong => "wrong",
    }
}

fn coloured(level: Level, text: &str) -> String {
    match level {
        Level::Ok => text.green().to_string(),
        Level::Note => text.yellow().to_string(),
        Level::Wrong => text.red().bold().to_string(),
    }
}

/// Seconds of Unix time as a date and time, by the proleptic Gregorian calendar.
fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is their last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (SANE.start, "2025-01-01 00:00:00 UTC"),
            (SANE.end, "2100-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }

    #[test]
    fn a_clock_that_was_never_set_is_wrong() {
        assert_eq!(wall_clock(UNIX_EPOCH).level, Level::Wrong);
        assert_eq!(wall_clock(UNIX_EPOCH - Duration::from_secs(1)).level, Level::Wrong);
        assert_eq!(wall_clock(UNIX_EPOCH + Duration::from_secs(SANE.start)).level, Level::Ok);
    }
}
