//! The one error type of callsheet: a stable code, a message that says what to do, and its cause.
//! Every module returns it and every binding translates it by its code alone.

use std::fmt;
use std::sync::Arc;

/// What kind of failure an [`Error`] is. The spelling of [`Code::as_str`] is the same in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// An argument of this call is wrong; nothing was done.
    InvalidArgument,
    /// The URL, an option, the environment or a file given to `connect` is wrong.
    Config,
    /// No registration with this id.
    NotFound,
    /// The picker has nothing to pick.
    NoInstances,
    /// The registry can't be reached or does not answer.
    Unavailable,
    /// The time allowed for the call is over.
    Timeout,
    /// The registry does not accept the credentials.
    Unauthenticated,
    /// The registry accepts the credentials but not this operation.
    PermissionDenied,
    /// Something else already holds what was asked for.
    Conflict,
    /// The client, watch or registration is closed.
    Closed,
    /// The caller gave up on the call.
    Cancelled,
    /// The handle belongs to the parent of this forked process.
    Forked,
    /// The registry answered with something that it never should.
    Protocol,
    /// A defect in callsheet itself.
    Internal,
}

impl Code {
    /// Every code, in the order of their documentation.
    pub const ALL: [Code; 14] = [
        Code::InvalidArgument,
        Code::Config,
        Code::NotFound,
        Code::NoInstances,
        Code::Unavailable,
        Code::Timeout,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::Conflict,
        Code::Closed,
        Code::Cancelled,
        Code::Forked,
        Code::Protocol,
        Code::Internal,
    ];

    /// The code as every language spells it, such as `invalid_argument`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InvalidArgument => "invalid_argument",
            Code::Config => "config",
            Code::NotFound => "not_found",
            Code::NoInstances => "no_instances",
            Code::Unavailable => "unavailable",
            Code::Timeout => "timeout",
            Code::Unauthenticated => "unauthenticated",
            Code::PermissionDenied => "permission_denied",
            Code::Conflict => "conflict",
            Code::Closed => "closed",
            Code::Cancelled => "cancelled",
            Code::Forked => "forked",
            Code::Protocol => "protocol",
            Code::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without anything being changed by the caller.
    pub fn retryable(self) -> bool {
        matches!(self, Code::NoInstances | Code::Unavailable | Code::Timeout)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: its [`Code`], a message for a person, and the error that caused it.
///
/// Cheap to clone. Messages never contain secrets.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    code: Code,
    message: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a cause.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error(Arc::new(Inner { code, message: message.into(), cause: None }))
    }

    /// The same error with what caused it; [`std::error::Error::source`] gives it back.
    pub fn with_cause(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = self.0.message.clone();
        Error(Arc::new(Inner { code: self.0.code, message, cause: Some(cause.into()) }))
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What happened and what to do, without the causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later unchanged.
    pub fn retryable(&self) -> bool {
        self.0.code.retryable()
    }

    /// Whether the registry understood and said no, so that only new credentials or rights can help.
    pub(crate) fn refused(&self) -> bool {
        matches!(self.0.code, Code::Unauthenticated | Code::PermissionDenied)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Code::Config, message)
    }

    pub(crate) fn closed(what: &str) -> Self {
        Self::new(Code::Closed, format!("this {what} is closed; open a new one"))
    }

    pub(crate) fn forked() -> Self {
        Self::new(
            Code::Forked,
            "this handle was made before fork() and belongs to the parent process; connect anew in the child",
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // A cause that the message already quotes is not said twice; a callsheet cause prints its own chain.
            let text = match error.downcast_ref::<Error>() {
                Some(error) => error.message().to_owned(),
                None => error.to_string(),
            };
            if !self.0.message.contains(&text) {
                write!(f, ": {text}")?;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.code)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_follows_the_chain_without_saying_a_cause_twice() {
        let cause = Error::new(Code::PermissionDenied, "no right to read services/").with_cause("EACCES");
        let error = Error::new(Code::Unavailable, "can't load billing").with_cause(cause.clone());
        assert_eq!(error.to_string(), "can't load billing: no right to read services/: EACCES");
        let quoting =
            Error::new(Code::Unavailable, "can't load: no right to read services/").with_cause(cause);
        assert_eq!(quoting.to_string(), "can't load: no right to read services/: EACCES");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn codes_are_unique_words() {
        let words: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
