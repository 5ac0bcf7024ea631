/* Every verb end to end, on the registry of $TEST_URL. */
#include "check.h"

TEST(what_is_registered_is_found) {
    callsheet_client_t *client = connected(registry_url());
    const char *tags[] = {"v2", "canary"};
    const callsheet_pair_t metadata[] = {{"team", "pay"}, {"empty", ""}};
    callsheet_registration_options_t options = options_of("billing", 8080);
    options.id = "one";
    options.scheme = "https";
    options.tags = tags;
    options.tags_len = 2;
    options.metadata = metadata;
    options.metadata_len = 2;
    options.weight = 7;
    options.zone = "eu-1";
    options.version = "1.2";
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    SAME(callsheet_registration_id(registration), "one");
    CHECK(callsheet_registration_id(registration) == callsheet_registration_id(registration));
    CHECK(callsheet_registration_last_error(registration) == NULL);

    callsheet_snapshot_t *snapshot = NULL;
    OK(callsheet_wait_for(client, "billing", NULL, 1, 10000, &snapshot, &error));
    CHECK(callsheet_snapshot_len(snapshot) == 1 && callsheet_snapshot_get(snapshot, 1) == NULL);
    SAME(callsheet_snapshot_service(snapshot), "billing");
    SAME(callsheet_snapshot_source(snapshot), callsheet_client_source(client));
    CHECK(callsheet_snapshot_freshness(snapshot) == CALLSHEET_FRESHNESS_LIVE);
    CHECK(callsheet_snapshot_revision(snapshot) > 0 && callsheet_snapshot_age_ms(snapshot) == 0);
    CHECK(callsheet_snapshot_last_error(snapshot) == NULL);

    const callsheet_instance_t *found = callsheet_snapshot_find(snapshot, "one");
    CHECK(found == callsheet_snapshot_get(snapshot, 0) && callsheet_snapshot_find(snapshot, "two") == NULL);
    callsheet_instance_t *copy = callsheet_instance_copy(found);
    callsheet_snapshot_t *again = callsheet_snapshot_clone(snapshot);
    callsheet_snapshot_free(snapshot);
    CHECK(callsheet_snapshot_get(again, 0) == found); /* made once, however many snapshots it is in */
    callsheet_snapshot_free(again);

    SAME(callsheet_instance_id(copy), "one");
    SAME(callsheet_instance_service(copy), "billing");
    SAME(callsheet_instance_address(copy), "10.0.0.1");
    SAME(callsheet_instance_scheme(copy), "https");
    SAME(callsheet_instance_zone(copy), "eu-1");
    SAME(callsheet_instance_version(copy), "1.2");
    SAME(callsheet_instance_url(copy), "https://10.0.0.1:8080");
    CHECK(callsheet_instance_port(copy) == 8080 && callsheet_instance_weight(copy) == 7);
    CHECK(callsheet_instance_status(copy) == CALLSHEET_STATUS_PASSING);
    CHECK(callsheet_instance_tags_len(copy) == 2 && callsheet_instance_tag(copy, 2) == NULL);
    SAME(callsheet_instance_tag(copy, 0), "v2");
    SAME(callsheet_instance_tag(copy, 1), "canary");
    CHECK(callsheet_instance_metadata_len(copy) == 2 && callsheet_instance_metadata_key(copy, 2) == NULL);
    SAME(callsheet_instance_metadata_key(copy, 0), "empty");
    SAME(callsheet_instance_metadata_value(copy, 1), "pay");
    SAME(callsheet_instance_metadata(copy, "team"), "pay");
    CHECK(callsheet_instance_metadata(copy, "none") == NULL);
    callsheet_instance_free(copy);

    callsheet_instance_t *published = callsheet_registration_instance(registration);
    SAME(callsheet_instance_url(published), "https://10.0.0.1:8080");
    callsheet_instance_free(published);
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(a_filter_lets_through_what_it_names) {
    callsheet_client_t *client = connected(registry_url());
    const char *tags[] = {"v2"};
    const callsheet_pair_t metadata[] = {{"team", "pay"}};
    callsheet_registration_options_t options = options_of("billing", 1);
    callsheet_registration_t *plain = NULL, *special = NULL;
    OK(callsheet_register(client, &options, &plain, &error));
    options = options_of("billing", 2);
    options.tags = tags;
    options.tags_len = 1;
    options.metadata = metadata;
    options.metadata_len = 1;
    options.zone = "eu-1";
    options.version = "3";
    OK(callsheet_register(client, &options, &special, &error));

    callsheet_filter_options_t filters[5];
    for (size_t i = 0; i < 5; i++) {
        callsheet_filter_options_t filter = CALLSHEET_FILTER_OPTIONS_INIT;
        filters[i] = filter;
    }
    filters[0].tags = tags;
    filters[0].tags_len = 1;
    filters[1].metadata = metadata;
    filters[1].metadata_len = 1;
    filters[2].zone = "eu-1";
    filters[3].version = "3";
    for (size_t i = 0; i < 5; i++) {
        callsheet_snapshot_t *snapshot = NULL;
        OK(callsheet_wait_for(client, "billing", &filters[i], i == 4 ? 2 : 1, 10000, &snapshot, &error));
        CHECK(callsheet_snapshot_len(snapshot) == (i == 4 ? 2 : 1));
        callsheet_snapshot_free(snapshot);
        OK(callsheet_lookup(client, "billing", &filters[i], &snapshot, &error));
        callsheet_snapshot_free(snapshot);
    }

    OK(callsheet_registration_drain(special, &error));
    callsheet_filter_options_t everything = CALLSHEET_FILTER_OPTIONS_INIT;
    everything.healthy = false;
    callsheet_watch_t *healthy = watching(client, "billing"), *all = NULL;
    OK(callsheet_watch_open(client, "billing", &everything, &all, &error));
    until_len(healthy, 1);
    until_len(all, 2);
    callsheet_watch_free(healthy);
    callsheet_watch_free(all);
    callsheet_registration_free(plain);
    callsheet_registration_free(special);
    close_client(client);
}

TEST(a_registration_is_changed_and_closed) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_registration_options_t options = options_of("billing", 8080);
    const char *tags[] = {"old"};
    options.tags = tags;
    options.tags_len = 1;
    options.hold = true;
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    CHECK(callsheet_registration_state(registration) == CALLSHEET_STATE_PENDING);
    ENDS(CALLSHEET_TIMEOUT, callsheet_registration_wait(registration, CALLSHEET_STATE_REGISTERED, 20, &error));
    OK(callsheet_registration_ready(registration, 10000, &error));
    OK(callsheet_registration_wait(registration, CALLSHEET_STATE_REGISTERED, 0, &error));

    const callsheet_pair_t metadata[] = {{"commit", "4f2a"}};
    callsheet_update_options_t changes = CALLSHEET_UPDATE_OPTIONS_INIT;
    changes.metadata = metadata;
    changes.metadata_len = 1;
    changes.tags = tags;
    changes.tags_len = 0; /* none from now on */
    changes.weight = 3;
    OK(callsheet_registration_update(registration, &changes, &error));
    OK(callsheet_registration_set_status(registration, CALLSHEET_STATUS_WARNING, "slow", &error));
    OK(callsheet_registration_beat(registration, &error));

    callsheet_client_t *other = strcmp(registry_url(), "memory:") == 0 ? client : connected(registry_url());
    callsheet_filter_options_t everything = CALLSHEET_FILTER_OPTIONS_INIT;
    everything.healthy = false;
    callsheet_watch_t *watch = NULL;
    OK(callsheet_watch_open(other, "billing", &everything, &watch, &error));
    for (bool seen = false; !seen;) {
        callsheet_snapshot_t *snapshot = NULL;
        OK(callsheet_watch_next(watch, 10000, &snapshot, &error));
        const callsheet_instance_t *now = callsheet_snapshot_get(snapshot, 0);
        seen = now && callsheet_instance_status(now) == CALLSHEET_STATUS_WARNING;
        if (seen) {
            CHECK(callsheet_instance_tags_len(now) == 0 && callsheet_instance_weight(now) == 3);
            SAME(callsheet_instance_metadata(now, "commit"), "4f2a");
        }
        callsheet_snapshot_free(snapshot);
    }

    callsheet_registration_t *found = NULL;
    OK(callsheet_registration_find(client, "10.0.0.1:8080", &found, &error));
    OK(callsheet_registration_close(found, &error));
    OK(callsheet_registration_close(registration, &error));
    CHECK(callsheet_registration_state(registration) == CALLSHEET_STATE_CLOSED);
    ENDS(CALLSHEET_CLOSED, callsheet_registration_beat(registration, &error));
    ENDS(CALLSHEET_CLOSED, callsheet_registration_update(registration, NULL, &error));
    ENDS(CALLSHEET_NOT_FOUND, callsheet_deregister(client, "10.0.0.1:8080", &error));
    until_len(watch, 0);
    callsheet_registration_free(found);
    callsheet_registration_free(registration);
    found = registered(client, "billing", 8081);
    OK(callsheet_deregister(client, "10.0.0.1:8081", &error));
    CHECK(callsheet_registration_state(found) == CALLSHEET_STATE_CLOSED);
    callsheet_registration_free(found);
    callsheet_watch_free(watch);
    if (other != client)
        close_client(other);
    close_client(client);
}

