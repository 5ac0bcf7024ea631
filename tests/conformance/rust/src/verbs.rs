//! Nouns of the API from and to JSON: what a step gives to a call, and what it may ask of the answer.

use callsheet::{
    Check, Ejection, Error, Filter, Instance, OptionValue, PickerOptions, Policy, Registration, Snapshot,
    host,
};
use serde_json::{Value, json};
use tonic_health::ServingStatus;

use crate::args::{Args, Fail, wrong};

pub(crate) fn option(value: &Value) -> Result<OptionValue, Fail> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(match value {
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => list.iter().filter_map(text).collect::<Vec<_>>().into(),
        other => match other.as_f64() {
            Some(number) => number.into(),
            None => return wrong(format!("{other} is no option")),
        },
    })
}

pub(crate) fn registration(mut with: Args) -> Result<Registration, Fail> {
    let mut registration = Registration::new(with.text("service")?.unwrap_or_default())
        .hold(!with.flag("ready")?.unwrap_or(true))
        .wait_for_port(with.flag("wait_for_port")?.unwrap_or(false))
        .check(check(with.object("check")?)?);
    type Set = fn(Registration, String) -> Registration;
    let texts: [(&str, Set); 5] = [
        ("address", Registration::address),
        ("id", Registration::id),
        ("scheme", Registration::scheme),
        ("zone", Registration::zone),
        ("version", Registration::version),
    ];
    for (name, set) in texts {
        if let Some(text) = with.text(name)? {
            registration = set(registration, text);
        }
    }
    if let Some(port) = with.whole("port")? {
        registration = registration.port(host::check_port(port)?);
    }
    if let Some(weight) = with.whole("weight")? {
        registration = registration.weight(host::check_weight(weight)?);
    }
    if let Some(ttl) = with.seconds("ttl")? {
        registration = registration.ttl(ttl);
    }
    if let Some(drain) = with.seconds("drain")? {
        registration = registration.drain(drain);
    }
    for tag in with.texts("tags")?.unwrap_or_default() {
        registration = registration.tag(tag);
    }
    for (key, value) in with.pairs("metadata")?.unwrap_or_default() {
        registration = registration.metadata(key, value);
    }
    with.end()?;
    Ok(registration)
}

fn check(mut args: Args) -> Result<Check, Fail> {
    let kind = args.text("kind")?.unwrap_or_else(|| "ttl".into());
    let (interval, limit) = (args.seconds("interval")?, args.seconds("timeout")?);
    let critical = args.seconds("deregister_critical_after")?;
    let check = match (kind.as_str(), args.text("address")?, args.whole("port")?) {
        ("ttl", None, None) => Check::ttl(),
        ("http", None, None) => Check::http(args.need("target")?),
        ("grpc", None, None) => args.text("target")?.map_or_else(Check::grpc, Check::grpc_target),
        ("heartbeat", None, None) => Check::heartbeat(interval.unwrap_or_default()),
        ("tcp", None, None) => Check::tcp(),
        ("tcp", Some(address), Some(port)) => Check::tcp_target(address, host::check_port(port)?),
        _ => return wrong(format!("there is no check {kind:?} with these arguments")),
    };
    args.end()?;
    let check = interval.into_iter().fold(check, Check::interval);
    let check = limit.into_iter().fold(check, Check::timeout);
    Ok(critical.into_iter().fold(check, Check::deregister_critical_after))
}

/// The statuses that a gRPC server tells of its services, by their names.
pub(crate) fn serves(args: &mut Args) -> Result<Option<Vec<(String, ServingStatus)>>, Fail> {
    let Some(pairs) = args.pairs("serves")? else { return Ok(None) };
    let status = |(name, status): (String, String)| match &*status {
        "SERVING" => Ok((name, ServingStatus::Serving)),
        "NOT_SERVING" => Ok((name, ServingStatus::NotServing)),
        other => wrong(format!("{other} is no status that a server serves")),
    };
    pairs.into_iter().map(status).collect::<Result<_, _>>().map(Some)
}

