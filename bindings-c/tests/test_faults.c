/* A registry that fails, by the hand that tests have on memory: registries. */
#include "check.h"

static callsheet_memory_t *faulty(const char *name) {
    callsheet_memory_t *memory = NULL;
    OK(callsheet_memory_open(name, &memory, &error));
    return memory;
}

static callsheet_client_t *impatient(const char *url) {
    callsheet_connect_options_t options = CALLSHEET_CONNECT_OPTIONS_INIT;
    options.timeout_ms = 200;
    callsheet_client_t *client = NULL;
    OK(callsheet_connect(url, &options, &client, &error));
    return client;
}

/* The next snapshots until one is of this freshness. */
static callsheet_snapshot_t *until(callsheet_watch_t *watch, callsheet_freshness freshness) {
    for (;;) {
        callsheet_snapshot_t *snapshot = NULL;
        OK(callsheet_watch_next(watch, 20000, &snapshot, &error));
        if (callsheet_snapshot_freshness(snapshot) == freshness)
            return snapshot;
        callsheet_snapshot_free(snapshot);
    }
}

TEST(a_registry_that_is_down_costs_nothing_but_freshness) {
    callsheet_memory_t *memory = faulty("faults-down");
    callsheet_client_t *client = impatient("memory:faults-down");
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    callsheet_watch_t *watch = watching(client, "billing");
    until_len(watch, 1);
    callsheet_memory_unreachable(memory, true);
    callsheet_snapshot_t *stale = until(watch, CALLSHEET_FRESHNESS_STALE);
    CHECK(callsheet_snapshot_len(stale) == 1);
    const callsheet_error_t *why = callsheet_snapshot_last_error(stale);
    CHECK(callsheet_error_code(why) == CALLSHEET_UNAVAILABLE && callsheet_error_retryable(why));
    CHECK(strlen(callsheet_error_message(why)) > 0);
    callsheet_snapshot_free(stale);
    ENDS(CALLSHEET_UNAVAILABLE, callsheet_ping(client, &error));
    callsheet_snapshot_t *snapshot = NULL;
    ENDS(CALLSHEET_UNAVAILABLE, callsheet_lookup(client, "never-read", NULL, &snapshot, &error));
    CHECK(snapshot == NULL);
    callsheet_memory_unreachable(memory, false);
    callsheet_snapshot_free(until(watch, CALLSHEET_FRESHNESS_LIVE));
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    close_client(client);
    callsheet_memory_free(memory);
}

TEST(a_registry_that_refuses_is_told_as_such) {
    callsheet_memory_t *memory = faulty("faults-refuse");
    callsheet_client_t *client = impatient("memory:faults-refuse");
    callsheet_memory_refuse(memory, true);
    ENDS(CALLSHEET_PERMISSION_DENIED, callsheet_ping(client, &error));
    callsheet_registration_options_t options = options_of("billing", 8080);
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    CHECK(callsheet_registration_state(registration) == CALLSHEET_STATE_REFUSED);
    callsheet_error_t *why = callsheet_registration_last_error(registration);
    CHECK(callsheet_error_code(why) == CALLSHEET_PERMISSION_DENIED && !callsheet_error_retryable(why));
    callsheet_error_free(why);
    CHECK(callsheet_registration_wait(registration, CALLSHEET_STATE_REGISTERED, 20, &error) == CALLSHEET_TIMEOUT);
    CHECK(callsheet_error_code(callsheet_error_cause(error)) == CALLSHEET_PERMISSION_DENIED);
    callsheet_error_free(error);
    callsheet_memory_refuse(memory, false);
    callsheet_registration_free(registration);
    callsheet_client_close(client, NULL);
    callsheet_client_free(client);
    callsheet_memory_free(memory);
}

TEST(a_lost_lease_comes_back) {
    callsheet_memory_t *memory = faulty("faults-lease");
    callsheet_client_t *client = impatient("memory:faults-lease");
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    callsheet_states_t *states = NULL;
    OK(callsheet_states_open(registration, &states, &error));
    callsheet_state state;
    OK(callsheet_states_next(states, 10000, &state, NULL, &error));
    callsheet_memory_lose_leases(memory);
    callsheet_error_t *why = NULL;
    OK(callsheet_states_next(states, 20000, &state, &why, &error));
    CHECK(state == CALLSHEET_STATE_LOST && why != NULL);
    callsheet_error_free(why);
    OK(callsheet_states_next(states, 20000, &state, NULL, &error));
    CHECK(state == CALLSHEET_STATE_REGISTERED);
    callsheet_states_free(states);
    callsheet_registration_free(registration);
    close_client(client);
    callsheet_memory_free(memory);
}

TEST(what_another_tool_writes_is_seen) {
    callsheet_memory_t *memory = faulty("faults-put");
    callsheet_client_t *client = impatient("memory:faults-put");
    callsheet_watch_t *watch = watching(client, "billing");
    until_len(watch, 0);
    callsheet_registration_options_t foreign = options_of("billing", 9);
    foreign.id = "foreign";
    foreign.zone = "eu";
    OK(callsheet_memory_put(memory, &foreign, &error));
    until_len(watch, 1);
    callsheet_memory_compact(memory);
    callsheet_memory_answer_with_lists(memory, true);
    OK(callsheet_memory_delete(memory, "billing", "foreign", &error));
    until_len(watch, 0);
    callsheet_memory_change_identity(memory);
    OK(callsheet_memory_put(memory, &foreign, &error));
    until_len(watch, 1);
    foreign.address = NULL;
    INVALID(callsheet_memory_put(memory, &foreign, &error));
    foreign = options_of("billing", 0);
    INVALID(callsheet_memory_put(memory, &foreign, &error));
    callsheet_memory_t *open = memory;
    INVALID(callsheet_memory_open("no/name", &memory, &error));
    CHECK(memory == NULL);
    callsheet_watch_free(watch);
    close_client(client);
    callsheet_memory_free(open);
}

TEST(an_unproven_empty_list_and_a_wiped_registry) {
    callsheet_memory_t *memory = faulty("faults-empty");
    callsheet_client_t *client = impatient("memory:faults-empty");
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    callsheet_watch_t *watch = watching(client, "billing");
    until_len(watch, 1);
    callsheet_memory_answer_empty(memory, true);
    callsheet_snapshot_t *held = until(watch, CALLSHEET_FRESHNESS_STALE);
    CHECK(callsheet_snapshot_len(held) == 1);
    callsheet_snapshot_free(held);
    callsheet_memory_answer_empty(memory, false);
    callsheet_snapshot_free(until(watch, CALLSHEET_FRESHNESS_LIVE));
    callsheet_memory_wipe(memory);
    EVENTUALLY(callsheet_registration_state(registration) == CALLSHEET_STATE_REGISTERED, 20);
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    close_client(client);
    callsheet_memory_free(memory);
}

TEST(a_slow_registry_runs_into_the_timeout) {
    callsheet_memory_t *memory = faulty("faults-slow");
    callsheet_client_t *client = impatient("memory:faults-slow");
    callsheet_memory_slow(memory, 60000);
    ENDS(CALLSHEET_TIMEOUT, callsheet_ping(client, &error));
    ENDS(CALLSHEET_TIMEOUT, callsheet_wait_for(client, "billing", NULL, 1, 20, NULL, &error));
    callsheet_memory_slow(memory, 0);
    OK(callsheet_ping(client, &error));
    close_client(client);
    callsheet_memory_free(memory);
}
