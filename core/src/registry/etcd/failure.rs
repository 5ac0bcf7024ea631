//! What etcd's errors mean: whether another endpoint or a fresh token may help, and what a person can do. The texts are
//! those of etcd's rpctypes (https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go).

use std::error::Error as StdError;

use tonic::Code as Grpc;

use super::wire::Wire;
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
    /// What all keys begin with.
    pub(super) prefix: &'a str,
    /// The connection that it was asked on.
    pub(super) wire: &'a Wire,
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
const STALE: [&str; 2] = ["invalid auth token", "user name is empty"];
/// The same when users, roles or rights were changed, anybody's, while it looked at the request. Next time it may accept it.
const OVERTAKEN: [&str; 2] = ["auth store is old", "revision in header is old"];

/// Whether a reason that etcd gives in words means that the token is too old.
pub(super) fn is_stale(text: &str) -> bool {
    STALE.iter().chain(&OVERTAKEN).any(|stale| text.contains(stale))
}

/// Whether etcd said this.
pub(super) fn says(error: &etcd_client::Error, text: &str) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(status) if status.message().contains(text))
}

/// What went wrong, for a person who knows what was asked: it is the caller's to say.
pub(super) fn judge(asked: &Asked<'_>, error: etcd_client::Error) -> (Remedy, Error) {
    match error {
        etcd_client::Error::GRpcStatus(status) => of_status(asked, status),
        error => (Remedy::Elsewhere, Error::new(Code::Unavailable, "the request failed").with_cause(error)),
    }
}

fn of_status(asked: &Asked<'_>, status: tonic::Status) -> (Remedy, Error) {
    // Only what did not come from the server has a cause.
    if status.source().is_some() {
        return (Remedy::Elsewhere, asked.wire.why().unwrap_or_else(|| broken(&status)));
    }
    let text = status.message().trim_start_matches("etcdserver: ").to_owned();
    let said = |code, why: &str| Error::new(code, format!("{why} (etcd said: {text})"));
    if let Some((_, http)) = text.split_once("mapped from HTTP status code ") {
        return (Remedy::Elsewhere, no_grpc(http));
    }
    if OVERTAKEN.iter().any(|old| text.contains(old)) {
        let why = "its users, roles or rights were changed meanwhile, several times in a row";
        return (Remedy::Token, said(Code::Unavailable, why));
    }
    if status.code() == Grpc::Unauthenticated || is_stale(&text) {
        let why = match asked.user {
            None => "etcd has authentication on, and no user was given: give username and password",
            Some(_) => {
                "etcd does not accept the token that it gave: the members may have different --auth-token settings, or \
                 clocks that differ"
            }
        };
        return (Remedy::Token, said(Code::Unauthenticated, why));
    }
    match status.code() {
        Grpc::PermissionDenied => (Remedy::None, said(Code::PermissionDenied, &asked.forbidden())),
        Grpc::InvalidArgument if text.contains("authentication failed") => {
            let user = asked.user.unwrap_or_default();
            let why =
                format!("the password is wrong or there is no user {user:?}: check username and password");
            (Remedy::None, said(Code::Unauthenticated, &why))
        }
        Grpc::InvalidArgument | Grpc::ResourceExhausted
            if text.contains("too large") || text.contains("larger than") =>
        {
            let why = "etcd takes no request of this size: make the metadata smaller, or raise etcd's --max-request-bytes";
            (Remedy::None, said(Code::InvalidArgument, why))
        }
        Grpc::ResourceExhausted if text.contains("space exceeded") => {
            let why = "etcd's database is full and takes nothing new (alarm NOSPACE): compact and defragment it or raise \
                       --quota-backend-bytes, then end the alarm with `etcdctl alarm disarm`";
            (Remedy::None, said(Code::Unavailable, why))
        }
        // Said on this side.
        Grpc::OutOfRange if text.contains("message length too large") => {
            let why = format!("an answer is larger than anything that callsheet stores: {text}");
            (Remedy::None, Error::new(Code::Protocol, why))
        }
        Grpc::NotFound | Grpc::OutOfRange | Grpc::ResourceExhausted | Grpc::FailedPrecondition => {
            (Remedy::None, said(Code::Unavailable, "etcd refused it"))
        }
        Grpc::DataLoss => {
            let why = "the data of its members differ (alarm CORRUPT): see etcd's guide to data corruption";
            (Remedy::Elsewhere, said(Code::Unavailable, why))
        }
        Grpc::Unimplemented => {
            let why =
                "it does not speak etcd's v3 API: check that this is a client port of etcd 3.4 or newer";
            (Remedy::None, said(Code::Protocol, why))
        }
        Grpc::InvalidArgument => (Remedy::None, said(Code::Protocol, "etcd did not understand it")),
        _ if text.contains("no leader") => {
            let why = "its cluster has no leader: start its members until more than half of them run and reach one another";
            (Remedy::Elsewhere, said(Code::Unavailable, why))
        }
        _ if text.contains("learner") => {
            let why = "it is a learner, which serves nobody yet: promote it with `etcdctl member promote`, or take it out of \
                       the URL";
            (Remedy::Elsewhere, said(Code::Unavailable, why))
        }
        _ => (Remedy::Elsewhere, said(Code::Unavailable, "it can't answer now")),
    }
}

