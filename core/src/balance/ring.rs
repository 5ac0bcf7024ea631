//! Consistent hashing on a ring (Karger et al. 1997), with many points per instance as in ketama
//! (https://github.com/RJ/ketama) and gRFC A42. Where A42 divides a fixed number of points among all, here an
//! instance's points do not depend on who else is there: so a change moves the keys of one instance only.

use super::hash::hash_with;

/// Points of an instance of middle weight: shares differ by a twelfth or so.
const POINTS: usize = 160;
/// Most points of all, roughly: beyond 1,638 instances each has fewer.
const MOST: usize = 1 << 18;

pub(super) struct Ring {
    /// Where the points are, in order.
    points: Box<[u64]>,
    /// Whose each is.
    owners: Box<[u32]>,
}

impl Ring {
    /// For the instances with these ids, at least one, and weights above 0.
    pub(super) fn new(ids: &[&str], weights: &[f64]) -> Self {
        let each = (MOST / ids.len().next_power_of_two()).clamp(1, POINTS) as f64;
        let unit = unit(weights);
        let mut ring = Vec::with_capacity((ids.len() as f64 * each) as usize);
        for (owner, (id, weight)) in ids.iter().zip(weights).enumerate() {
            let points = ((weight / unit * each).round() as u64).max(1);
            ring.extend((0..points).map(|point| (hash_with(point, id), owner as u32)));
        }
        ring.sort_unstable();
        let (points, owners): (Vec<_>, Vec<_>) = ring.into_iter().unzip();
        Ring { points: points.into(), owners: owners.into() }
    }

    /// The first point at or after `hash`.
    #[inline]
    pub(super) fn position(&self, hash: u64) -> usize {
        let at = self.points.partition_point(|&point| point < hash);
        if at == self.points.len() { 0 } else { at }
    }

    /// The index of the instance that a point belongs to.
    #[inline]
    pub(super) fn owner(&self, position: usize) -> usize {
        self.owners[position] as usize
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }
}

/// The weight that has [`POINTS`]: the average, lowered to a power of two so that one more instance hardly ever changes
/// it, and with it the points of all.
fn unit(weights: &[f64]) -> f64 {
    let average = weights.iter().sum::<f64>() / weights.len() as f64;
    average.log2().floor().exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::hash::hash;

    const KEYS: u32 = 20_000;

    fn names(ids: std::ops::Range<u32>) -> Vec<String> {
        ids.map(|n| format!("10.0.0.{n}:8080")).collect()
    }

    fn ring(names: &[String]) -> Ring {
        let ids: Vec<_> = names.iter().map(String::as_str).collect();
        Ring::new(&ids, &vec![1.0; ids.len()])
    }

    fn owner<'a>(ring: &Ring, names: &'a [String], key: u32) -> &'a str {
        &names[ring.owner(ring.position(hash(&key.to_le_bytes())))]
    }

    #[test]
    fn only_the_keys_of_who_comes_or_goes_move() {
        for count in [2, 10, 100] {
            let (fewer, more) = (names(0..count), names(0..count + 1));
            let (before, after) = (ring(&fewer), ring(&more));
            let newcomer = &more[count as usize];
            let mut moved = 0;
            for key in 0..KEYS {
                let (old, new) = (owner(&before, &fewer, key), owner(&after, &more, key));
                if old != new {
                    assert_eq!(new, newcomer, "a key moved between two that stayed");
                    moved += 1;
                }
            }
            // Its share of the ring itself varies by an eighth or so.
            let due = f64::from(KEYS) / f64::from(count + 1);
            assert!((0.6 * due..1.4 * due).contains(&f64::from(moved)), "{moved} moved, {due} are due");
        }
    }

    #[test]
    fn keys_are_spread_as_the_points_are() {
        spread(&names(0..10));
        spread(&(0..10).map(|n| format!("i{n:02}")).collect::<Vec<_>>());
        spread(&('a'..='j').map(String::from).collect::<Vec<_>>());
    }

    fn spread(names: &[String]) {
        let ring = ring(names);
        // The part of the ring that each owns.
        let mut shares = [0f64; 10];
        for at in 0..ring.len() {
            let before = ring.points[(at + ring.len() - 1) % ring.len()];
            shares[ring.owner(at)] += ring.points[at].wrapping_sub(before) as f64 / 2f64.powi(64);
        }
        assert!(shares.iter().all(|share| (0.07..0.13).contains(share)), "{shares:?}");
        let mut counts = [0f64; 10];
        (0..KEYS).for_each(|key| counts[ring.owner(ring.position(hash(&key.to_le_bytes())))] += 1.0);
        let chi: f64 = counts
            .iter()
            .zip(shares)
            .map(|(count, share)| (count - share * f64::from(KEYS)).powi(2) / (share * f64::from(KEYS)))
            .sum();
        assert!(chi < 27.9, "p = 0.001 with 9 degrees of freedom: {chi}");
    }

    #[test]
    fn a_weight_is_a_share_of_points() {
        let names = names(0..4);
        let ids: Vec<_> = names.iter().map(String::as_str).collect();
        let ring = Ring::new(&ids, &[100.0, 100.0, 200.0, 400.0]);
        let points = |of: usize| (0..ring.len()).filter(|&at| ring.owner(at) == of).count() as f64;
        assert!((points(2) / points(0) - 2.0).abs() < 0.02 && (points(3) / points(0) - 4.0).abs() < 0.02);
    }

    #[test]
    fn many_instances_do_not_make_the_ring_much_larger() {
        let names = names(0..20_000);
        let ring = ring(&names);
        assert!((20_000..=MOST).contains(&ring.len()), "{}", ring.len());
    }
}
