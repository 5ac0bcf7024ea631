//! What etcd's errors mean: whether another endpoint or a fresh token may help, and what a person can do. The texts are
//! those of etcd's rpctypes (https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go).

use std::error::Error as StdError;

use tonic::Code as Grpc;

use super::dial;
use crate::config::Endpoint;
use crate::error::{Code, Error};

/// Whom a request was for.
pub(super) struct Asked<'a> {
    /// The URL, without secrets.
    pub(super) source: &'a str,
    pub(super) endpoint: &'a Endpoint,
    /// What was asked, such as `read /services/billing/`.
    pub(super) what: &'a str,
    pub(super) user: Option<&'a str>,
}

/// What may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same request on another connection.
    Elsewhere,
    /// The same request with a fresh token.
    Token,
    /// Nothing but what the message says.
    None,
}

/// Texts with which etcd asks for a fresh token, whatever the code.
const STALE: [&str; 3] = ["invalid auth token", "auth store is old", "user name is empty"];

/// Whether a reason that etcd gives in words means that the token is too old.
pub(super) fn is_stale(text: &str) -> bool {
    STALE.iter().any(|stale| text.contains(stale))
}

/// Whether etcd said that it has no users at all.
pub(super) fn without_auth(error: &etcd_client::Error) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(status) if status.message().contains("authentication is not enabled"))
}

/// Whether the lease of a request is not there, or is there already.
pub(super) fn about_lease(error: &etcd_client::Error, text: &str) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(status) if status.message().contains(text))
}

pub(super) fn judge(asked: &Asked<'_>, error: etcd_client::Error) -> (Remedy, Error) {
    match error {
        etcd_client::Error::GRpcStatus(status) => of_status(asked, status),
        error => (Remedy::Elsewhere, asked.error(Code::Unavailable, "the request failed").with_cause(error)),
    }
}

fn of_status(asked: &Asked<'_>, status: tonic::Status) -> (Remedy, Error) {
    // Only what did not come from the server has a cause.
    if status.source().is_some() {
        let broken = dial::refused(asked.endpoint, status);
        return (Remedy::Elsewhere, asked.error(broken.code(), "the connection broke").with_cause(broken));
    }
    let text = status.message().trim_start_matches("etcdserver: ").to_owned();
    let said = |code, why: &str| asked.error(code, &format!("{why} (etcd said: {text})"));
    if status.code() == Grpc::Unauthenticated || is_stale(&text) {
        let why = match asked.user {
            None => "etcd has authentication on and no user was given: give username and password",
            Some(_) => "etcd does not accept the token that it gave before",
        };
        return (Remedy::Token, said(Code::Unauthenticated, why));
    }
    match status.code() {
        Grpc::PermissionDenied => (Remedy::None, said(Code::PermissionDenied, &asked.forbidden())),
        Grpc::InvalidArgument if text.contains("authentication failed") => {
            let user = asked.user.unwrap_or_default();
            (Remedy::None, said(Code::Unauthenticated, &format!("wrong password or no user {user:?}")))
        }
        Grpc::InvalidArgument if text.contains("too large") => (
            Remedy::None,
            said(Code::InvalidArgument, "etcd takes no request of this size (--max-request-bytes)"),
        ),
        Grpc::ResourceExhausted if text.contains("larger than max") => (
            Remedy::None,
            said(Code::InvalidArgument, "etcd takes no request of this size (--max-request-bytes)"),
        ),
        Grpc::ResourceExhausted if text.contains("space exceeded") => {
            let why = "etcd's database is full and takes no writes (alarm NOSPACE): compact and defragment it or raise \
                       --quota-backend-bytes, then `etcdctl alarm disarm`";
            (Remedy::None, said(Code::Unavailable, why))
        }
        Grpc::NotFound | Grpc::OutOfRange | Grpc::ResourceExhausted | Grpc::FailedPrecondition => {
            (Remedy::None, said(Code::Unavailable, "etcd refused it"))
        }
        Grpc::Unimplemented => {
            let why =
                "it does not speak etcd's v3 API: check that this is a client port of etcd 3.4 or newer";
            (Remedy::None, said(Code::Protocol, why))
        }
        Grpc::InvalidArgument => (Remedy::None, said(Code::Protocol, "etcd did not understand it")),
        _ if text.contains("no leader") => {
            (Remedy::Elsewhere, said(Code::Unavailable, "its cluster has no leader"))
        }
        _ => (Remedy::Elsewhere, said(Code::Unavailable, "it can't answer now")),
    }
}

impl Asked<'_> {
    pub(super) fn error(&self, code: Code, why: &str) -> Error {
        let Asked { source, endpoint, what, .. } = self;
        // One endpoint is what the URL names already.
        let at = if source.contains(&endpoint.to_string()) && !source.contains(',') {
            String::new()
        } else {
            format!(" at {endpoint}")
        };
        Error::new(code, format!("can't {what} in {source}{at}: {why}"))
    }

    fn forbidden(&self) -> String {
        match self.user {
            Some(user) => {
                format!("user {user:?} may not: grant it a role with that permission on that prefix")
            }
            None => "without a user nobody may: give username and password".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: Grpc, text: &str) -> (Remedy, Code, String) {
        let endpoint = Endpoint { host: "h".into(), port: 1 };
        let asked =
            Asked { source: "etcd://h:1", endpoint: &endpoint, what: "read /services/a/", user: Some("app") };
        let error = etcd_client::Error::GRpcStatus(tonic::Status::new(code, text));
        let (remedy, error) = judge(&asked, error);
        (remedy, error.code(), error.to_string())
    }

    #[test]
    fn four_texts_ask_for_a_fresh_token_whatever_their_code() {
        for (code, text) in [
            (Grpc::Unauthenticated, "anything"),
            (Grpc::Unauthenticated, "etcdserver: invalid auth token"),
            (Grpc::Unknown, "etcdserver: invalid auth token"),
            (Grpc::InvalidArgument, "etcdserver: revision of auth store is old"),
            (Grpc::FailedPrecondition, "etcdserver: revision of auth store is old"),
            (Grpc::InvalidArgument, "etcdserver: user name is empty"),
        ] {
            let (remedy, code, _) = judged(code, text);
            assert_eq!((remedy, code), (Remedy::Token, Code::Unauthenticated), "{text}");
        }
    }

    #[test]
    fn what_only_a_person_can_mend_is_said_and_not_tried_elsewhere() {
        for (code, text, expected, word) in [
            (
                Grpc::PermissionDenied,
                "etcdserver: permission denied",
                Code::PermissionDenied,
                "read /services/a/",
            ),
            (
                Grpc::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Code::Unauthenticated,
                "\"app\"",
            ),
            (
                Grpc::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Code::Unavailable,
                "alarm disarm",
            ),
            (
                Grpc::InvalidArgument,
                "etcdserver: request is too large",
                Code::InvalidArgument,
                "--max-request-bytes",
            ),
        ] {
            let (remedy, code, message) = judged(code, text);
            assert_eq!((remedy, code), (Remedy::None, expected), "{text}");
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_server_that_can_not_answer_is_left() {
        for (code, text) in [
            (Grpc::Unavailable, "etcdserver: no leader"),
            (Grpc::Unavailable, "etcdserver: request timed out"),
            (Grpc::DeadlineExceeded, "context deadline exceeded"),
            (Grpc::Unknown, "raft: stopped"),
        ] {
            assert_eq!(judged(code, text).0, Remedy::Elsewhere, "{text}");
        }
    }
}