pub(crate) fn filter(args: &mut Args) -> Result<Filter, Fail> {
    let mut args = args.object("filter")?;
    let mut filter = Filter::new().healthy(args.flag("healthy")?.unwrap_or(true));
    for tag in args.texts("tags")?.unwrap_or_default() {
        filter = filter.tag(tag);
    }
    for (key, value) in args.pairs("metadata")?.unwrap_or_default() {
        filter = filter.metadata(key, value);
    }
    filter = args.text("zone")?.into_iter().fold(filter, Filter::zone);
    filter = args.text("version")?.into_iter().fold(filter, Filter::version);
    args.end()?;
    Ok(filter)
}

/// The policy, filter and options of a picker.
pub(crate) fn picking(args: &mut Args) -> Result<PickerOptions, Fail> {
    let policy = args.text("policy")?.map_or(Ok(Policy::default()), |policy| policy.parse())?;
    let mut options = PickerOptions::new(policy).filter(filter(args)?);
    let mut given = args.object("options")?;
    options = given.text("prefer_zone")?.into_iter().fold(options, PickerOptions::prefer_zone);
    options = given.text("client_id")?.into_iter().fold(options, PickerOptions::client_id);
    if let Some(size) = given.whole("subset")? {
        options = options.subset(host::count("subset", size)? as usize);
    }
    if let Some(percent) = given.whole("panic_threshold")? {
        options = options.panic_threshold(host::count("panic_threshold", percent)?);
    }
    options = given.seconds("slow_start")?.into_iter().fold(options, PickerOptions::slow_start);
    if given.0.get("ejection").is_some_and(Value::is_boolean) {
        options = options.ejection(given.flag("ejection")?.filter(|wanted| *wanted).map(|_| Ejection::new()));
    } else {
        options = options.ejection(ejection(given.object("ejection")?)?);
    }
    given.end()?;
    Ok(options)
}

fn ejection(mut given: Args) -> Result<Ejection, Fail> {
    let mut ejection = Ejection::new();
    if let Some(failures) = given.whole("consecutive_failures")? {
        ejection = ejection.consecutive_failures(host::count("consecutive_failures", failures)?);
    }
    if let Some(percent) = given.whole("max_ejection_percent")? {
        ejection = ejection.max_ejection_percent(host::count("max_ejection_percent", percent)?);
    }
    given.end()?;
    Ok(ejection)
}

fn instance(instance: &Instance) -> Value {
    json!({
        "id": instance.id, "service": instance.service, "address": instance.address, "port": instance.port,
        "scheme": instance.scheme, "tags": instance.tags, "metadata": instance.metadata,
        "weight": instance.weight, "zone": instance.zone, "version": instance.version,
        "status": instance.status.as_str(), "url": instance.url(),
    })
}

/// A snapshot, and what changed since the one before it.
pub(crate) fn snapshot(snapshot: &Snapshot, previous: Option<&Snapshot>) -> Result<Value, Fail> {
    let ids = |instances: &[std::sync::Arc<Instance>]| -> Vec<String> {
        instances.iter().map(|instance| instance.id.clone()).collect()
    };
    let changes = match previous {
        None => Value::Null,
        Some(previous) if snapshot.revision() <= previous.revision() => {
            return wrong(format!("revision {} came after {}", snapshot.revision(), previous.revision()));
        }
        Some(previous) => {
            let changes = snapshot.changes_since(previous);
            let (added, removed) = (ids(&changes.added), ids(&changes.removed));
            json!({"added": added, "removed": removed, "changed": ids(&changes.changed)})
        }
    };
    let instances: Vec<_> = snapshot.iter().map(|known| instance(known)).collect();
    Ok(json!({
        "ids": ids(snapshot.instances()), "size": snapshot.len(), "instances": instances, "changes": changes,
        "freshness": snapshot.freshness().as_str(), "source": snapshot.source(),
        "last_error": code(snapshot.last_error()), "age": snapshot.age().as_secs_f64(),
    }))
}

pub(crate) fn code(error: Option<&Error>) -> Value {
    error.map(|error| error.code().as_str()).into()
}
