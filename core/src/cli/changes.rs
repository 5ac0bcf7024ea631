//! What changed between two pieces of news, as lines for a pipe.

use super::feed::{News, Services};
use super::output::printable;
use super::row::Count;
use crate::instance::Instance;
use crate::snapshot::Snapshot;

/// The lines that lead from `previous` to `now`. Before the first news there was nothing, and it was live.
pub(super) fn lines(previous: Option<&News>, now: &News) -> Vec<String> {
    match (previous, now) {
        (Some(News::Service(previous)), News::Service(now)) => of_service(Some(previous), now),
        (_, News::Service(now)) => of_service(None, now),
        (Some(News::Services(previous)), News::Services(now)) => of_services(Some(previous), now),
        (_, News::Services(now)) => of_services(None, now),
    }
}

fn of_service(previous: Option<&Snapshot>, now: &Snapshot) -> Vec<String> {
    let before = previous.map_or("live", |snapshot| snapshot.freshness().as_str());
    let error = now.last_error().map(ToString::to_string);
    let mut lines = trust(before, now.freshness().as_str(), error.as_deref());
    match previous {
        None => lines.extend(now.iter().map(|instance| line('+', instance))),
        Some(previous) => {
            let changes = now.changes_since(previous);
            lines.extend(changes.removed.iter().map(|instance| format!("- {}", printable(&instance.id))));
            lines.extend(changes.changed.iter().map(|instance| line('~', instance)));
            lines.extend(changes.added.iter().map(|instance| line('+', instance)));
        }
    }
    lines
}

fn line(sign: char, instance: &Instance) -> String {
    let (id, authority) = (printable(&instance.id), printable(&instance.authority()));
    format!("{sign} {id} {authority} {}", instance.status)
}

fn of_services(previous: Option<&Services>, now: &Services) -> Vec<String> {
    let before = previous.map_or("live", |services| services.freshness);
    let mut lines = trust(before, now.freshness, now.last_error.as_deref());
    let old = previous.map_or(&[][..], |services| &services.services);
    let find = |list: &[Count], name: &str| list.iter().position(|count| count.service == name);
    let gone = old.iter().filter(|count| find(&now.services, &count.service).is_none());
    lines.extend(gone.map(|count| format!("- {}", printable(&count.service))));
    for count in &now.services {
        let sign = match find(old, &count.service) {
            None => '+',
            Some(at) if old[at] != *count => '~',
            Some(_) => continue,
        };
        let Count { service, healthy, instances } = count;
        lines.push(format!("{sign} {} {healthy}/{instances}", printable(service)));
    }
    lines
}

/// How far the list can be trusted, where that changed.
fn trust(before: &str, now: &str, error: Option<&str>) -> Vec<String> {
    match error {
        _ if before == now => Vec::new(),
        Some(error) if now != "live" => vec![format!("! {now}: {}", printable(error))],
        _ => vec![format!("! {now}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(freshness: &'static str, counts: &[(&str, usize, usize)]) -> News {
        let count = |&(service, healthy, instances): &(&str, _, _)| Count {
            service: service.into(),
            healthy,
            instances,
        };
        News::Services(Services {
            source: "memory:".into(),
            freshness,
            last_error: (freshness != "live").then(|| "no\nanswer".into()),
            services: counts.iter().map(count).collect(),
        })
    }

    #[test]
    fn services_come_change_and_go() {
        let first = services("live", &[("a", 1, 1), ("b", 2, 2)]);
        assert_eq!(lines(None, &first), ["+ a 1/1", "+ b 2/2"]);
        let second = services("stale", &[("b", 1, 2), ("c", 0, 1)]);
        assert_eq!(lines(Some(&first), &second), ["! stale: no\\nanswer", "- a", "~ b 1/2", "+ c 0/1"]);
        assert_eq!(lines(Some(&second), &second), [""; 0]);
        let third = services("live", &[("b", 1, 2), ("c", 0, 1)]);
        assert_eq!(lines(Some(&second), &third), ["! live"]);
    }
}
