/* What a picker is opened with, keys, and who is ejected. */
#include "check.h"

static callsheet_client_t *with_instances(int count) {
    callsheet_client_t *client = connected(registry_url());
    for (int port = 1; port <= count; port++) {
        callsheet_registration_options_t options = options_of("billing", (uint16_t)port);
        options.address = "10.0.0.1";
        options.zone = port % 2 ? "odd" : "even";
        callsheet_registration_t *registration = NULL;
        OK(callsheet_register(client, &options, &registration, &error));
        callsheet_registration_free(registration);
    }
    callsheet_snapshot_t *snapshot = NULL;
    OK(callsheet_wait_for(client, "billing", NULL, (size_t)count, 10000, &snapshot, &error));
    callsheet_snapshot_free(snapshot);
    return client;
}

static callsheet_picker_t *opened(callsheet_client_t *client, const callsheet_picker_options_t *options) {
    callsheet_picker_t *picker = NULL;
    OK(callsheet_picker_open(client, "billing", options, &picker, &error));
    return picker;
}

static uint16_t home(callsheet_picker_t *picker, const char *key) {
    callsheet_pick_t pick;
    OK(callsheet_pick_key(picker, key, strlen(key), &pick, &error));
    uint16_t port = pick.port;
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    return port;
}

TEST(a_key_stays_with_its_instance) {
    callsheet_client_t *client = with_instances(10);
    const int32_t policies[] = {CALLSHEET_POLICY_RING_HASH, CALLSHEET_POLICY_MAGLEV};
    for (size_t i = 0; i < 2; i++) {
        callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
        options.policy = policies[i];
        callsheet_picker_t *picker = opened(client, &options);
        EVENTUALLY(callsheet_picker_len(picker) == 10, 10);
        bool seen[11] = {false};
        int different = 0;
        for (int number = 0; number < 100; number++) {
            char key[8];
            snprintf(key, sizeof key, "%d", number);
            uint16_t port = home(picker, key);
            CHECK(home(picker, key) == port);
            different += !seen[port];
            seen[port] = true;
            callsheet_pick_t pick;
            OK(callsheet_pick_key_within(picker, key, strlen(key), 10000, &pick, &error));
            CHECK(pick.port == port);
            const char *tried[] = {pick.id};
            callsheet_pick_t other, same;
            OK(callsheet_pick_key_other(picker, key, strlen(key), tried, 1, &other, &error));
            OK(callsheet_pick_key_other(picker, key, strlen(key), tried, 1, &same, &error));
            CHECK(other.port != port && other.port == same.port);
            callsheet_pick_done(&same, CALLSHEET_OUTCOME_OK);
            callsheet_pick_done(&other, CALLSHEET_OUTCOME_OK);
            callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
        }
        CHECK(different > 5);
        home(picker, "");
        callsheet_pick_t none;
        INVALID(callsheet_pick_key(picker, NULL, 1, &none, &error));
        callsheet_picker_free(picker);
    }
    close_client(client);
}

TEST(a_pick_for_a_key_is_waited_for) {
    callsheet_client_t *client = with_instances(2);
    callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
    options.policy = CALLSHEET_POLICY_MAGLEV;
    callsheet_picker_t *picker = opened(client, &options);
    EVENTUALLY(callsheet_picker_len(picker) == 2, 10);
    callsheet_call_t *call = NULL;
    char key[] = "a";
    OK(callsheet_pick_key_within_begin(picker, key, 1, 10000, 7, &call, &error));
    key[0] = 'b'; /* the library keeps its own copy */
    callsheet_event_t event;
    OK(callsheet_client_next_event(client, 10000, &event, &error));
    CHECK(event.kind == CALLSHEET_EVENT_CALL && event.tag == 7);
    callsheet_pick_t pick;
    OK(callsheet_call_take_pick(call, &pick, &error));
    CHECK(pick.port == home(picker, "a"));
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    callsheet_call_free(call);
    callsheet_picker_free(picker);
    close_client(client);
}

