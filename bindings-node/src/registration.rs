//! A running registration, and what a program says of itself to get one.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use callsheet::host::{check_port, check_weight};
use callsheet::{Changeset, Error, RegistrationHandle, Result, State, Status};
use napi::bindgen_prelude::External;
use napi_derive::napi;

use crate::check::Check;
use crate::error::{encoded, guarded, invalid, milliseconds};
use crate::instance::row;

/// A registration that runs until it is closed.
pub(crate) struct Registration(pub(crate) RegistrationHandle);

/// The options of `register`. Times are milliseconds.
#[napi(object)]
pub struct Specification {
    pub service: String,
    pub port: i64,
    pub address: Option<String>,
    pub id: Option<String>,
    pub scheme: Option<String>,
    pub tags: Option<Vec<String>>,
    pub metadata: Option<HashMap<String, String>>,
    pub weight: Option<i64>,
    pub zone: Option<String>,
    pub version: Option<String>,
    pub ttl: Option<f64>,
    pub check: Option<Check>,
    pub ready: Option<bool>,
    pub wait_for_port: Option<bool>,
    pub drain: Option<f64>,
}

impl TryFrom<Specification> for callsheet::Registration {
    type Error = Error;

    fn try_from(given: Specification) -> Result<Self> {
        let mut made = callsheet::Registration::new(given.service).port(check_port(given.port)?);
        if let Some(address) = given.address {
            made = made.address(address);
        }
        if let Some(id) = given.id {
            made = made.id(id);
        }
        if let Some(scheme) = given.scheme {
            made = made.scheme(scheme);
        }
        if let Some(weight) = given.weight {
            made = made.weight(check_weight(weight)?);
        }
        if let Some(zone) = given.zone {
            made = made.zone(zone);
        }
        if let Some(version) = given.version {
            made = made.version(version);
        }
        if let Some(ttl) = given.ttl {
            made = made.ttl(milliseconds("ttl", ttl)?);
        }
        if let Some(drain) = given.drain {
            made = made.drain(milliseconds("drain", drain)?);
        }
        if let Some(check) = given.check {
            made = made.check(check.try_into()?);
        }
        let tags = given.tags.unwrap_or_default();
        made = tags.into_iter().fold(made, callsheet::Registration::tag);
        for (key, value) in given.metadata.unwrap_or_default() {
            made = made.metadata(key, value);
        }
        Ok(made.hold(!given.ready.unwrap_or(true)).wait_for_port(given.wait_for_port.unwrap_or(false)))
    }
}

/// What can be waited for, by its name, and what that takes.
#[napi(object)]
pub struct Request {
    pub verb: String,
    pub timeout: Option<f64>,
    pub state: Option<String>,
    pub status: Option<String>,
    pub note: Option<String>,
    pub tags: Option<Vec<String>>,
    pub metadata: Option<HashMap<String, String>>,
    pub weight: Option<i64>,
}

/// Something to wait for.
type Work = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl Registration {
    /// What was requested, checked and ready to begin.
    pub(crate) fn ask(&self, request: Request) -> Result<Work> {
        let handle = self.0.clone();
        let timeout = milliseconds("timeout", request.timeout.unwrap_or_default())?;
        Ok(match &*request.verb {
            "ready" => Box::pin(async move { handle.ready(timeout).await }),
            "wait" => {
                let state: State = request.state.unwrap_or_default().parse()?;
                Box::pin(async move { handle.wait(state, timeout).await })
            }
            "update" => {
                let mut changes = Changeset::new();
                if let Some(tags) = request.tags {
                    changes = changes.tags(tags);
                }
                if let Some(metadata) = request.metadata {
                    changes = changes.metadata(metadata);
                }
                if let Some(weight) = request.weight {
                    changes = changes.weight(check_weight(weight)?);
                }
                Box::pin(async move { handle.update(changes).await })
            }
            "setStatus" => {
                let status: Status = request.status.unwrap_or_default().parse()?;
                let note = request.note.unwrap_or_default();
                Box::pin(async move { handle.set_status(status, &note).await })
            }
            "drain" => Box::pin(async move { handle.drain().await }),
            "close" => Box::pin(async move { handle.close().await }),
            other => return Err(invalid(format!("a registration has no {other}"))),
        })
    }
}

#[napi]
pub fn registration_state(registration: &External<Registration>) -> String {
    registration.0.state().as_str().to_owned()
}

#[napi]
pub fn registration_last_error(registration: &External<Registration>) -> Option<String> {
    registration.0.last_error().map(|error| encoded(&error))
}

/// The instance as it is to be published, as JSON.
#[napi]
pub fn registration_instance(registration: &External<Registration>) -> String {
    row(&registration.0.instance())
}

#[napi]
pub fn registration_id(registration: &External<Registration>) -> String {
    registration.0.id()
}

#[napi]
pub fn registration_beat(registration: &External<Registration>) -> napi::Result<()> {
    guarded(|| registration.0.beat())
}
