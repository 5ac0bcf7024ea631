//! Maglev hashing (Eisenbud et al. 2016, "Maglev: A Fast and Reliable Software Network Load Balancer", section 3.4):
//! each instance fills places of one table in an order of its own, all taking turns, until none is free. Weights are
//! turns left out, as Envoy does it.

use super::hash::hash_with;

/// Places of the table: the prime of the paper, a hundred times the instances it is meant for.
const PLACES: usize = 65_537;
/// Instances that have places at most; of more, those are used whose ids come first.
const MOST: usize = 1 << 16;

pub(super) struct Maglev {
    /// Whose each place is.
    owners: Box<[u16]>,
}

impl Maglev {
    /// For the instances with these ids, at least one, and weights above 0.
    pub(super) fn new(ids: &[&str], weights: &[f64]) -> Self {
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let mut fillers: Vec<_> = ids
            .iter()
            .zip(weights)
            .take(MOST)
            .map(|(id, weight)| Filler::new(id, weight / heaviest))
            .collect();
        let mut owners = vec![None; PLACES];
        let mut free = PLACES;
        'full: for round in 1.. {
            for (owner, filler) in fillers.iter_mut().enumerate() {
                if !filler.has_turn(f64::from(round)) {
                    continue;
                }
                while owners[filler.next].is_some() {
                    filler.step();
                }
                owners[filler.next] = Some(owner as u16);
                free -= 1;
                if free == 0 {
                    break 'full;
                }
            }
        }
        Maglev { owners: owners.into_iter().map(Option::unwrap_or_default).collect() }
    }

    /// The place of a key.
    #[inline]
    pub(super) fn position(&self, hash: u64) -> usize {
        // A remainder by a constant is two multiplications.
        (hash % PLACES as u64) as usize
    }

    /// The index of the instance that a place belongs to.
    #[inline]
    pub(super) fn owner(&self, position: usize) -> usize {
        self.owners[position].into()
    }

    pub(super) fn len(&self) -> usize {
        PLACES
    }
}

/// One instance's way through the table, which meets each place once.
struct Filler {
    next: usize,
    skip: usize,
    /// 0 to 1, of the heaviest.
    weight: f64,
    taken: f64,
}

impl Filler {
    fn new(id: &str, weight: f64) -> Self {
        let next = (hash_with(1, id) % PLACES as u64) as usize;
        let skip = (hash_with(2, id) % (PLACES as u64 - 1)) as usize + 1;
        Filler { next, skip, weight, taken: 0.0 }
    }

    /// Whether it has a turn in this round; the heaviest has one in each.
    fn has_turn(&mut self, round: f64) -> bool {
        let turn = round * self.weight >= self.taken + 1.0 - 1e-9;
        self.taken += f64::from(u8::from(turn));
        turn
    }

    fn step(&mut self) {
        self.next += self.skip;
        if self.next >= PLACES {
            self.next -= PLACES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::hash::hash;

    fn names(ids: std::ops::Range<u32>) -> Vec<String> {
        ids.map(|n| format!("10.0.0.{n}:8080")).collect()
    }

    fn table(names: &[String], weights: &[f64]) -> Maglev {
        let ids: Vec<_> = names.iter().map(String::as_str).collect();
        Maglev::new(&ids, weights)
    }

    fn places(table: &Maglev, instances: usize) -> Vec<f64> {
        let mut places = vec![0.0; instances];
        (0..table.len()).for_each(|at| places[table.owner(at)] += 1.0);
        places
    }

    #[test]
    fn every_instance_has_as_many_places() {
        for count in [1, 3, 100, 1000] {
            let table = table(&names(0..count), &vec![1.0; count as usize]);
            let places = places(&table, count as usize);
            let (least, most) =
                (places.iter().copied().fold(f64::MAX, f64::min), places.iter().copied().fold(0.0, f64::max));
            assert!(most - least <= 1.0, "{count}: {least} to {most}");
        }
    }

    #[test]
    fn a_weight_is_a_share_of_places() {
        let table = table(&names(0..4), &[100.0, 250.0, 300.0, 1000.0]);
        for (of, weight) in [100.0, 250.0, 300.0, 1000.0].into_iter().enumerate() {
            let due = weight / 1650.0 * PLACES as f64;
            let places = places(&table, 4)[of];
            assert!((places / due - 1.0).abs() < 0.001, "{places} for {due}");
        }
    }

    #[test]
    fn keys_are_spread_evenly() {
        let table = table(&names(0..10), &[1.0; 10]);
        let mut counts = [0u32; 10];
        for key in 0..20_000u32 {
            counts[table.owner(table.position(hash(&key.to_le_bytes())))] += 1;
        }
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 2e3).powi(2) / 2e3).sum();
        assert!(chi < 27.9, "p = 0.001 with 9 degrees of freedom: {counts:?}");
    }

    #[test]
    fn one_that_comes_or_goes_moves_little_more_than_its_own_keys() {
        for count in [2u32, 10, 100] {
            let (fewer, more) = (names(0..count), names(0..count + 1));
            let (before, after) =
                (table(&fewer, &vec![1.0; fewer.len()]), table(&more, &vec![1.0; more.len()]));
            let moved = (0..PLACES).filter(|&at| fewer[before.owner(at)] != more[after.owner(at)]).count();
            let (moved, due) = (moved as f64 / PLACES as f64, 1.0 / f64::from(count + 1));
            assert!((due - 0.001..due + 0.02).contains(&moved), "{moved} moved, {due} are due");
        }
    }

    #[test]
    fn more_instances_than_places_are_no_trouble() {
        let table = table(&names(0..70_000), &vec![1.0; 70_000]);
        assert!((0..table.len()).all(|at| table.owner(at) < MOST));
    }
}
