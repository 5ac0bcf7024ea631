//! Everything that yields values over time: snapshots, names, states, lines of log. JavaScript polls one when it was told
//! that there may be news; nothing of it is queued in between.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use callsheet::host::{LogLine, Outbox, poll_next_line};
use callsheet::{NamesWatch, State, States, Watch};
use napi::bindgen_prelude::{External, Null, ToNapiValue, Undefined};
use napi::sys;
use napi_derive::napi;

use crate::answer::Answer;
use crate::error::guarded;
use crate::host::{Handle, Host};
use crate::snapshot;

/// What a feed reads.
pub(crate) enum Source {
    Watch(Watch),
    Names(NamesWatch),
    States(States),
    Log,
}

/// A source, and who is told when it has something.
pub(crate) struct Feed {
    /// None once closed: JavaScript may hold on to a feed for long after.
    source: RefCell<Option<Source>>,
    skipped: Cell<u64>,
    alarm: Arc<Alarm>,
}

/// Tells JavaScript once, until it has looked.
struct Alarm {
    id: u32,
    rung: AtomicBool,
    outbox: Arc<Outbox<Answer>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.outbox.push(Answer::Ready(self.id));
        }
    }
}

impl Feed {
    /// A feed that JavaScript knows by the number `id`.
    pub(crate) fn external(host: &Rc<Host>, id: u32, source: Source) -> External<Feed> {
        let alarm = Arc::new(Alarm { id, rung: AtomicBool::new(false), outbox: host.outbox.clone() });
        External::new(Feed { source: RefCell::new(Some(source)), skipped: Cell::new(0), alarm })
    }

    fn poll(&self) -> Poll<Option<News>> {
        self.alarm.rung.store(false, Ordering::Release);
        let waker = Waker::from(self.alarm.clone());
        let context = &mut Context::from_waker(&waker);
        let source = self.source.borrow();
        let Some(source) = &*source else { return Poll::Ready(None) };
        match source {
            Source::Watch(watch) => watch.poll_next_snapshot(context).map(|next| next.map(News::Snapshot)),
            Source::Names(names) => {
                names.poll_next_names(context).map(|next| next.map(|names| News::Names(names.to_vec())))
            }
            Source::States(states) => {
                states.poll_next_state(context).map(|next| next.map(|change| News::State(change.state)))
            }
            Source::Log => poll_next_line(context).map(|next| next.map(News::Line)),
        }
    }
}

/// What a feed gave.
enum News {
    Snapshot(callsheet::Snapshot),
    Names(Vec<String>),
    State(State),
    Line(LogLine),
}

/// What a feed gave, undefined where there is nothing yet, null at its end.
pub struct Next(Poll<Option<News>>);

impl ToNapiValue for Next {
    unsafe fn to_napi_value(env: sys::napi_env, next: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: `env` is the caller's, on whose thread this runs.
        unsafe {
            match next.0 {
                Poll::Pending => Undefined::to_napi_value(env, ()),
                Poll::Ready(None) => Null::to_napi_value(env, Null),
                Poll::Ready(Some(News::Snapshot(core))) => {
                    External::to_napi_value(env, snapshot::external(core))
                }
                Poll::Ready(Some(News::Names(names))) => Vec::to_napi_value(env, names),
                Poll::Ready(Some(News::State(state))) => <&str>::to_napi_value(env, state.as_str()),
                Poll::Ready(Some(News::Line(line))) => {
                    Vec::to_napi_value(env, vec![line.level.to_owned(), line.message])
                }
            }
        }
    }
}

/// The next value. After undefined JavaScript is told once when to look again.
#[napi(ts_return_type = "unknown")]
pub fn feed_next(feed: &External<Feed>) -> napi::Result<Next> {
    guarded(|| Ok(Next(feed.poll())))
}

/// Values that came and went without being read.
#[napi]
pub fn feed_skipped(feed: &External<Feed>) -> f64 {
    if let Some(Source::Watch(watch)) = &*feed.source.borrow() {
        feed.skipped.set(watch.skipped());
    }
    feed.skipped.get() as f64
}

/// Ends the feed, and with it the subscription.
#[napi]
pub fn feed_close(feed: &External<Feed>) -> napi::Result<()> {
    feed_skipped(feed);
    guarded(|| {
        let source = feed.source.take();
        drop(source);
        Ok(())
    })
}

/// The lines of log of this process.
#[napi]
pub fn log_feed(host: &Handle, id: u32) -> External<Feed> {
    Feed::external(host, id, Source::Log)
}