static size_t ejected(callsheet_picker_t *picker) {
    callsheet_names_t *names = NULL;
    OK(callsheet_picker_ejected(picker, &names, &error));
    size_t count = callsheet_names_len(names);
    if (count > 0)
        SAME(callsheet_names_get(names, 0), "10.0.0.1:2");
    callsheet_names_free(names);
    return count;
}

TEST(who_fails_is_ejected_unless_told_otherwise) {
    callsheet_client_t *client = with_instances(3);
    callsheet_ejection_options_t ejection = CALLSHEET_EJECTION_OPTIONS_INIT;
    callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
    options.policy = CALLSHEET_POLICY_ROUND_ROBIN;
    callsheet_picker_t *pickers[3];
    pickers[0] = opened(client, &options);
    options.ejection = &ejection;
    ejection.consecutive_failures = 2;
    pickers[1] = opened(client, &options);
    ejection.enabled = false;
    pickers[2] = opened(client, &options);
    for (size_t i = 0; i < 3; i++) {
        EVENTUALLY(callsheet_picker_len(pickers[i]) == 3, 10);
        for (int number = 0; number < 30; number++) {
            callsheet_pick_t pick;
            OK(callsheet_pick(pickers[i], &pick, &error));
            callsheet_pick_done(&pick, pick.port == 2 ? CALLSHEET_OUTCOME_FAILED : CALLSHEET_OUTCOME_OK);
        }
    }
    EVENTUALLY(ejected(pickers[0]) == 1 && ejected(pickers[1]) == 1, 10);
    CHECK(callsheet_picker_len(pickers[0]) == 2 && callsheet_picker_len(pickers[1]) == 2);
    CHECK(callsheet_picker_len(pickers[2]) == 3 && ejected(pickers[2]) == 0);
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    OK(callsheet_stats(client, &stats, &error));
    CHECK(stats.ejections == 2);
    for (size_t i = 0; i < 3; i++)
        callsheet_picker_free(pickers[i]);
    close_client(client);
}

#define REFUSED(field, value)                                                         \
    do {                                                                              \
        callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;           \
        callsheet_ejection_options_t ejection = CALLSHEET_EJECTION_OPTIONS_INIT;      \
        options.ejection = &ejection;                                                 \
        field = (value);                                                              \
        callsheet_picker_t *picker = NULL;                                            \
        INVALID(callsheet_picker_open(client, "billing", &options, &picker, &error)); \
        CHECK(picker == NULL);                                                        \
    } while (0)

TEST(options_that_are_not_allowed) {
    callsheet_client_t *client = with_instances(1);
    REFUSED(options.policy, 0);
    REFUSED(options.policy, 8);
    REFUSED(options.policy, -2147483647 - 1);
    REFUSED(options.subset, 0);
    REFUSED(options.subset, -2);
    REFUSED(options.panic_threshold, 101);
    REFUSED(options.slow_start_ms, 3600001);
    REFUSED(options.prefer_zone, "\xff");
    REFUSED(ejection.struct_size, 0);
    REFUSED(ejection.consecutive_failures, 1001);
    REFUSED(ejection.stdev_factor, 11);
    REFUSED(ejection.request_volume, 0);
    REFUSED(ejection.interval_ms, 99);
    REFUSED(ejection.base_ejection_time_ms, -2);
    REFUSED(ejection.max_ejection_percent, 51);
    close_client(client);
}

TEST(a_zone_is_preferred_and_a_subset_is_enough) {
    callsheet_client_t *client = with_instances(4);
    callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
    options.prefer_zone = "odd";
    callsheet_picker_t *near = opened(client, &options);
    EVENTUALLY(callsheet_picker_len(near) == 2, 10);
    options.prefer_zone = NULL;
    options.subset = 3;
    options.client_id = "pod-1";
    options.slow_start_ms = 1000;
    callsheet_picker_t *part = opened(client, &options);
    EVENTUALLY(callsheet_picker_len(part) == 3, 10);
    callsheet_picker_free(near);
    callsheet_picker_free(part);
    close_client(client);
}
