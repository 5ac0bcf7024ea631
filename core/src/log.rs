//! What the core has to say, for hosts without a `tracing` subscriber: a bounded, rate-limited queue that a binding
//! drains into its language's own logging. Rust programs use `tracing` and never come here.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::fork::PerProcess;
use crate::slot::Slot;

/// Lines kept for a host that does not drain them.
const QUEUE: usize = 1024;
/// Lines per second; what is above is counted and dropped.
const RATE: u64 = 100;

/// One line of log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogLine {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// The message with its fields.
    pub message: String,
}

struct Queue {
    slot: Slot<LogLine>,
    began: Instant,
    /// The second since `began` in the upper half, the lines of that second in the lower.
    budget: AtomicU64,
}

static LINES: PerProcess<Queue> =
    PerProcess::new(|| Queue { slot: Slot::new(QUEUE), began: Instant::now(), budget: AtomicU64::new(0) });
static LEVEL: AtomicU8 = AtomicU8::new(2);

/// Sends the core's log to [`next_line`] from now on, unless the program already has a `tracing` subscriber. `level`
/// is `error`, `warn`, `info`, `debug` or `trace`; other words mean `warn`.
pub fn capture(level: &str) {
    let level = match level {
        "error" => 1,
        "info" => 3,
        "debug" => 4,
        "trace" => 5,
        _ => 2,
    };
    LEVEL.store(level, Ordering::Relaxed);
    // Fails where a subscriber is set already: then the lines go there, or came here before.
    let _ = tracing::subscriber::set_global_default(Capture);
    tracing::callsite::rebuild_interest_cache();
}

/// The next line; `None` never comes. One reader per process is meant.
pub async fn next_line() -> Option<LogLine> {
    poll_fn(poll_next_line).await
}

/// [`next_line`] as a poll, for event loops.
pub fn poll_next_line(context: &mut Context<'_>) -> Poll<Option<LogLine>> {
    LINES.slot.poll_take(context)
}

/// Lines dropped because they came too fast or nobody took them.
pub fn dropped_lines() -> u64 {
    LINES.slot.skipped() + OVER_RATE.load(Ordering::Relaxed)
}

static OVER_RATE: AtomicU64 = AtomicU64::new(0);

impl Queue {
    fn push(&self, line: LogLine) {
        let second = self.began.elapsed().as_secs();
        let old = self.budget.fetch_add(1, Ordering::Relaxed);
        if old >> 32 != second {
            self.budget.store(second << 32 | 1, Ordering::Relaxed);
        } else if old & 0xffff_ffff >= RATE {
            OVER_RATE.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.slot.offer(line);
    }
}

struct Capture;

fn rank(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("callsheet") && rank(metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let level = match rank(event.metadata().level()) {
            1 => "error",
            2 => "warn",
            3 => "info",
            4 => "debug",
            _ => "trace",
        };
        let mut text = Text::default();
        event.record(&mut text);
        LINES.push(LogLine { level, message: text.message + &text.fields });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_by_rate_and_by_queue() {
        let queue = Queue { slot: Slot::new(QUEUE), began: Instant::now(), budget: AtomicU64::new(0) };
        let before = OVER_RATE.load(Ordering::Relaxed);
        for _ in 0..10 * RATE {
            queue.push(LogLine { level: "warn", message: String::new() });
        }
        // The flood may straddle one change of second.
        assert!(OVER_RATE.load(Ordering::Relaxed) - before >= 8 * RATE);
    }
}