TEST(states_come_in_order_and_end) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_registration_options_t options = options_of("billing", 8080);
    options.hold = true;
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    callsheet_states_t *states = NULL;
    OK(callsheet_states_open(registration, &states, &error));
    OK(callsheet_registration_ready(registration, 10000, &error));
    OK(callsheet_registration_close(registration, &error));
    callsheet_state expected[] = {CALLSHEET_STATE_PENDING, CALLSHEET_STATE_REGISTERED, CALLSHEET_STATE_CLOSED};
    for (size_t i = 0; i < 3; i++) {
        callsheet_state state = CALLSHEET_STATE_LOST;
        callsheet_error_t *why = NULL;
        OK(callsheet_states_next(states, 10000, &state, &why, &error));
        CHECK(state == expected[i] && why == NULL);
    }
    callsheet_state state;
    ENDS(CALLSHEET_CLOSED, callsheet_states_next(states, 10000, &state, NULL, &error));
    callsheet_states_free(states);
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(names_are_listed_and_followed) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_names_watch_t *watch = NULL;
    OK(callsheet_watch_services(client, &watch, &error));
    callsheet_registration_t *b = registered(client, "names-b", 1), *a = registered(client, "names-a", 2);
    for (bool both = false; !both;) {
        callsheet_names_t *names = NULL;
        OK(callsheet_names_watch_next(watch, 10000, &names, &error));
        both = callsheet_names_len(names) == 2;
        if (both) {
            SAME(callsheet_names_get(names, 0), "names-a");
            SAME(callsheet_names_get(names, 1), "names-b");
            CHECK(callsheet_names_get(names, 2) == NULL);
        }
        callsheet_names_free(names);
    }
    callsheet_names_t *names = NULL;
    OK(callsheet_services(client, &names, &error));
    CHECK(callsheet_names_len(names) == 2);
    callsheet_names_free(names);
    callsheet_names_watch_close(watch);
    ENDS(CALLSHEET_CLOSED, callsheet_names_watch_next(watch, -1, &names, &error));
    callsheet_names_watch_free(watch);
    callsheet_registration_free(a);
    callsheet_registration_free(b);
    close_client(client);
}

