//! As whom the agent is asked. A token in a file is read again when it may have changed, so that it can be rotated.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Secret, Token};
use crate::error::{Code, Error, Result};

/// How old what was read of a file may be.
const AGE: Duration = Duration::from_secs(1);

pub(super) struct Tokens {
    token: Token,
    read: Mutex<Option<(Instant, Secret)>>,
}

impl Tokens {
    pub(super) fn new(token: Token) -> Self {
        Tokens { token, read: Mutex::default() }
    }

    pub(super) fn given(&self) -> bool {
        self.token != Token::None
    }

    /// Where a better one would come from.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.token {
            Token::File(path) => Some(path),
            _ => None,
        }
    }

    /// The token to ask with; `fresh`: the last one was refused.
    pub(super) async fn current(&self, fresh: bool) -> Result<Option<Secret>> {
        let path = match &self.token {
            Token::None => return Ok(None),
            Token::Given(secret) => return Ok(Some(secret.clone())),
            Token::File(path) => path.clone(),
        };
        if let Some((at, secret)) = &*self.lock()
            && !fresh
            && at.elapsed() < AGE
        {
            return Ok(Some(secret.clone()));
        }
        let secret = tokio::task::spawn_blocking(move || read(path)).await;
        let secret =
            secret.map_err(|error| Error::new(Code::Internal, "reading token_file").with_cause(error))??;
        *self.lock() = Some((Instant::now(), secret.clone()));
        Ok(Some(secret))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Secret)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token in a file, without what an editor leaves at its end.
pub(super) fn read(path: PathBuf) -> Result<Secret> {
    let unusable = |why: &dyn std::fmt::Display| {
        let what = format!("token_file {} can't be used: {why}", path.display());
        Error::new(Code::Unauthenticated, what)
    };
    let text = std::fs::read_to_string(&path).map_err(|error| unusable(&error))?;
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(&"there is no token in it"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_when_asked_and_with_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        let tokens = Tokens::new(Token::File(file.path().to_owned()));
        write("");
        assert_eq!(tokens.current(false).await.unwrap_err().code(), Code::Unauthenticated);
        write("one\n");
        assert_eq!(tokens.current(false).await.unwrap(), Some(Secret::new("one")));
        write(" two ");
        assert_eq!(tokens.current(false).await.unwrap(), Some(Secret::new("one")));
        assert_eq!(tokens.current(true).await.unwrap(), Some(Secret::new("two")));
        assert_eq!(tokens.current(false).await.unwrap(), Some(Secret::new("two")));
    }
}
