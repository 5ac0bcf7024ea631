//! Pick, call, report, and after a failure to connect the same with another instance.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::{Picker, hash};
use crate::error::Error;
use crate::instance::Instance;

/// Why [`Picker::call`] did not succeed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError<E> {
    /// There was nothing to call: `no_instances`, `closed` or `forked`.
    Pick(Error),
    /// The last call failed with this.
    Call(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Pick(error) => error.fmt(f),
            CallError::Call(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for CallError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            CallError::Pick(error) => error.source(),
            CallError::Call(error) => error.source(),
        }
    }
}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> Self {
        CallError::Pick(error)
    }
}

impl Picker {
    /// Picks an instance, calls `f` with it, reports how that went, and gives back what `f` gave. After a failure to
    /// connect ([`is_connect_failure`]) it tries another instance, up to `attempts` calls in all; any other failure
    /// may have had an effect and is given back. Waits up to the client's timeout for a first instance.
    ///
    /// # Errors
    /// [`CallError::Call`] with what `f` failed with last, or [`CallError::Pick`].
    pub async fn call<T, E, F>(
        &self,
        attempts: usize,
        f: impl FnMut(Arc<Instance>) -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        E: StdError + 'static,
    {
        self.call_if(attempts, |error: &E| is_connect_failure(error), f).await
    }

    /// [`Picker::call`] for a key, as [`Picker::pick_key`] picks: the second attempt goes to the next instance of the
    /// same key.
    ///
    /// # Errors
    /// As for [`Picker::call`].
    pub async fn call_key<T, E, F>(
        &self,
        key: impl AsRef<[u8]>,
        attempts: usize,
        f: impl FnMut(Arc<Instance>) -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        E: StdError + 'static,
    {
        let hash = hash(key.as_ref());
        self.call_hash(Some(hash), attempts, |error: &E| is_connect_failure(error), f).await
    }

    /// [`Picker::call`] with a judgement of one's own on which failures another instance may mend: for calls that can
    /// be repeated safely, more of them.
    ///
    /// # Errors
    /// As for [`Picker::call`].
    pub async fn call_if<T, E, F>(
        &self,
        attempts: usize,
        again: impl Fn(&E) -> bool,
        f: impl FnMut(Arc<Instance>) -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call_hash(None, attempts, again, f).await
    }

    async fn call_hash<T, E, F>(
        &self,
        hash: Option<u64>,
        attempts: usize,
        again: impl Fn(&E) -> bool,
        mut f: impl FnMut(Arc<Instance>) -> F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut pick = self.wait(self.timeout(), hash).await?;
        let mut tried = Vec::new();
        loop {
            tried.push(pick.id().to_owned());
            let result = f(pick.instance().clone()).await;
            pick.done(result.is_ok());
            let error = match result {
                Err(error) if tried.len() < attempts && again(&error) => error,
                result => return result.map_err(CallError::Call),
            };
            // If all instances have gone meanwhile, what the call failed with says more than that.
            pick = self.0.get()?.shared.pick_other(&tried, hash).map_err(|_| CallError::Call(error))?;
        }
    }
}

/// Whether an error, or one of its causes, says that no connection was made, so that the call had no effect.
pub fn is_connect_failure(error: &(dyn StdError + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(current) = error {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            use io::ErrorKind::*;
            let unconnected = matches!(
                io.kind(),
                ConnectionRefused | HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable
            );
            if unconnected {
                return true;
            }
        }
        error = current.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unmade_connection_is_safe_to_repeat() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(is_connect_failure(&refused));
        assert!(is_connect_failure(&crate::Error::new(crate::Code::Unavailable, "x").with_cause(refused)));
        assert!(!is_connect_failure(&io::Error::from(io::ErrorKind::ConnectionReset)));
    }
}
