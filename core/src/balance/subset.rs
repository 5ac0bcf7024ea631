//! A part of the instances for each client, so that a thousand clients of a thousand instances do not keep a million
//! connections: rendezvous hashing as in gRFC A68
//! (https://github.com/grpc/proposal/blob/master/A68-random-subsetting.md). One that comes or goes changes at most
//! one place of each client's part.

use super::hash::{hash, hash_with};
use crate::fork::PerProcess;
use crate::registry::random_u64;

/// Of a process that has no name: all its pickers choose alike.
static NAMELESS: PerProcess<u64> = PerProcess::new(random_u64);

/// What makes a client's choice its own.
pub(super) fn seed(client_id: Option<&str>) -> u64 {
    client_id.map_or_else(|| *NAMELESS, |id| hash(id.as_bytes()))
}

/// `size` of `members` at most, in their order.
pub(super) fn subset<'a>(
    members: Vec<usize>,
    size: usize,
    seed: u64,
    id: impl Fn(usize) -> &'a str,
) -> Vec<usize> {
    if members.len() <= size {
        return members;
    }
    let mut ranked: Vec<_> = members.into_iter().map(|at| (hash_with(seed, id(at)), at)).collect();
    ranked.select_nth_unstable(size);
    ranked.truncate(size);
    let mut chosen: Vec<_> = ranked.into_iter().map(|(_, at)| at).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(ids: &[String], size: usize, client: &str) -> Vec<String> {
        let members = (0..ids.len()).collect();
        subset(members, size, seed(Some(client)), |at| &ids[at])
            .into_iter()
            .map(|at| ids[at].clone())
            .collect()
    }

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("10.0.{}.{}:80", n / 250, n % 250)).collect()
    }

    #[test]
    fn a_client_of_one_name_always_has_the_same_part() {
        let ids = ids(100);
        let part = chosen(&ids, 20, "pod-1");
        assert_eq!(part.len(), 20);
        assert!(part.is_sorted_by_key(|id| ids.iter().position(|one| one == id)));
        assert_eq!(part, chosen(&ids, 20, "pod-1"));
        assert_ne!(part, chosen(&ids, 20, "pod-2"));
        assert_eq!(chosen(&ids, 200, "pod-1"), ids);
        assert_eq!(seed(None), seed(None));
    }

    #[test]
    fn one_that_comes_or_goes_changes_one_place() {
        let (fewer, more) = (ids(100), ids(101));
        let mut changed = 0;
        for client in 0..200 {
            let client = format!("pod-{client}");
            let (before, after) = (chosen(&fewer, 20, &client), chosen(&more, 20, &client));
            let left = before.iter().filter(|id| !after.contains(id)).count();
            assert!(left <= 1);
            changed += left;
        }
        // A fifth of the clients should take the newcomer.
        assert!((20..=60).contains(&changed), "{changed} of 200");
    }

    #[test]
    fn parts_are_spread_over_all_instances() {
        let ids = ids(100);
        let mut counts = vec![0f64; 100];
        for client in 0..1000 {
            for id in chosen(&ids, 10, &format!("pod-{client}")) {
                counts[ids.iter().position(|one| *one == id).unwrap()] += 1.0;
            }
        }
        // Each has a tenth of the clients. Without repetition the variance is that of a binomial distribution.
        let chi: f64 = counts.iter().map(|count| (count - 100.0).powi(2) / (100.0 * 0.9)).sum();
        assert!(chi < 148.2, "p = 0.001 with 99 degrees of freedom: {chi}");
    }
}
