//! The rows of `make bench` that are measured in Rust, as JSON lines for `bench.py`: each figure with the floor that
//! was measured beside it in the same run.

mod bare;
mod modes;
mod picks;
mod put;
mod put_catalog;
mod put_consul;
mod put_etcd;
mod put_local;
mod scale;

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use callsheet::{Client, Registration, block_on};
use rusqlite::Connection;

const ROUNDS: usize = 9;

type Error = Box<dyn std::error::Error>;
type Result<T, E = Error> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => first_list(),
        ["pick", policy, threads] => picks::ours(policy, threads.parse()?),
        ["floor", policy, threads] => picks::floor(policy, threads.parse()?),
        ["tower", "1"] => picks::tower(),
        ["follow", url, service] => modes::follow(url, service),
        ["hold", url, service] => modes::hold(url, service),
        ["watches", url] => modes::watches(url),
        ["arrive", url, service] => modes::arrive(url, service, 0),
        ["arrive-300", url, service] => modes::arrive(url, service, 300),
        ["spared", url, service] => modes::spared(url, service),
        ["first", url, service] => modes::first(url, service),
        ["register", url, count] => modes::register(url, count.parse()?),
        ["idle", url, count] => modes::idle(url, count.parse()?),
        ["bare", "arrive", endpoint, prefix] => bare::arrive(endpoint, prefix),
        ["bare", "first", endpoint, prefix] => bare::first(endpoint, prefix),
        ["bare", "hold", endpoint, prefix] => bare::hold(endpoint, prefix),
        ["scale-instances", url, service, count] => scale::instances(url, service, count.parse()?),
        ["scale-services", url, count] => scale::services(url, count.parse()?),
        ["scale-registrations", url, count] => scale::registrations(url, count.parse()?),
        ["put", registry, endpoint] => put::serve(registry, endpoint),
        // Itself as another process.
        ["provide", url] => provide(url),
        _ => Err(format!("nobody knows what {} means", arguments.join(" ")).into()),
    }
}

/// Several rounds, sorted: the fastest, the middle and the slowest.
fn spread(mut round: impl FnMut() -> f64) -> [f64; 3] {
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    [rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]]
}

fn row(name: &str, unit: &str, figure: [f64; 3], floor: &str, floor_figure: [f64; 3], goal: &str) {
    let row = serde_json::json!({
        "name": name, "unit": unit, "figure": figure, "floor": floor, "floor_figure": floor_figure, "goal": goal,
    });
    println!("{row}");
}

const COUNT: u32 = 10_000;

/// Registers `COUNT` instances, says so, and leaves when its input ends.
fn provide(url: &str) -> Result<()> {
    let provider = Client::builder().url(url).ttl(std::time::Duration::from_secs(3600)).connect()?;
    block_on(async {
        for n in 0..COUNT {
            let id = format!("i{n:05}");
            provider
                .register(Registration::new("billing").port(80).id(id).metadata("n", n.to_string()))
                .await?;
        }
        Ok::<_, callsheet::Error>(())
    })?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    block_on(provider.close())?;
    Ok(())
}

/// From nothing to a list of 10,000 instances, beside reading their bodies with SQLite alone.
fn first_list() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("registry.db");
    let url = format!("local://{}", path.display());
    let mut provider = Command::new(std::env::current_exe()?)
        .args(["provide", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = provider.stdout.as_mut().ok_or("the provider has no output")?;
    BufReader::new(said).read_line(&mut String::new())?;
    let loads = spread(|| {
        let began = Instant::now();
        let listed = Client::connect(&url).and_then(|client| {
            let listed = block_on(client.lookup("billing"))?.len();
            block_on(client.close())?;
            Ok(listed)
        });
        assert_eq!(listed.ok(), Some(COUNT as usize));
        began.elapsed().as_secs_f64() * 1e3
    });
    let bare = spread(|| {
        let began = Instant::now();
        assert_eq!(read_bare(&path).ok(), Some(COUNT as usize));
        began.elapsed().as_secs_f64() * 1e3
    });
    row(
        "Rust connect to first list of 10,000 instances, local:",
        "ms",
        loads,
        "SQLite and serde_json alone",
        bare,
        "-",
    );
    drop(provider.stdin.take());
    provider.wait()?;
    Ok(())
}

fn read_bare(path: &std::path::Path) -> Result<usize> {
    let connection = Connection::open(path)?;
    let mut statement = connection.prepare("SELECT body FROM instances WHERE service = 'billing'")?;
    let bodies = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let mut count = 0;
    for body in bodies {
        let _: serde_json::Value = black_box(serde_json::from_slice(&body?)?);
        count += 1;
    }
    Ok(count)
}
