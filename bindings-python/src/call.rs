//! A verb of the core that was asked for, until its answer: a thread blocks for it, an event loop polls it. Its work is
//! done on the core's threads; here its answer becomes an object.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use callsheet::host::Owned;
use callsheet::{Code, Error};
use pyo3::prelude::*;

use crate::error::{Result, guarded};
use crate::wait::block;
use crate::wakes::{News, Wakes};

/// What makes an object of an answer, on a thread that holds the GIL.
type Convert = Box<dyn FnOnce(Python<'_>) -> Result<Py<PyAny>> + Send>;
type Work = Pin<Box<dyn Future<Output = callsheet::Result<Convert>> + Send>>;

/// A call of the core's: to be blocked for once, or polled until it has answered. Dropping it gives up on it.
#[pyclass(frozen, module = "callsheet._callsheet")]
pub(crate) struct Call(Owned<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Until it has answered.
    work: Option<Work>,
    /// How the loop that polls it is woken.
    news: Option<Arc<News>>,
}

impl Call {
    /// `work`, and what to make of its answer.
    pub(crate) fn new<T, C>(
        work: impl Future<Output = callsheet::Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Bound<'_, C>> + Send + 'static,
    ) -> Self
    where
        T: Send + 'static,
    {
        Call::settled(work, |py, answer| Ok(convert(py, answer?)?.into_any().unbind()))
    }

    /// `work` that answers with nothing.
    pub(crate) fn unit(work: impl Future<Output = callsheet::Result<()>> + Send + 'static) -> Self {
        Call::settled(work, |py, answer| Ok(answer.map(|()| py.None())?))
    }

    /// `work`, and what to do when it has ended, well or not.
    pub(crate) fn settled<T: Send + 'static>(
        work: impl Future<Output = callsheet::Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, callsheet::Result<T>) -> Result<Py<PyAny>> + Send + 'static,
    ) -> Self {
        let work: Work = Box::pin(async move {
            let answer = work.await;
            let convert: Convert = Box::new(move |py| convert(py, answer));
            Ok(convert)
        });
        Call(Owned::new(Mutex::new(State { work: Some(work), news: None })))
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        Ok(self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn answered() -> Error {
    Error::new(Code::Internal, "this call was answered already")
}

#[pymethods]
impl Call {
    /// Wait for the answer on this thread.
    fn block(&self, py: Python<'_>) -> Result<Py<PyAny>> {
        let work = self.lock()?.work.take().ok_or_else(answered)?;
        block(py, work)?(py)
    }

    /// The answer in a tuple, or None while there is none; then `number` will be among what `wakes` gives out.
    fn poll(&self, py: Python<'_>, wakes: &Wakes) -> Result<Option<(Py<PyAny>,)>> {
        let convert = guarded(|| {
            let mut state = self.lock()?;
            let State { work, news } = &mut *state;
            let waker = news.get_or_insert_with(|| wakes.news()).waker();
            let polled = work.as_mut().ok_or_else(answered)?.as_mut().poll(&mut Context::from_waker(&waker));
            let Poll::Ready(convert) = polled else { return Ok(None) };
            *work = None;
            Ok(Some(convert?))
        })?;
        convert.map(|convert| Ok((convert(py)?,))).transpose()
    }

    /// Its number among the wakes of the loop that polled it.
    #[getter]
    fn number(&self) -> Result<u64> {
        Ok(self.lock()?.news.as_ref().map_or(0, |news| news.number))
    }

    /// Give up on it.
    fn cancel(&self) -> Result<()> {
        let state = std::mem::take(&mut *self.lock()?);
        drop(state);
        Ok(())
    }
}
