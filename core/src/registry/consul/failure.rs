//! What Consul's refusals mean and what a person can do about them. Consul says most things in plain words with a status
//! of 500; the texts are those of its versions 1.8 to 1.12.

use reqwest::StatusCode;

use crate::error::{Code, Error};
use crate::instance::bounded;

/// Why a registration that was there is not.
pub(super) const FORGOTTEN: &str =
    "the agent does not know it any more: somebody deregistered it, or the agent lost its disk";

/// Why nobody answers who has to ask the leader.
pub(super) const LEADERLESS: &str =
    "its servers have no leader: start them until more than half run and reach one another";

/// Why a refusal says nothing.
pub(super) const UNREAD: &str =
    "its servers know no token yet, as they start; if that stays so, look at acl.tokens.default of the agent";

/// Why a refusal is not known to say anything.
pub(super) const UNSURE: &str =
    "it was refused, and whether its servers know all tokens was not answered in time: the agent hangs";

/// Whom a request was for, and what it was.
pub(super) struct Asked<'a> {
    /// The URL, without secrets.
    pub(super) source: &'a str,
    /// What was asked, such as `read "billing"`.
    pub(super) what: &'a str,
    /// The rule that allows it, such as `service "billing" { policy = "read" }`.
    pub(super) rule: &'a str,
    /// Whether it was asked with a token.
    pub(super) token: bool,
    pub(super) datacenter: Option<&'a str>,
    pub(super) tls: bool,
}

impl Asked<'_> {
    /// The whole error, for a reason.
    pub(super) fn error(&self, why: Error) -> Error {
        let message = format!("can't {} in {}: {}", self.what, self.source, why.message());
        let error = Error::new(why.code(), message);
        match std::error::Error::source(&why) {
            Some(_) => error.with_cause(why),
            None => error,
        }
    }

    /// Why it was answered with something else than 200, for the caller to say of what.
    pub(super) fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        let text = said(body);
        let (code, why) = self.reason(status, &text);
        let quoted = if text.is_empty() { format!("status {status}") } else { text };
        let who = if code == Code::Protocol { "it" } else { "Consul" };
        Error::new(code, format!("{why} ({who} said: {quoted})"))
    }

    fn reason(&self, status: StatusCode, text: &str) -> (Code, String) {
        let has = |part: &str| text.contains(part);
        if has("HTTP request to an HTTPS server") {
            let scheme = "the agent speaks TLS on this port: write consuls:// instead of consul://";
            return (Code::Unavailable, scheme.into());
        }
        // These come with a status of 403 or of 500, by version and by who found out.
        if has("ACL not found") {
            let why = match self.token {
                true => {
                    "Consul does not know the token: it was deleted, has expired, or is of another cluster; give \
                         another one as token or token_file"
                }
                false => "Consul does not know the agent's own token: look at acl.tokens of the agent",
            };
            return (Code::Unauthenticated, why.into());
        }
        if has("Permission denied") || status == StatusCode::FORBIDDEN {
            return match self.token {
                true => (
                    Code::PermissionDenied,
                    format!("the token does not allow it: give it a policy with {}", self.rule),
                ),
                false => (
                    Code::Unauthenticated,
                    format!(
                        "no token was given, and it is not allowed without: give token or token_file, with a \
                             policy that has {}",
                        self.rule
                    ),
                ),
            };
        }
        if has("No path to datacenter") {
            let named = self.datacenter.unwrap_or_default();
            let why = format!(
                "Consul knows no way to the datacenter {named:?}: look for its name in `consul catalog datacenters`, and \
                 whether its servers are reachable"
            );
            return (Code::Unavailable, why);
        }
        if has("No cluster leader") {
            return (Code::Unavailable, LEADERLESS.into());
        }
        if has("No known Consul servers") || has("failed to get conn") || has("rpc error making call: EOF") {
            let why = "the agent runs but does not reach any server: look at `consul members`, and at the network between";
            return (Code::Unavailable, why.into());
        }
        if has("Unknown check") || has("Unknown service") || has("does not have associated TTL") {
            return (Code::Unavailable, FORGOTTEN.into());
        }
        match status {
            StatusCode::UNAUTHORIZED => {
                (Code::Unauthenticated, "what stands before the agent asks who we are: give username and password".into())
            }
            StatusCode::TOO_MANY_REQUESTS => (
                Code::Unavailable,
                "the agent takes no more from this address: raise its limits.http_max_conns_per_client, or use fewer \
                 clients on this machine"
                    .into(),
            ),
            StatusCode::BAD_REQUEST => (Code::InvalidArgument, "Consul does not take this".into()),
            // The others are of proxies that stand before it. It has no more.
            StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => (Code::Unavailable, "Consul failed".into()),
            status if status.is_redirection() => {
                let why = "what answers is no agent of Consul, it points elsewhere: check host and port";
                (Code::Protocol, why.into())
            }
            _ => (Code::Protocol, "what answers is no agent of Consul, or one of another version".into()),
        }
    }

    /// Why there was no whole answer.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Error {
        let root = root(error);
        let text = root.to_string();
        let io = root.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let (code, why) = match io {
            Some(std::io::ErrorKind::ConnectionRefused) => (
                Code::Unavailable,
                "nothing listens there: check that the agent runs, and its addresses.http",
            ),
            Some(std::io::ErrorKind::NotFound) => (
                Code::Unavailable,
                "there is no such socket: check that the agent runs, and its addresses.http",
            ),
            Some(std::io::ErrorKind::PermissionDenied) => {
                (Code::Unavailable, "this user may not use the agent's socket: look at its unix_sockets")
            }
            _ if text.contains("failed to lookup address") => {
                (Code::Unavailable, "the name can't be looked up: check its spelling, and the name service")
            }
            _ if error.is_connect() && self.tls => (
                Code::Unavailable,
                "the server broke off the TLS handshake: if it speaks plain text on this port, write consul:// instead of \
                 consuls://",
            ),
            _ if error.is_connect() => (Code::Unavailable, "the network does not reach it"),
            _ if text.contains("invalid HTTP") || is_early(error) => {
                (Code::Protocol, "what listens there speaks no HTTP and is no agent: check host and port")
            }
            _ if self.tls => (Code::Unavailable, "the agent ended the connection"),
            _ => (
                Code::Unavailable,
                "the agent ended the connection: it was stopped, or takes no more from this address (its \
                 limits.http_max_conns_per_client), or speaks TLS on this port: then write consuls://",
            ),
        };
        Error::new(code, why).with_cause(text)
    }
}

