/* What programs do wrong: each is an error or nothing, and never a crash. */
#include "check.h"

#define HUGE_TEXT (1 << 20)

static char *huge(void) {
    char *text = malloc(HUGE_TEXT + 1);
    CHECK(text != NULL);
    memset(text, 'x', HUGE_TEXT);
    text[HUGE_TEXT] = 0;
    return text;
}

TEST(null_is_nothing_where_nothing_can_fail) {
    callsheet_client_free(NULL);
    callsheet_registration_free(NULL);
    callsheet_watch_free(NULL);
    callsheet_names_watch_free(NULL);
    callsheet_states_free(NULL);
    callsheet_snapshot_free(NULL);
    callsheet_changes_free(NULL);
    callsheet_instance_free(NULL);
    callsheet_names_free(NULL);
    callsheet_picker_free(NULL);
    callsheet_subscription_free(NULL);
    callsheet_call_free(NULL);
    callsheet_memory_free(NULL);
    callsheet_error_free(NULL);
    callsheet_pick_done(NULL, CALLSHEET_OUTCOME_OK);
    callsheet_call_cancel(NULL);
    callsheet_watch_close(NULL);
    callsheet_names_watch_close(NULL);
    callsheet_states_close(NULL);
    callsheet_watch_set_tag(NULL, 1);
    callsheet_names_watch_set_tag(NULL, 1);
    callsheet_states_set_tag(NULL, 1);
    CHECK(callsheet_watch_fd(NULL) == -1 && callsheet_names_watch_fd(NULL) == -1);
    CHECK(callsheet_states_fd(NULL) == -1 && callsheet_client_fd(NULL) == -1);
    CHECK(callsheet_watch_skipped(NULL) == 0 && callsheet_watch_is_closed(NULL));
    CHECK(callsheet_error_code(NULL) == CALLSHEET_OK && !callsheet_error_retryable(NULL));
    CHECK(callsheet_error_cause(NULL) == NULL && callsheet_error_errno(NULL) == 0);
    SAME(callsheet_error_message(NULL), "");
    CHECK(callsheet_snapshot_len(NULL) == 0 && callsheet_snapshot_get(NULL, 0) == NULL);
    CHECK(callsheet_snapshot_find(NULL, "x") == NULL && callsheet_snapshot_revision(NULL) == 0);
    CHECK(callsheet_snapshot_last_error(NULL) == NULL && callsheet_snapshot_age_ms(NULL) == 0);
    CHECK(callsheet_snapshot_freshness(NULL) == CALLSHEET_FRESHNESS_STALE);
    CHECK(callsheet_snapshot_clone(NULL) == NULL && callsheet_snapshot_changes_since(NULL, NULL) == NULL);
    SAME(callsheet_snapshot_service(NULL), "");
    SAME(callsheet_snapshot_source(NULL), "");
    CHECK(callsheet_changes_len(NULL, CALLSHEET_CHANGE_ADDED) == 0);
    CHECK(callsheet_changes_get(NULL, CALLSHEET_CHANGE_ADDED, 0) == NULL);
    CHECK(callsheet_names_len(NULL) == 0 && callsheet_names_get(NULL, 0) == NULL);
    SAME(callsheet_instance_id(NULL), "");
    SAME(callsheet_instance_url(NULL), "");
    CHECK(callsheet_instance_port(NULL) == 0 && callsheet_instance_weight(NULL) == 0);
    CHECK(callsheet_instance_status(NULL) == CALLSHEET_STATUS_CRITICAL);
    CHECK(callsheet_instance_tags_len(NULL) == 0 && callsheet_instance_tag(NULL, 0) == NULL);
    CHECK(callsheet_instance_metadata(NULL, "x") == NULL && callsheet_instance_copy(NULL) == NULL);
    SAME(callsheet_registration_id(NULL), "");
    CHECK(callsheet_registration_state(NULL) == CALLSHEET_STATE_CLOSED);
    CHECK(callsheet_registration_last_error(NULL) == NULL && callsheet_registration_instance(NULL) == NULL);
    SAME(callsheet_client_source(NULL), "");
    CHECK(callsheet_client_timeout_ms(NULL) == 0 && callsheet_client_is_closed(NULL));
    CHECK(callsheet_picker_len(NULL) == 0);
    SAME(callsheet_picker_service(NULL), "");
    callsheet_memory_unreachable(NULL, true);
    callsheet_memory_refuse(NULL, true);
    callsheet_memory_slow(NULL, 1);
    callsheet_memory_answer_empty(NULL, true);
    callsheet_memory_answer_with_lists(NULL, true);
    callsheet_memory_lose_leases(NULL);
    callsheet_memory_compact(NULL);
    callsheet_memory_change_identity(NULL);
    callsheet_memory_wipe(NULL);
    SAME(callsheet_code_name(-1), "");
    SAME(callsheet_state_name(0), "");
    SAME(callsheet_status_name(99), "");
    SAME(callsheet_freshness_name(99), "");
    SAME(callsheet_policy_name(99), "");
}

