//! Weights as a sequence of turns, made once per table, so that a weighted choice costs what an even one does.

/// Most turns of one schedule: 64 KiB, and weights are met within a sixteen-thousandth of the whole.
const MOST: usize = 1 << 14;
/// Turns per instance where the weights are not small whole numbers.
const EACH: usize = 64;
/// The golden ratio's fraction: multiples of it are spread evenly however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Whose turn it is, cyclically: each index as often as its weight says and, as with nginx's smooth weighted round
/// robin, spread over the whole. The order is that of stride scheduling (Waldspurger and Weihl 1995, "Stride
/// Scheduling: Deterministic Proportional-Share Resource Management"): of an index with `n` turns, the k-th comes at
/// (k + phase) / n.
pub(super) struct Schedule(Box<[u32]>);

impl Schedule {
    /// For weights above 0, at least one.
    pub(super) fn new(weights: &[f64]) -> Self {
        let turns = whole(weights).unwrap_or_else(|| rounded(weights));
        let mut order = Vec::with_capacity(turns.iter().sum());
        for (index, &count) in turns.iter().enumerate() {
            let phase = ((index + 1) as f64 * GOLDEN).fract();
            order.extend((0..count).map(|k| ((k as f64 + phase) / count as f64, index as u32)));
        }
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        Schedule(order.into_iter().map(|(_, index)| index).collect())
    }

    /// Whose turn the `turn`-th is.
    #[inline]
    pub(super) fn nth(&self, turn: usize) -> usize {
        self.0[turn % self.0.len()] as usize
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whole weights as they are, without what they have in common, if that is not too many turns.
fn whole(weights: &[f64]) -> Option<Vec<usize>> {
    let exact = |weight: &f64| (weight.fract() == 0.0 && *weight < 1e9).then_some(*weight as usize);
    let turns: Vec<_> = weights.iter().map(exact).collect::<Option<_>>()?;
    let common = turns.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let turns: Vec<_> = turns.into_iter().map(|count| count / common).collect();
    (turns.iter().sum::<usize>() <= MOST).then_some(turns)
}

/// Any weights as near as so many turns get, each at least one.
fn rounded(weights: &[f64]) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let turns = (weights.len() * EACH).clamp(1024, MOST) as f64;
    weights.iter().map(|weight| ((weight / total * turns).round() as usize).max(1)).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(schedule: &Schedule, of: usize) -> Vec<usize> {
        let mut counts = vec![0; of];
        (0..schedule.len()).for_each(|turn| counts[schedule.nth(turn)] += 1);
        counts
    }

    #[test]
    fn small_whole_weights_are_met_exactly() {
        for weights in [vec![5.0, 1.0, 1.0], vec![1.0, 1.0], vec![3.0, 2.0, 4.0, 1.0]] {
            let schedule = Schedule::new(&weights);
            assert_eq!(
                counts(&schedule, weights.len()),
                weights.iter().map(|w| *w as usize).collect::<Vec<_>>().as_slice()
            );
        }
        assert_eq!(Schedule::new(&[300.0, 200.0, 100.0]).len(), 6);
    }

    #[test]
    fn other_weights_are_met_within_a_turn() {
        for weights in
            [vec![0.1, 1.0, 1.0], vec![65_535.0, 1.0], (1..=300).map(|n| f64::from(n) / 7.0).collect()]
        {
            let schedule = Schedule::new(&weights);
            let total: f64 = weights.iter().sum();
            for (count, weight) in counts(&schedule, weights.len()).into_iter().zip(&weights) {
                let due = weight / total * schedule.len() as f64;
                assert!(count > 0 && (count as f64 - due).abs() < 1.5, "{count} turns for {due}");
            }
            assert!(schedule.len() <= MOST + weights.len());
        }
    }

    #[test]
    fn a_heavy_one_never_comes_in_a_row_while_others_wait() {
        let schedule = Schedule::new(&[5.0, 3.0, 2.0, 2.0, 1.0]);
        let of_heavy: Vec<_> = (0..2 * schedule.len()).filter(|&turn| schedule.nth(turn) == 0).collect();
        // 13 turns for 5: every 2.6th.
        let widest = of_heavy.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest <= 4, "{of_heavy:?}");
        assert!(of_heavy.windows(3).all(|three| three[2] - three[0] > 2), "three in a row: {of_heavy:?}");
    }

    #[test]
    fn every_stretch_of_turns_has_its_share() {
        let weights: Vec<_> = (0..50).map(|n| f64::from(1 + n % 5)).collect();
        let schedule = Schedule::new(&weights);
        let stretch = schedule.len() / 3;
        for start in (0..schedule.len()).step_by(7) {
            let light = (start..start + stretch).filter(|&turn| schedule.nth(turn).is_multiple_of(5)).count();
            // A fifteenth of all turns are of weight 1.
            assert!((light as f64 - stretch as f64 / 15.0).abs() <= 2.0, "{light} of {stretch}");
        }
    }
}