/// Whether something was said before anything was asked.
pub(super) fn is_early(error: &reqwest::Error) -> bool {
    root(error).to_string().contains("unexpected message")
}

/// What a chain of errors began with.
pub(super) fn root<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root
}

/// Consul's own words, which may be a page of HTML from somebody else.
pub(super) fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    bounded(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(token: bool, status: u16, text: &str) -> (Code, String) {
        let asked = Asked {
            source: "consul://h:8500",
            what: "read \"billing\"",
            rule: "service \"billing\" { policy = \"read\" }",
            token,
            datacenter: Some("mars"),
            tls: false,
        };
        let error = asked.error(asked.refusal(StatusCode::from_u16(status).unwrap(), text.as_bytes()));
        (error.code(), error.to_string())
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (token, status, text, code, words) in [
            (true, 403, "ACL not found", Code::Unauthenticated, "does not know the token"),
            (true, 500, "rpc error making call: ACL not found", Code::Unauthenticated, "token_file"),
            (true, 403, "Permission denied", Code::PermissionDenied, "policy = \"read\""),
            (false, 403, "Permission denied", Code::Unauthenticated, "no token was given"),
            (true, 500, "No path to datacenter", Code::Unavailable, "\"mars\""),
            (true, 500, "No cluster leader", Code::Unavailable, "no leader"),
            (true, 500, "No known Consul servers", Code::Unavailable, "consul members"),
            (true, 404, "Unknown check ID \"x\"", Code::Unavailable, "does not know it any more"),
            (true, 429, "", Code::Unavailable, "http_max_conns_per_client"),
            (true, 400, "Invalid Service Meta", Code::InvalidArgument, "Invalid Service Meta"),
            (true, 502, "<html>bad\n gateway", Code::Unavailable, "<html>bad gateway"),
            (
                true,
                404,
                "not here",
                Code::Protocol,
                "no agent of Consul, or one of another version (it said: not here)",
            ),
            (true, 501, "no GET", Code::Protocol, "no agent of Consul"),
            (true, 400, "Client sent an HTTP request to an HTTPS server.", Code::Unavailable, "consuls://"),
        ] {
            let (got, message) = told(token, status, text);
            assert_eq!(got, code, "{message}");
            assert!(
                message.contains(words) && message.contains("can't read \"billing\" in consul://h:8500: "),
                "{message}"
            );
        }
    }

    #[test]
    fn long_pages_are_cut() {
        assert!(said("x ".repeat(1 << 20).as_bytes()).len() < 310);
    }
}
