//! What can be told of a Consul beyond whether it answers: the agent, its servers, rights, certificates.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::Consul;
use super::http::{Ask, Http};
use crate::certificate;
use crate::diagnosis::Finding;
use crate::error::{Error, Result};

/// The oldest version that is tested, as major and minor.
const OLDEST: (u32, u32) = (1, 8);
/// The first version that tells when rights hid something.
const TELLING: (u32, u32) = (1, 11);

pub(super) async fn of(consul: &Consul) -> Vec<Finding> {
    let http = &*consul.http;
    let (agent, servers, rights) = tokio::join!(agent(http), servers(http), rights(http));
    let mut findings = agent;
    findings.extend(servers);
    findings.extend(rights);
    if let Some(tls) = &http.agent.tls {
        let files = tls.clone();
        findings
            .extend(tokio::task::spawn_blocking(move || certificate::own(&files)).await.unwrap_or_default());
        let answer = http.call(Ask::get("/v1/status/leader", "look at its certificate", "")).await;
        if let Some(presented) = answer.ok().and_then(|answer| answer.presented) {
            let chain = [CertificateDer::from(presented)];
            findings.extend(certificate::shown([(http.agent.place.to_string(), &chain[..])].into_iter()));
        }
    }
    findings
}

async fn json(http: &Http, path: &str, what: &str, rule: &str) -> Result<Value> {
    let answer = http.call(Ask::get(path, what, rule)).await?;
    serde_json::from_slice(&answer.body).map_err(|error| {
        Error::new(crate::error::Code::Protocol, format!("can't {what}: no JSON was answered"))
            .with_cause(error)
    })
}

async fn agent(http: &Http) -> Vec<Finding> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        datacenter: String,
        node_name: String,
        server: bool,
        version: String,
    }
    let rule = "agent_prefix \"\" { policy = \"read\" }";
    let told = json(http, "/v1/agent/self", "ask the agent about itself", rule).await;
    let config = told.map(|told| serde_json::from_value::<Config>(told["Config"].clone()));
    let config = match config {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => {
            let found = Finding::ok("agent", "itself", format!("it does not say what it is: {error}"));
            return vec![found.note("look with `consul info`")];
        }
        Err(error) => {
            let found = Finding::ok("agent", "itself", error.to_string());
            return vec![found.note("its version is not known then, and no agent's own address can be used")];
        }
    };
    let role = if config.server { "server" } else { "client" };
    let who = format!("{role} {} in {}", config.node_name, config.datacenter);
    let version = Finding::ok("agent", "version", config.version.clone());
    vec![
        Finding::ok("agent", "itself", who),
        match parsed(&config.version) {
            Some(number) if number < OLDEST => version.wrong("update it: 1.8 is the oldest version that is tested"),
            Some(number) if number < TELLING => version.note(
                "from 1.11 on an agent says when rights hide something, so that a service without instances is believed at \
                 once",
            ),
            _ => version,
        },
    ]
}

fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

async fn servers(http: &Http) -> Vec<Finding> {
    let leader = json(http, "/v1/status/leader", "ask for the leader", "").await;
    let peers = json(http, "/v1/status/peers", "ask for the servers", "").await;
    let leader = match leader {
        Ok(Value::String(address)) if !address.is_empty() => Finding::ok("servers", "leader", address),
        Ok(_) => Finding::ok("servers", "leader", "none")
            .wrong("start servers until more than half run and reach one another"),
        Err(error) => Finding::ok("servers", "leader", error.to_string())
            .wrong("mend what it says: nothing can be looked up until then"),
    };
    let peers = match peers.as_ref().ok().and_then(Value::as_array) {
        Some(peers) => {
            let found = Finding::ok("servers", "count", peers.len().to_string());
            match peers.len() {
                1 => found.note("one server alone is down whenever it restarts: run three or five"),
                count if count % 2 == 0 => found.note(
                    "an even number of servers survives no more failures than one less: run three or five",
                ),
                _ => found,
            }
        }
        None => {
            Finding::ok("servers", "count", "not known").note("look with `consul operator raft list-peers`")
        }
    };
    vec![leader, peers]
}

/// Whether instances of any service could be registered and read.
async fn rights(http: &Http) -> Vec<Finding> {
    let mut ask = Ask::get("/v1/internal/acl/authorize", "ask for rights", "");
    ask.method = reqwest::Method::POST;
    let wanted = json!([
        {"Resource": "service", "Segment": "callsheet-doctor", "Access": "read"},
        {"Resource": "node", "Segment": "callsheet-doctor", "Access": "read"},
        {"Resource": "service", "Segment": "callsheet-doctor", "Access": "write"},
    ]);
    let answer = match http.call(ask.body(wanted.to_string().into_bytes())).await {
        Ok(answer) => answer,
        Err(error) if error.message().contains("ACL support disabled") => {
            return vec![Finding::ok("rights", "acl", "off: everybody may read and write everything")];
        }
        Err(error) => {
            let found = Finding::ok("rights", "acl", error.to_string());
            return vec![found.note("look with `consul acl token read -self`")];
        }
    };
    let allowed: Vec<Value> = serde_json::from_slice(&answer.body).unwrap_or_default();
    let rules = [
        ("read services", "service_prefix \"\" { policy = \"read\" }"),
        ("read nodes", "node_prefix \"\" { policy = \"read\" }"),
        ("register", "service_prefix \"\" { policy = \"write\" }, or the same for each service"),
    ];
    let found = |(name, rule): (&'static str, &str), allowed: Option<&Value>| match allowed
        .and_then(|allowed| allowed["Allow"].as_bool())
    {
        Some(true) => Finding::ok("rights", name, "allowed"),
        Some(false) => {
            let found = Finding::ok("rights", name, "not allowed for every service");
            found.note(format!(
                "give the token a policy with {rule}, unless it has one for the services that it needs"
            ))
        }
        None => Finding::ok("rights", name, "not known").note("look with `consul acl token read -self`"),
    };
    rules.into_iter().enumerate().map(|(at, rule)| found(rule, allowed.get(at))).collect()
}
