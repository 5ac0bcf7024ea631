//! Who may publish, replace and withdraw, and what each is told.

use super::child::Child;
use super::*;
use crate::registry::Loss;

async fn lost(publication: &mut Box<dyn Publication>) -> Loss {
    tokio::time::timeout(DEADLINE, publication.lost()).await.expect("no loss in time")
}

#[tokio::test]
async fn a_load_sees_what_was_accepted_before_it() {
    let scene = Scene::new();
    let (writer, reader) = (scene.client(), scene.client());
    let mut a = writer.publish("a", "1", TTL).await;
    let _ab = writer.publish("ab", "2", TTL).await;
    assert_eq!(reader.ids("a").await, ["1"], "and nothing of a service whose name begins the same");
    a.withdraw().await.unwrap();
    assert!(reader.ids("a").await.is_empty());
    assert_eq!(writer.registry.advertised_address().await.unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn a_live_owner_of_another_process_keeps_its_id_until_it_goes() {
    let scene = Scene::new();
    let client = scene.client();
    let mut other = Child::start(&scene.path());
    assert_eq!(other.ask("publish a 1 10000"), "registered");
    let publish = |claim| client.publish_of("a", "1", TTL, claim);
    let holder = held(client.registry.publish(publish(Claim::IfFree)).await.unwrap());
    assert!(holder.owner.as_ref().is_some_and(|owner| owner.same_machine(&client.owner)));
    // Another state of it is not what was claimed.
    held(client.registry.publish(publish(Claim::Replace(holder.version + 1))).await.unwrap());
    other.say("withdraw 1");
    tokio::time::timeout(DEADLINE, holder.released).await.expect("it was not told");
    ours(client.registry.publish(publish(Claim::IfFree)).await.unwrap());
}

#[tokio::test]
async fn a_killed_owner_is_replaced_without_waiting_for_the_reaper() {
    let scene = Scene::new();
    let mut other = Child::start(&scene.path());
    assert_eq!(other.ask("publish a 1 10000"), "registered");
    let client = scene.client();
    client.registry.ping().await.unwrap();
    other.kill();
    eventually("the process goes", || other.is_over());
    let _ours = client.publish("a", "1", TTL).await;
}

#[tokio::test]
async fn who_is_replaced_learns_by_whom_and_when_that_one_goes() {
    let scene = Scene::new();
    let (one, two) = (scene.client(), scene.client());
    let mut first = one.publish("a", "1", TTL).await;
    let version =
        held(two.registry.publish(two.publish_of("a", "1", TTL, Claim::IfFree)).await.unwrap()).version;
    let mut second =
        ours(two.registry.publish(two.publish_of("a", "1", TTL, Claim::Replace(version))).await.unwrap());
    let record = one.publish_of("a", "1", TTL, Claim::IfFree).record;
    let Loss::Taken(holder) = lost(&mut first).await else { panic!("gone") };
    assert_eq!(holder.owner, Some(two.owner.clone()));
    assert_eq!(first.update(record).await.unwrap_err().code(), crate::Code::Conflict);
    first.withdraw().await.unwrap();
    assert_eq!(one.ids("a").await, ["1"], "only the owner withdraws");
    second.withdraw().await.unwrap();
    tokio::time::timeout(DEADLINE, holder.released).await.expect("it was not told");
}

#[tokio::test]
async fn an_update_keeps_the_id_ours_and_frees_nothing() {
    let scene = Scene::new();
    let (one, two) = (scene.client(), scene.client());
    let mut first = one.publish("a", "1", TTL).await;
    let mut holder = held(two.registry.publish(two.publish_of("a", "1", TTL, Claim::IfFree)).await.unwrap());
    let mut follow = two.follow("a").await;
    let mut publish = one.publish_of("a", "1", TTL, Claim::IfFree);
    Arc::make_mut(&mut publish.record).instance.weight = 7;
    first.update(publish.record).await.unwrap();
    assert_eq!(next(&mut follow).await, ["1"]);
    let released = tokio::time::timeout(Duration::from_millis(50), &mut holder.released).await;
    assert!(released.is_err(), "the same owner still has it");
    first.withdraw().await.unwrap();
    tokio::time::timeout(DEADLINE, holder.released).await.expect("it was not told");
}

#[tokio::test]
async fn what_somebody_deletes_is_lost_at_once() {
    let scene = Scene::new();
    let client = scene.client();
    let mut publication = client.publish("a", "1", TTL).await;
    let mut other = client.publish("a", "2", TTL).await;
    sql(&scene, "DELETE FROM instances WHERE id = '1'");
    let Loss::Gone(error) = lost(&mut publication).await else { panic!("taken") };
    assert!(error.to_string().contains("a/1"));
    assert!(tokio::time::timeout(Duration::from_millis(50), other.lost()).await.is_err());
    let record = client.publish_of("a", "1", TTL, Claim::IfFree).record;
    assert_eq!(publication.update(record).await.unwrap_err().code(), crate::Code::NotFound);
}

#[tokio::test]
async fn a_dropped_publication_ends_after_its_time_and_its_neighbours_live_on() {
    let scene = Scene::new();
    let client = scene.client();
    let dropped = client.publish("a", "dropped", Duration::from_secs(1)).await;
    let _kept = client.publish("a", "kept", Duration::from_secs(1)).await;
    drop(dropped);
    assert_eq!(client.ids("a").await, ["dropped", "kept"]);
    let lived = client.wait_for("a", &["kept"]).await;
    assert!(lived >= Duration::from_millis(900), "{lived:?}");
}

#[tokio::test]
async fn a_publish_that_nobody_waits_for_leaves_nothing_that_is_renewed() {
    let scene = Scene::new();
    let client = scene.client();
    client.registry.ping().await.unwrap();
    for _ in 0..20 {
        let publish =
            client.registry.publish(client.publish_of("a", "1", Duration::from_secs(1), Claim::IfFree));
        let _ = tokio::time::timeout(Duration::from_micros(100), publish).await;
    }
    client.wait_for("a", &[]).await;
}

#[tokio::test]
async fn two_clients_of_one_process_share_one_owner_file() {
    let scene = Scene::new();
    let (one, two) = (scene.client(), scene.client());
    let mut first = one.publish("a", "1", TTL).await;
    let _second = two.publish("a", "2", TTL).await;
    let owner_files = || {
        let names = std::fs::read_dir(scene.owners()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| super::super::owner_file::is_name(name.to_str().unwrap())).count()
    };
    assert_eq!(owner_files(), 1);
    first.withdraw().await.unwrap();
    one.registry.close().await;
    drop((first, one));
    // A whole round of other processes' probing later, the other one's is still there.
    let mut reaper = Child::start(&scene.path());
    assert_eq!(reaper.ask("ping"), "ok");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(reaper.ask("load a"), "ids 2");
    drop((_second, two));
    eventually("the owner file is removed in good order", || owner_files() == 0);
}

#[tokio::test]
async fn garbage_is_skipped_counted_and_hides_no_neighbour() {
    let scene = Scene::new();
    let client = scene.client();
    let mut live = client.publish("a", "live", TTL).await;
    let _good = client.publish("a", "good", TTL).await;
    let mut follow = client.follow("a").await;
    for (id, body) in [
        ("null", "'null'"),
        ("empty", "''"),
        ("nothing", "NULL"),
        ("braces", "'{}'"),
        ("bytes", "x'fffe00'"),
        ("number", "7"),
        ("big", "zeroblob(1000000)"),
    ] {
        sql(
            &scene,
            &format!(
                "INSERT INTO instances (service, id, body, owner, expires_at, revision) VALUES ('a', '{id}', {body}, 'x', NULL, 0)"
            ),
        );
        assert_eq!(next(&mut follow).await, [format!("-{id}")]);
    }
    assert_eq!(client.ids("a").await, ["good", "live"]);
    assert_eq!(client.counters.undecodable.get(), 14);
    sql(&scene, "UPDATE instances SET body = 'garbage' WHERE id = 'live'");
    assert_eq!(next(&mut follow).await, ["-live"]);
    assert!(matches!(lost(&mut live).await, Loss::Taken(_)));
    assert_eq!(client.ids("a").await, ["good"]);
}

#[tokio::test]
async fn one_transaction_is_one_update_and_other_services_are_none() {
    let scene = Scene::new();
    let client = scene.client();
    let mut follow = client.follow("a").await;
    let mut names = client.registry.follow_names().await.unwrap();
    assert!(names.next().await.unwrap().is_empty());
    let _other = client.publish("b", "1", TTL).await;
    let rows: Vec<_> =
        (0..10).map(|id| format!("('a', '{id}', '{{\"address\":\"h\",\"port\":1}}', NULL)")).collect();
    sql(&scene, &format!("INSERT INTO instances (service, id, body, expires_at) VALUES {}", rows.join(",")));
    assert_eq!(next(&mut follow).await.len(), 10);
    let named = async { while names.next().await.unwrap() != ["a", "b"] {} };
    tokio::time::timeout(DEADLINE, named).await.unwrap();
}

#[tokio::test]
async fn a_follower_catches_up_from_its_position_or_is_told_to_reload() {
    let scene = Scene::new();
    let client = scene.client();
    let position = client.registry.load("a", None).await.unwrap().position;
    let mut one = client.publish("a", "1", TTL).await;
    let _two = client.publish("a", "2", TTL).await;
    one.withdraw().await.unwrap();
    let mut follow = client.registry.follow("a", position).await.unwrap();
    assert_eq!(next(&mut follow).await, ["2", "-1"]);
    let foreign = Position { epoch: position.epoch ^ 1, ..position };
    let mut follow = client.registry.follow("a", foreign).await.unwrap();
    assert!(matches!(follow.next().await.unwrap(), Update::Reload));
    sql(&scene, "UPDATE meta SET revision = revision + 20000");
    let mut follow = client.registry.follow("a", position).await.unwrap();
    assert!(matches!(follow.next().await.unwrap(), Update::Reload));
}

#[tokio::test]
async fn silence_is_told_from_death() {
    let scene = Scene::new();
    let client = scene.client();
    let mut follow = client.follow("a").await;
    let update = tokio::time::timeout(5 * Duration::from_secs(5), follow.next()).await.unwrap().unwrap();
    assert!(matches!(update, Update::Alive));
}

/// What another program does to the file.
pub(super) fn sql(scene: &Scene, statement: &str) {
    let connection = rusqlite::Connection::open(scene.path()).unwrap();
    connection.busy_timeout(DEADLINE).unwrap();
    connection.execute_batch(statement).unwrap();
}
