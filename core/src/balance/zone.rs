//! Same zone first, as far as its instances can take it: Envoy's zone aware routing
//! (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware), for a caller
//! who does not know how many others call from which zone and takes them to be spread evenly.

use std::collections::BTreeSet;

/// What a zone's instances may carry, relative to the average of all: Envoy's default overprovisioning factor. So one
/// of four may be lost before calls leave the zone.
const HEADROOM: f64 = 1.4;

/// The share of calls that stays in the zone `own`, above 0 and at most 1, where instances have these zones and
/// weights. None if the zone has no instance, or nobody else has.
pub(super) fn own_share<'a>(own: &str, instances: impl Iterator<Item = (&'a str, f64)>) -> Option<f64> {
    let (mut zones, mut here, mut all) = (BTreeSet::new(), 0.0, 0.0);
    for (zone, weight) in instances {
        zones.insert(zone);
        all += weight;
        here += if zone == own { weight } else { 0.0 };
    }
    // One caller in `zones` calls from here; `here / all` of what is called is here.
    (here > 0.0 && zones.len() > 1).then(|| (HEADROOM * here / all * zones.len() as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(own: &str, zones: &[(&str, usize)]) -> Option<f64> {
        own_share(own, zones.iter().flat_map(|&(zone, count)| std::iter::repeat_n((zone, 1.0), count)))
    }

    #[test]
    fn calls_stay_in_a_zone_that_can_take_them() {
        assert_eq!(share("a", &[("a", 4), ("b", 4), ("c", 4)]), Some(1.0));
        assert_eq!(share("a", &[("a", 3), ("b", 4), ("c", 4)]), Some(1.0), "one of four is lost");
        assert_eq!(share("a", &[("a", 5), ("b", 1)]), Some(1.0));
    }

    #[test]
    fn what_a_zone_cannot_take_spills_over() {
        let half = share("a", &[("a", 2), ("b", 4), ("c", 4)]).unwrap();
        assert!((half - 0.84).abs() < 1e-9, "{half}");
        let little = share("a", &[("a", 1), ("b", 99)]).unwrap();
        assert!((little - 0.028).abs() < 1e-9, "{little}");
    }

    #[test]
    fn without_instances_here_or_elsewhere_there_is_nothing_to_prefer() {
        assert_eq!(share("a", &[("b", 4), ("c", 4)]), None);
        assert_eq!(share("a", &[("a", 4)]), None);
        assert_eq!(share("a", &[]), None);
    }
}