TEST(a_watch_tells_what_changed) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_watch_t *watch = watching(client, "billing");
    callsheet_snapshot_t *before = NULL, *after = NULL;
    OK(callsheet_watch_next(watch, 10000, &before, &error));
    CHECK(callsheet_snapshot_len(before) == 0);
    ENDS(CALLSHEET_TIMEOUT, callsheet_watch_next(watch, 0, &after, &error));
    ENDS(CALLSHEET_TIMEOUT, callsheet_watch_next(watch, 20, &after, &error));
    CHECK(after == NULL && error == NULL && !callsheet_watch_is_closed(watch));
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    OK(callsheet_watch_next(watch, 10000, &after, &error));
    CHECK(callsheet_snapshot_revision(after) > callsheet_snapshot_revision(before));

    callsheet_changes_t *changes = callsheet_snapshot_changes_since(after, before);
    CHECK(callsheet_changes_len(changes, CALLSHEET_CHANGE_ADDED) == 1);
    SAME(callsheet_instance_id(callsheet_changes_get(changes, CALLSHEET_CHANGE_ADDED, 0)), "10.0.0.1:8080");
    CHECK(callsheet_changes_len(changes, CALLSHEET_CHANGE_REMOVED) == 0);
    CHECK(callsheet_changes_get(changes, CALLSHEET_CHANGE_CHANGED, 0) == NULL);
    callsheet_changes_free(changes);
    changes = callsheet_snapshot_changes_since(before, after);
    CHECK(callsheet_changes_len(changes, CALLSHEET_CHANGE_REMOVED) == 1);
    callsheet_changes_free(changes);
    changes = callsheet_snapshot_changes_since(after, NULL);
    callsheet_snapshot_free(before);
    callsheet_snapshot_free(after);
    CHECK(callsheet_changes_len(changes, CALLSHEET_CHANGE_ADDED) == 1);
    SAME(callsheet_instance_address(callsheet_changes_get(changes, CALLSHEET_CHANGE_ADDED, 0)), "10.0.0.1");
    callsheet_changes_free(changes);

    CHECK(callsheet_watch_skipped(watch) == 0);
    callsheet_registration_free(registration);
    close_client(client);
    CHECK(callsheet_watch_is_closed(watch));
    ENDS(CALLSHEET_CLOSED, callsheet_watch_next(watch, -1, &after, &error));
    callsheet_watch_free(watch);
}

