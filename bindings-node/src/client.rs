//! The client: every verb, begun here and answered through the host.

use callsheet::host::Untaken;
use callsheet::{OptionValue, Options};
use napi::bindgen_prelude::{Either3, External};
use napi_derive::napi;
use std::rc::Rc;

use crate::answer::Value;
use crate::balance::{self, Key, Picking};
use crate::error::{guarded, invalid, milliseconds};
use crate::feed::{Feed, Source};
use crate::filter::Filter;
use crate::host::{Handle, Host};
use crate::registration::{Registration, Specification};

/// A connection to one registry, and the environment that made it.
pub(crate) struct Client {
    pub(crate) core: callsheet::Client,
    host: Rc<Host>,
    number: u32,
}

/// The value of an option.
type Given = Either3<f64, String, Vec<String>>;

/// A client of the registry at `url`. `number` is JavaScript's name for it.
#[napi]
pub fn connect(
    host: &Handle,
    number: u32,
    url: Option<String>,
    options: Vec<(String, Given)>,
) -> napi::Result<External<Client>> {
    guarded(|| {
        let mut set = Options::new();
        for (name, value) in options {
            let value = match value {
                Either3::A(number) => OptionValue::Number(number),
                Either3::B(text) => OptionValue::Text(text),
                Either3::C(list) => OptionValue::List(list),
            };
            set.set(&name, value)?;
        }
        let mut builder = callsheet::Client::builder().options(set);
        if let Some(url) = url {
            builder = builder.url(&url);
        }
        let client = Client { core: builder.connect()?, host: Rc::clone(host), number };
        Ok(External::new(client))
    })
}

#[napi]
pub fn client_source(client: &External<Client>) -> String {
    client.core.source().to_owned()
}

#[napi]
pub fn client_is_closed(client: &External<Client>) -> bool {
    client.core.is_closed()
}

/// Milliseconds that one request may take.
#[napi]
pub fn client_timeout(client: &External<Client>) -> f64 {
    client.core.timeout().as_secs_f64() * 1000.0
}

#[napi]
pub fn client_register(
    client: &External<Client>,
    call: u32,
    specification: Specification,
) -> napi::Result<()> {
    guarded(|| {
        let registration = specification.try_into()?;
        let core = client.core.clone();
        client.host.keep(client.number, &core);
        client.host.begin(call, async move { core.register(registration).await }, Value::Registration)
    })
}

#[napi]
pub fn client_registration(client: &External<Client>, id: String) -> napi::Result<External<Registration>> {
    guarded(|| Ok(External::new(Registration(client.core.registration(&id)?))))
}

/// Says that a registration of the client has ended, or did not come about.
#[napi]
pub fn client_let_go(client: &External<Client>) -> napi::Result<()> {
    guarded(|| {
        client.host.let_go(client.number);
        Ok(())
    })
}

#[napi]
pub fn client_lookup(
    client: &External<Client>,
    call: u32,
    service: String,
    filter: Filter,
) -> napi::Result<()> {
    guarded(|| {
        let (core, filter) = (client.core.clone(), filter.into());
        client.host.begin(call, async move { core.lookup_with(&service, &filter).await }, Value::Snapshot)
    })
}

#[napi]
pub fn client_wait_for(
    client: &External<Client>,
    call: u32,
    service: String,
    count: f64,
    timeout: f64,
    filter: Filter,
) -> napi::Result<()> {
    guarded(|| {
        let timeout = milliseconds("timeout", timeout)?;
        if count < 0.0 {
            return Err(invalid(format!("count {count} is not allowed: use 0 or more")));
        }
        let (core, filter) = (client.core.clone(), filter.into());
        let work = async move { core.wait_for_with(&service, &filter, count as usize, timeout).await };
        client.host.begin(call, work, Value::Snapshot)
    })
}

#[napi]
pub fn client_watch(
    client: &External<Client>,
    feed: u32,
    service: String,
    filter: Filter,
) -> napi::Result<External<Feed>> {
    guarded(|| {
        let watch = client.core.watch_with(&service, &filter.into())?;
        Ok(Feed::external(&client.host, feed, Source::Watch(watch)))
    })
}

#[napi]
pub fn client_services(client: &External<Client>, call: u32) -> napi::Result<()> {
    guarded(|| {
        let core = client.core.clone();
        client.host.begin(call, async move { core.services().await }, Value::Names)
    })
}

#[napi]
pub fn client_watch_services(client: &External<Client>, feed: u32) -> napi::Result<External<Feed>> {
    guarded(|| Ok(Feed::external(&client.host, feed, Source::Names(client.core.watch_services()?))))
}

#[napi]
pub fn client_picker(
    client: &External<Client>,
    call: u32,
    service: String,
    options: Picking,
) -> napi::Result<()> {
    guarded(|| {
        let (core, options) = (client.core.clone(), options.try_into()?);
        let work = async move { core.open_picker(&service, options).await };
        client.host.begin(call, work, Value::Picker)
    })
}

#[napi]
pub fn client_ping(client: &External<Client>, call: u32) -> napi::Result<()> {
    guarded(|| {
        let core = client.core.clone();
        client.host.begin(call, async move { core.ping().await }, |()| Value::Nothing)
    })
}

/// Every figure by name, as JSON.
#[napi]
pub fn client_stats(client: &External<Client>) -> napi::Result<String> {
    guarded(|| Ok(serde_json::to_string(&client.core.stats()?).unwrap_or_default()))
}

#[napi]
pub fn client_count_callback_failure(client: &External<Client>) {
    client.core.count_callback_failure();
}

#[napi]
pub fn client_close(client: &External<Client>, call: u32) -> napi::Result<()> {
    guarded(|| {
        let core = client.core.clone();
        client.host.begin(call, async move { core.close().await }, |()| Value::Nothing)
    })
}

/// The states of a registration, the current one first.
#[napi]
pub fn client_states(
    client: &External<Client>,
    feed: u32,
    registration: &External<Registration>,
) -> napi::Result<External<Feed>> {
    guarded(|| Ok(Feed::external(&client.host, feed, Source::States(registration.0.states()?))))
}

/// Waits for something of a registration: which of them `what` says, and what that takes.
#[napi]
pub fn registration_call(
    client: &External<Client>,
    call: u32,
    registration: &External<Registration>,
    what: crate::registration::Request,
) -> napi::Result<()> {
    guarded(|| {
        let work = registration.ask(what)?;
        client.host.begin(call, work, |()| Value::Nothing)
    })
}

/// A pick that is waited for, at most `timeout` milliseconds.
#[napi]
pub fn picker_wait(
    client: &External<Client>,
    call: u32,
    picker: &External<crate::picker::Picker>,
    timeout: f64,
    key: Option<Key>,
) -> napi::Result<()> {
    guarded(|| {
        let (core, timeout) = (picker.core(), milliseconds("timeout", timeout)?);
        let key = key.map(|key| balance::bytes(&key).to_owned());
        let work = async move {
            match key {
                None => core.pick_within(timeout).await,
                Some(key) => core.pick_key_within(key, timeout).await,
            }
        };
        client.host.begin(call, work, |pick| Value::Pick(Untaken::new(pick)))
    })
}