/// A request that the connection failed, for a reason that only HTTP/2 knows: the innermost says it.
fn broken(status: &tonic::Status) -> Error {
    let mut cause: &dyn StdError = status;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Error::new(Code::Unavailable, "the connection broke").with_cause(cause.to_string())
}

/// An answer that is HTTP/2 and not gRPC: of a proxy, or of another server.
fn no_grpc(http: &str) -> Error {
    let unavailable = matches!(http, "429" | "502" | "503" | "504");
    let (code, why) = match unavailable {
        true => (Code::Unavailable, "a proxy answers in its place: look whether etcd runs behind it"),
        false => (Code::Protocol, "what listens there is no etcd: check host and port"),
    };
    Error::new(code, format!("{why} (it answered with HTTP status {http})"))
}

impl Asked<'_> {
    /// A failure of what was asked.
    pub(super) fn error(&self, why: Error) -> Error {
        let Asked { source, endpoint, what, .. } = self;
        // One endpoint is what the URL names already.
        match source.contains(',') {
            true => failed(what, &format!("{source} at {endpoint}"), why),
            false => failed(what, source, why),
        }
    }

    fn forbidden(&self) -> String {
        let right = match self.what.split(' ').next() {
            Some("read" | "watch") => "read",
            _ => "readwrite",
        };
        let who = match self.user {
            Some(user) => format!("user {user:?}"),
            None => "no username was given, and whom the client certificate names".to_owned(),
        };
        let prefix = self.prefix;
        format!(
            "{who} has no permission: give it to a role of that user, as with `etcdctl role grant-permission --prefix ROLE \
             {right} {prefix}`"
        )
    }
}

/// That something can't be done with a registry, and why.
pub(super) fn failed(what: &str, registry: &str, why: Error) -> Error {
    let to = if [LOG_IN, CONNECT].contains(&what) { "to" } else { "in" };
    let error = Error::new(why.code(), format!("can't {what} {to} {registry}: {}", why.message()));
    match why.source() {
        // It has nothing to add to what was just said.
        None => error,
        Some(_) => error.with_cause(why),
    }
}

pub(super) const LOG_IN: &str = "log in";
pub(super) const CONNECT: &str = "connect";

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(code: Grpc, text: &str) -> (Remedy, Code, String) {
        let endpoint = Endpoint { host: "h".into(), port: 1 };
        let wire = Wire::new("h", None, Vec::new());
        let asked = Asked {
            source: "etcd://h:1",
            endpoint: &endpoint,
            what: "read /services/a/",
            user: Some("app"),
            prefix: "/services/",
            wire: &wire,
        };
        let error = etcd_client::Error::GRpcStatus(tonic::Status::new(code, text));
        let (remedy, why) = judge(&asked, error);
        (remedy, why.code(), asked.error(why).to_string())
    }

    #[test]
    fn some_texts_ask_for_a_fresh_token_whatever_their_code() {
        let (unknown, changed) = (Code::Unauthenticated, Code::Unavailable);
        for (code, text, expected) in [
            (Grpc::Unauthenticated, "anything", unknown),
            (Grpc::Unauthenticated, "etcdserver: invalid auth token", unknown),
            (Grpc::Unknown, "etcdserver: invalid auth token", unknown),
            (Grpc::InvalidArgument, "etcdserver: user name is empty", unknown),
            // Not refused, which would be tried again in half a minute only.
            (Grpc::InvalidArgument, "etcdserver: revision of auth store is old", changed),
            (Grpc::FailedPrecondition, "etcdserver: revision of auth store is old", changed),
            // So etcd 3.4 says it when it finds out as it applies a request.
            (Grpc::Unknown, "auth: revision in header is old", changed),
        ] {
            let (remedy, code, _) = judged(code, text);
            assert_eq!((remedy, code), (Remedy::Token, expected), "{text}");
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
            (Grpc::Unavailable, "etcdserver: rpc not supported for learner"),
            (Grpc::DataLoss, "etcdserver: corrupt cluster"),
            (Grpc::Unavailable, "grpc-status header missing, mapped from HTTP status code 503"),
            (Grpc::Unimplemented, "grpc-status header missing, mapped from HTTP status code 404"),
            (Grpc::Unknown, "raft: stopped"),
        ] {
            assert_eq!(judged(code, text).0, Remedy::Elsewhere, "{text}");
        }
    }
}
