//! What is written to a registry whose answers get lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::{Changeset, RegistrationHandle, Running, Settings, Shared, State};
use crate::breaker::Breaker;
use crate::health::Check;
use crate::instance::Instance;
use crate::registry::Owner;
use crate::registry::fragile::Fragile;

#[tokio::test(start_paused = true)]
async fn going_back_to_the_old_value_is_written_when_the_new_one_may_have_been() {
    let registry = Arc::new(Fragile::default());
    let settings = Settings {
        registry: registry.clone(),
        counters: Arc::default(),
        breaker: Arc::new(Breaker::new(Arc::default())),
        owner: Owner::new(),
        ttl: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        check: Check::ttl(),
        wait_for_port: false,
        chosen_id: false,
    };
    let shared = Shared::new(Instance::new("billing", "10.0.0.1", 1), false);
    let running = Running::start(shared, settings, Handle::current(), Duration::ZERO);
    let registration = RegistrationHandle::new(running);
    registration.wait(State::Registered, Duration::from_secs(1)).await.unwrap();
    let weight = || registry.written.lock().unwrap().as_ref().unwrap().instance.weight;

    let wrong = registration.update(Changeset::new().weight(7));
    let right = async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(weight(), 7);
        registration.update(Changeset::new().weight(1)).await
    };
    let (wrong, right) = tokio::join!(wrong, right);
    wrong.and(right).unwrap();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(weight(), 1);
    assert!(registration.last_error().is_none());
}
