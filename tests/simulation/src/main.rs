//! `make simulate`: every policy on the same bad day, and a thousand clients of a thousand instances, in simulated
//! time. Prints what it found, and writes it into `docs/balancing.md` and its picture.

mod day;
mod page;
mod subsets;
mod world;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use callsheet::{Ejection, PickerOptions, Policy};
use page::Row;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Newcomers' time with less than their share, in the row that has it.
const SLOW_START: Duration = Duration::from_secs(15);

const SIZES: [usize; 4] = [10, 20, 50, 100];

fn main() -> Result<()> {
    let found = Found::new()?;
    println!("{}\n{}", found.policies, found.subsets);
    let page = fs::read_to_string(docs().join("balancing.md"))?;
    fs::write(docs().join("balancing.md"), found.written_into(&page)?)?;
    fs::write(docs().join("images/balancing.svg"), found.picture)?;
    Ok(())
}

/// What `docs/balancing.md` shows.
struct Found {
    policies: String,
    subsets: String,
    picture: String,
}

impl Found {
    fn new() -> Result<Self> {
        let rows = rows()?;
        let spreads = SIZES.into_iter().map(subsets::spread).collect::<callsheet::Result<Vec<_>>>()?;
        let (policies, picture) = (page::policies(&rows), page::picture(&rows));
        Ok(Found { policies, picture, subsets: page::subsets(&spreads) })
    }

    fn written_into(&self, page: &str) -> Result<String> {
        let page = between(page, "policies", &self.policies)?;
        between(&page, "subsets", &self.subsets)
    }
}

fn rows() -> Result<Vec<Row>> {
    let policy = |name, policy| row(name, PickerOptions::new(policy));
    Ok(vec![
        policy("round_robin", Policy::RoundRobin)?,
        policy("random", Policy::Random)?,
        policy("weighted", Policy::Weighted)?,
        policy("least_outstanding", Policy::LeastOutstanding)?,
        policy("ring_hash", Policy::RingHash)?,
        policy("maglev", Policy::Maglev)?,
        policy("p2c", Policy::P2c)?,
        row("p2c, slow start", PickerOptions::new(Policy::P2c).slow_start(SLOW_START))?,
    ])
}

fn row(name: &'static str, options: PickerOptions) -> Result<Row> {
    let without = day::day(&options.clone().ejection(None))?;
    Ok(Row { name, without, with: day::day(&options.ejection(Ejection::new()))? })
}

/// The page with `table` between the two comments of this name.
fn between(page: &str, name: &str, table: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- simulated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let missing = || format!("docs/balancing.md has no place for the table of {name}");
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_the_simulation_finds() {
        let found = Found::new().unwrap();
        let page = fs::read_to_string(docs().join("balancing.md")).unwrap();
        assert_eq!(found.written_into(&page).unwrap(), page, "`make simulate` writes it anew");
        let picture = fs::read_to_string(docs().join("images/balancing.svg")).unwrap();
        assert_eq!(found.picture, picture, "`make simulate` draws it anew");
    }

    #[test]
    fn p2c_with_ejection_has_at_most_a_third_of_plain_round_robins_p99_and_errors() {
        let p2c = day::day(&PickerOptions::new(Policy::P2c)).unwrap();
        let turns = day::day(&PickerOptions::new(Policy::RoundRobin).ejection(None)).unwrap();
        assert!(p2c.p99 * 3 <= turns.p99, "{:?} and {:?}", p2c.p99, turns.p99);
        assert!(p2c.errors * 3.0 <= turns.errors, "{} and {}", p2c.errors, turns.errors);
    }
}