TEST(a_picker_spreads_its_picks) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_registration_t *one = registered(client, "billing", 1), *two = registered(client, "billing", 2);
    OK(callsheet_wait_for(client, "billing", NULL, 2, 10000, NULL, &error));
    for (int32_t policy = CALLSHEET_POLICY_ROUND_ROBIN; policy <= CALLSHEET_POLICY_MAGLEV; policy++) {
        callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
        options.policy = policy;
        callsheet_picker_t *picker = NULL;
        OK(callsheet_picker_open(client, "billing", &options, &picker, &error));
        SAME(callsheet_picker_service(picker), "billing");
        EVENTUALLY(callsheet_picker_len(picker) == 2, 10);
        int seen[3] = {0, 0, 0};
        for (int i = 0; i < 200; i++) {
            callsheet_pick_t pick;
            OK(callsheet_pick(picker, &pick, &error));
            CHECK(pick.port == callsheet_instance_port(pick.instance));
            SAME(pick.id, callsheet_instance_id(pick.instance));
            SAME(pick.address, "10.0.0.1");
            SAME(pick.url, callsheet_instance_url(pick.instance));
            seen[pick.port]++;
            callsheet_pick_done(&pick, i % 7 ? CALLSHEET_OUTCOME_OK : CALLSHEET_OUTCOME_CANCELLED);
            CHECK(pick.instance == NULL && pick.id == NULL && pick.port == 0);
            callsheet_pick_done(&pick, CALLSHEET_OUTCOME_FAILED); /* reported already */
        }
        CHECK(seen[1] > 0 && seen[2] > 0 && seen[1] + seen[2] == 200);
        for (int i = 0; i < 20; i++) {
            callsheet_pick_t pick;
            OK(callsheet_pick_other(picker, (const char *[]){"10.0.0.1:1"}, 1, &pick, &error));
            CHECK(pick.port == 2);
            callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
        }
        callsheet_picker_free(picker);
    }
    callsheet_registration_free(one);
    callsheet_registration_free(two);
    close_client(client);
}

TEST(a_pick_waits_for_an_instance_and_outlives_everything) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_picker_t *picker = NULL;
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    callsheet_pick_t pick;
    ENDS(CALLSHEET_NO_INSTANCES, callsheet_pick(picker, &pick, &error));
    CHECK(pick.instance == NULL);
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    ENDS(CALLSHEET_NO_INSTANCES, callsheet_pick_within(picker, 20, &pick, &error));
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    OK(callsheet_pick_within(picker, 10000, &pick, &error));
    callsheet_registration_free(registration);
    close_client(client);
    callsheet_pick_t late;
    ENDS(CALLSHEET_CLOSED, callsheet_pick(picker, &late, &error));
    callsheet_picker_free(picker);
    SAME(pick.url, "http://10.0.0.1:8080");
    SAME(callsheet_instance_service(pick.instance), "billing");
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
}

TEST(a_client_answers_and_counts) {
    callsheet_client_t *client = connected(registry_url());
    OK(callsheet_ping(client, &error));
    CHECK(callsheet_client_timeout_ms(client) == 5000 && !callsheet_client_is_closed(client));
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    callsheet_watch_t *watch = watching(client, "billing");
    until_len(watch, 1);
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    OK(callsheet_stats(client, &stats, &error));
    CHECK(stats.registrations == 1 && stats.registered == 1 && stats.publishes == 1);
    CHECK(stats.watched_services == 1 && stats.live_services == 1 && stats.subscribers == 1 && stats.loads >= 1);
    CHECK(stats.callback_failures == 0 && stats.superseded == 0);

    /* A program of an older header has a shorter struct, and what is behind it stays. */
    callsheet_stats_t older = CALLSHEET_STATS_INIT;
    older.struct_size = sizeof older - sizeof(uint64_t);
    INVALID(callsheet_stats(client, &older, &error));

    callsheet_registration_options_t twice = options_of("billing", 8080);
    callsheet_registration_t *second = NULL;
    ENDS(CALLSHEET_CONFLICT, callsheet_register(client, &twice, &second, &error));
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    OK(callsheet_client_close(client, &error));
    CHECK(callsheet_client_is_closed(client));
    OK(callsheet_stats(client, &stats, &error));
    CHECK(stats.registrations == 0);
    ENDS(CALLSHEET_CLOSED, callsheet_ping(client, &error));
    ENDS(CALLSHEET_CLOSED, callsheet_close_on_signals(client, &error));
    callsheet_client_free(client);
}

TEST(close_withdraws_and_free_does_not) {
    if (strcmp(registry_url(), "memory:") == 0)
        return; /* a registry of the client's own goes with it */
    callsheet_client_t *owner = connected(registry_url()), *reader = connected(registry_url());
    callsheet_registration_free(registered(owner, "billing", 8080));
    callsheet_watch_t *watch = watching(reader, "billing");
    until_len(watch, 1);
    close_client(owner);
    until_len(watch, 0);
    callsheet_watch_free(watch);
    close_client(reader);
}