TEST(null_is_an_invalid_argument_elsewhere) {
    callsheet_client_t *client = connected("memory:"), *none = NULL;
    callsheet_registration_options_t options = options_of("billing", 8080);
    callsheet_registration_t *registration = registered(client, "billing", 8080), *made = NULL;
    callsheet_watch_t *watch = NULL;
    callsheet_names_watch_t *names_watch = NULL;
    callsheet_snapshot_t *snapshot = NULL;
    callsheet_names_t *names = NULL;
    callsheet_picker_t *picker = NULL;
    callsheet_pick_t pick;
    callsheet_states_t *states = NULL;
    callsheet_state state;
    callsheet_event_t event;
    callsheet_call_t *call = NULL;
    callsheet_memory_t *memory = NULL;
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    callsheet_on_change_closure_t change = {NULL, NULL, NULL};
    callsheet_on_state_closure_t on_state = {NULL, NULL, NULL};

    INVALID(callsheet_connect("memory:", NULL, NULL, &error));
    INVALID(callsheet_register(NULL, &options, &made, &error));
    INVALID(callsheet_register(client, NULL, &made, &error));
    INVALID(callsheet_register(client, &options, NULL, &error));
    INVALID(callsheet_registration_find(client, NULL, &made, &error));
    INVALID(callsheet_registration_find(client, "x", NULL, &error));
    INVALID(callsheet_deregister(NULL, "x", &error));
    INVALID(callsheet_deregister(client, NULL, &error));
    INVALID(callsheet_registration_ready(NULL, 0, &error));
    INVALID(callsheet_registration_wait(NULL, CALLSHEET_STATE_REGISTERED, 0, &error));
    INVALID(callsheet_registration_update(NULL, NULL, &error));
    OK(callsheet_registration_update(registration, NULL, &error)); /* changes nothing */
    INVALID(callsheet_registration_set_status(NULL, CALLSHEET_STATUS_PASSING, NULL, &error));
    OK(callsheet_registration_set_status(registration, CALLSHEET_STATUS_PASSING, NULL, &error));
    INVALID(callsheet_registration_drain(NULL, &error));
    INVALID(callsheet_registration_beat(NULL, &error));
    INVALID(callsheet_registration_close(NULL, &error));
    INVALID(callsheet_lookup(NULL, "billing", NULL, &snapshot, &error));
    INVALID(callsheet_lookup(client, NULL, NULL, &snapshot, &error));
    INVALID(callsheet_lookup(client, "billing", NULL, NULL, &error));
    INVALID(callsheet_wait_for(NULL, "billing", NULL, 1, 0, &snapshot, &error));
    INVALID(callsheet_wait_for(client, NULL, NULL, 1, 0, &snapshot, &error));
    OK(callsheet_wait_for(client, "billing", NULL, 1, 10000, NULL, &error));
    INVALID(callsheet_watch_open(NULL, "billing", NULL, &watch, &error));
    INVALID(callsheet_watch_open(client, NULL, NULL, &watch, &error));
    INVALID(callsheet_watch_open(client, "billing", NULL, NULL, &error));
    INVALID(callsheet_watch_next(NULL, 0, &snapshot, &error));
    INVALID(callsheet_services(NULL, &names, &error));
    INVALID(callsheet_services(client, NULL, &error));
    INVALID(callsheet_watch_services(NULL, &names_watch, &error));
    INVALID(callsheet_watch_services(client, NULL, &error));
    INVALID(callsheet_names_watch_next(NULL, 0, &names, &error));
    INVALID(callsheet_ping(NULL, &error));
    INVALID(callsheet_close_on_signals(NULL, &error));
    INVALID(callsheet_client_close(NULL, &error));
    INVALID(callsheet_client_next(NULL, 0, &watch, &error));
    INVALID(callsheet_client_next(client, 0, NULL, &error));
    INVALID(callsheet_client_next_event(NULL, 0, &event, &error));
    INVALID(callsheet_client_next_event(client, 0, NULL, &error));
    INVALID(callsheet_stats(NULL, &stats, &error));
    INVALID(callsheet_stats(client, NULL, &error));
    INVALID(callsheet_picker_open(NULL, "billing", NULL, &picker, &error));
    INVALID(callsheet_picker_open(client, NULL, NULL, &picker, &error));
    INVALID(callsheet_picker_open(client, "billing", NULL, NULL, &error));
    INVALID(callsheet_pick(NULL, &pick, &error));
    CHECK(pick.instance == NULL);
    INVALID(callsheet_pick_within(NULL, 0, &pick, &error));
    INVALID(callsheet_pick_other(NULL, NULL, 0, &pick, &error));
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    INVALID(callsheet_pick(picker, NULL, &error));
    INVALID(callsheet_pick_other(picker, NULL, 1, &pick, &error));
    INVALID(callsheet_states_open(NULL, &states, &error));
    INVALID(callsheet_states_open(registration, NULL, &error));
    INVALID(callsheet_states_next(NULL, 0, &state, NULL, &error));
    OK(callsheet_states_open(registration, &states, &error));
    INVALID(callsheet_states_next(states, 0, NULL, NULL, &error));
    INVALID(callsheet_on_change(client, "billing", NULL, change, NULL, &error));
    INVALID(callsheet_on_change(NULL, "billing", NULL, change, NULL, &error));
    INVALID(callsheet_on_state(registration, on_state, NULL, &error));
    INVALID(callsheet_on_state(NULL, on_state, NULL, &error));
    INVALID(callsheet_subscription_close(NULL, &error));
    INVALID(callsheet_memory_open(NULL, &memory, &error));
    INVALID(callsheet_memory_open("x", NULL, &error));
    INVALID(callsheet_memory_put(NULL, &options, &error));
    INVALID(callsheet_memory_delete(NULL, "x", "y", &error));
    INVALID(callsheet_register_begin(client, &options, 0, NULL, &error));
    INVALID(callsheet_register_begin(NULL, &options, 0, &call, &error));
    INVALID(callsheet_lookup_begin(client, NULL, NULL, 0, &call, &error));
    INVALID(callsheet_ping_begin(NULL, 0, &call, &error));
    INVALID(callsheet_call_result(NULL, &error));
    INVALID(callsheet_call_take_snapshot(NULL, &snapshot, &error));
    CHECK(call == NULL && made == NULL && watch == NULL && snapshot == NULL && names == NULL && none == NULL);

    /* And without anyone who wants to know why. */
    CHECK(callsheet_ping(NULL, NULL) == CALLSHEET_INVALID_ARGUMENT);
    callsheet_states_free(states);
    callsheet_picker_free(picker);
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(arguments_out_of_range_are_refused) {
    callsheet_client_t *client = connected("memory:");
    callsheet_registration_t *made = NULL;
    const int64_t ports[] = {0, 65536, -1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        callsheet_registration_options_t options = options_of("billing", ports[i]);
        CHECK(callsheet_register(client, &options, &made, &error) == CALLSHEET_INVALID_ARGUMENT);
        CHECK(strstr(callsheet_error_message(error), "1 to 65535"));
        callsheet_error_free(error);
        error = NULL;
    }
    callsheet_registration_options_t options = options_of("no/slash", 1);
    INVALID(callsheet_register(client, &options, &made, &error));
    options = options_of("billing", 1);
    options.weight = 0;
    INVALID(callsheet_register(client, &options, &made, &error));
    options = options_of("billing", 1);
    options.ttl_ms = 10;
    INVALID(callsheet_register(client, &options, &made, &error));
    options.ttl_ms = -5000;
    INVALID(callsheet_register(client, &options, &made, &error));
    options.ttl_ms = -1;
    options.drain_ms = INT64_MIN;
    INVALID(callsheet_register(client, &options, &made, &error));
    options.drain_ms = INT64_MAX;
    INVALID(callsheet_register(client, &options, &made, &error));
    options = options_of("billing", 1);
    options.tags_len = 1;
    INVALID(callsheet_register(client, &options, &made, &error));
    const char *no_tag[] = {NULL};
    options.tags = no_tag;
    INVALID(callsheet_register(client, &options, &made, &error));
    options.tags_len = SIZE_MAX;
    INVALID(callsheet_register(client, &options, &made, &error));

    callsheet_check_options_t check = CALLSHEET_CHECK_OPTIONS_INIT;
    options = options_of("billing", 1);
    options.check = &check;
    check.kind = 99;
    INVALID(callsheet_register(client, &options, &made, &error));
    check.kind = CALLSHEET_CHECK_HEARTBEAT;
    INVALID(callsheet_register(client, &options, &made, &error));
    check.kind = CALLSHEET_CHECK_TCP;
    check.address = "127.0.0.1";
    INVALID(callsheet_register(client, &options, &made, &error));
    check.port = 65536;
    INVALID(callsheet_register(client, &options, &made, &error));
    check.kind = CALLSHEET_CHECK_HTTP;
    INVALID(callsheet_register(client, &options, &made, &error));
    check.target = "/health";
    check.interval_ms = 1;
    INVALID(callsheet_register(client, &options, &made, &error));
    check = (callsheet_check_options_t)CALLSHEET_CHECK_OPTIONS_INIT;
    check.kind = CALLSHEET_CHECK_GRPC;
    check.target = "billing";
    INVALID(callsheet_register(client, &options, &made, &error));
    check.target = NULL;
    check.deregister_critical_after_ms = 59999;
    INVALID(callsheet_register(client, &options, &made, &error));

    callsheet_registration_t *registration = registered(client, "billing", 8080);
    INVALID(callsheet_registration_wait(registration, 0, 0, &error));
    INVALID(callsheet_registration_set_status(registration, 99, NULL, &error));
    callsheet_update_options_t changes = CALLSHEET_UPDATE_OPTIONS_INIT;
    changes.weight = 65536;
    INVALID(callsheet_registration_update(registration, &changes, &error));
    callsheet_picker_options_t picking = CALLSHEET_PICKER_OPTIONS_INIT;
    callsheet_picker_t *picker = NULL;
    picking.policy = 99;
    INVALID(callsheet_picker_open(client, "billing", &picking, &picker, &error));
    callsheet_log_closure_t log = {NULL, NULL, NULL};
    INVALID(callsheet_set_log(0, log, &error));
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(options_without_their_initialiser_are_refused) {
    callsheet_client_t *client = connected("memory:"), *none = NULL;
    callsheet_registration_options_t options;
    memset(&options, 0, sizeof options);
    callsheet_registration_t *made = NULL;
    INVALID(callsheet_register(client, &options, &made, &error));
    options = options_of("billing", 1);
    options.struct_size = sizeof options + 8; /* of a newer header */
    INVALID(callsheet_register(client, &options, &made, &error));
    callsheet_connect_options_t connecting;
    memset(&connecting, 0, sizeof connecting);
    ENDS(CALLSHEET_CONFIG, callsheet_connect("memory:", &connecting, &none, &error));
    callsheet_filter_options_t filter;
    memset(&filter, 0, sizeof filter);
    callsheet_snapshot_t *snapshot = NULL;
    INVALID(callsheet_lookup(client, "billing", &filter, &snapshot, &error));
    close_client(client);
}

TEST(texts_that_are_no_utf_8_are_refused) {
    const char *broken = "b\xff\xfe", *truncated = "\xe2\x82";
    callsheet_client_t *client = connected("memory:"), *none = NULL;
    ENDS(CALLSHEET_CONFIG, callsheet_connect(broken, NULL, &none, &error));
    callsheet_connect_options_t options = CALLSHEET_CONNECT_OPTIONS_INIT;
    options.token = truncated;
    ENDS(CALLSHEET_CONFIG, callsheet_connect("memory:", &options, &none, &error));
    callsheet_snapshot_t *snapshot = NULL;
    INVALID(callsheet_lookup(client, broken, NULL, &snapshot, &error));
    callsheet_filter_options_t filter = CALLSHEET_FILTER_OPTIONS_INIT;
    filter.zone = broken;
    INVALID(callsheet_lookup(client, "billing", &filter, &snapshot, &error));
    callsheet_registration_t *made = NULL;
    callsheet_registration_options_t registering = options_of(broken, 1);
    INVALID(callsheet_register(client, &registering, &made, &error));
    const callsheet_pair_t pairs[] = {{"key", truncated}};
    registering = options_of("billing", 1);
    registering.metadata = pairs;
    registering.metadata_len = 1;
    INVALID(callsheet_register(client, &registering, &made, &error));
    callsheet_registration_t *registration = registered(client, "billing", 1);
    INVALID(callsheet_registration_set_status(registration, CALLSHEET_STATUS_WARNING, broken, &error));
    INVALID(callsheet_deregister(client, broken, &error));
    OK(callsheet_lookup(client, "billing", NULL, &snapshot, &error));
    CHECK(callsheet_snapshot_find(snapshot, broken) == NULL && callsheet_snapshot_find(snapshot, NULL) == NULL);
    CHECK(callsheet_instance_metadata(callsheet_snapshot_get(snapshot, 0), NULL) == NULL);
    callsheet_snapshot_free(snapshot);
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(a_megabyte_of_metadata_is_refused_in_few_words) {
    callsheet_client_t *client = connected("memory:");
    char *text = huge();
    const callsheet_pair_t value[] = {{"key", text}}, key[] = {{text, "value"}};
    const callsheet_pair_t *both[] = {value, key};
    callsheet_registration_t *made = NULL;
    for (size_t i = 0; i < 2; i++) {
        callsheet_registration_options_t options = options_of("billing", 1);
        options.metadata = both[i];
        options.metadata_len = 1;
        CHECK(callsheet_register(client, &options, &made, &error) == CALLSHEET_INVALID_ARGUMENT);
        CHECK(strlen(callsheet_error_message(error)) < 400);
        callsheet_error_free(error);
        error = NULL;
    }
    callsheet_registration_options_t options = options_of(text, 1);
    INVALID(callsheet_register(client, &options, &made, &error));
    callsheet_client_t *none = NULL;
    ENDS(CALLSHEET_CONFIG, callsheet_connect(text, NULL, &none, &error));
    free(text);
    close_client(client);
}

TEST(free_comes_in_any_order_and_close_as_often_as_one_likes) {
    callsheet_client_t *client = connected("memory:");
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    callsheet_watch_t *watch = watching(client, "billing");
    callsheet_picker_t *picker = NULL;
    callsheet_states_t *states = NULL;
    callsheet_names_watch_t *names = NULL;
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    OK(callsheet_states_open(registration, &states, &error));
    OK(callsheet_watch_services(client, &names, &error));
    callsheet_client_free(client); /* before it was closed, and before everything that was made of it */

    until_len(watch, 1);
    callsheet_pick_t pick;
    OK(callsheet_pick(picker, &pick, &error));
    callsheet_picker_free(picker);
    callsheet_watch_close(watch);
    callsheet_watch_close(watch);
    callsheet_watch_free(watch);
    OK(callsheet_registration_close(registration, &error));
    OK(callsheet_registration_close(registration, &error));
    callsheet_registration_free(registration);
    callsheet_states_close(states);
    callsheet_states_close(states);
    callsheet_states_free(states);
    callsheet_names_watch_free(names);
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_FAILED);

    client = connected("memory:");
    OK(callsheet_client_close(client, &error));
    OK(callsheet_client_close(client, &error));
    callsheet_snapshot_t *snapshot = NULL;
    ENDS(CALLSHEET_CLOSED, callsheet_lookup(client, "billing", NULL, &snapshot, &error));
    ENDS(CALLSHEET_CLOSED, callsheet_watch_open(client, "billing", NULL, &watch, &error));
    callsheet_client_free(client);
}

TEST(nested_and_foreign_errors_say_why) {
    callsheet_client_t *none = NULL;
    callsheet_connect_options_t options = CALLSHEET_CONNECT_OPTIONS_INIT;
    const callsheet_pair_t more[] = {{"tll", "1s"}};
    options.more = more;
    options.more_len = 1;
    CHECK(callsheet_connect("memory:", &options, &none, &error) == CALLSHEET_CONFIG);
    CHECK(strstr(callsheet_error_message(error), "ttl") && !callsheet_error_retryable(error));
    callsheet_error_free(error);
    error = NULL;
    options.more_len = 0;
    options.ttl_ms = 1;
    ENDS(CALLSHEET_CONFIG, callsheet_connect("memory:", &options, &none, &error));
    options.ttl_ms = 2000;
    options.timeout_ms = 50;
    options.drain_ms = 0;
    options.empty_hold_ms = 1000;
    options.cache_size = 10;
    OK(callsheet_connect("memory:", &options, &none, &error));
    CHECK(callsheet_client_timeout_ms(none) == 50);
    close_client(none);
}
