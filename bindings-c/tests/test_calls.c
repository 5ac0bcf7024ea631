/* Calls that are begun: each is told once when it ends, and its answer taken without waiting. */
#include "check.h"

/* Waits for the end of `call`, which is the next event. */
static void ended(callsheet_client_t *client, callsheet_call_t *call, uint64_t tag) {
    callsheet_event_t event;
    CHECK(call != NULL);
    OK(callsheet_client_next_event(client, 20000, &event, &error));
    CHECK(event.kind == CALLSHEET_EVENT_CALL && event.object == call && event.tag == tag);
}

static void done(callsheet_client_t *client, callsheet_call_t *call, uint64_t tag) {
    ended(client, call, tag);
    OK(callsheet_call_result(call, &error));
    callsheet_call_free(call);
}

TEST(every_call_that_waits_can_be_begun) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_call_t *call = NULL;
    int fd = callsheet_client_fd(client);
    OK(callsheet_ping_begin(client, 1, &call, &error));
    CHECK(readable(fd, 20000));
    done(client, call, 1);
    CHECK(!readable(fd, 0));

    callsheet_registration_options_t options = options_of("billing", 8080);
    callsheet_registration_t *registration = NULL;
    options.hold = true;
    OK(callsheet_register_begin(client, &options, 2, &call, &error));
    ended(client, call, 2);
    OK(callsheet_call_take_registration(call, &registration, &error));
    callsheet_registration_t *twice = registration;
    INVALID(callsheet_call_take_registration(call, &twice, &error));
    CHECK(twice == NULL);
    callsheet_call_free(call);

    OK(callsheet_registration_ready_begin(registration, 10000, 3, &call, &error));
    done(client, call, 3);
    OK(callsheet_registration_wait_begin(registration, CALLSHEET_STATE_REGISTERED, 10000, 4, &call, &error));
    done(client, call, 4);
    callsheet_update_options_t changes = CALLSHEET_UPDATE_OPTIONS_INIT;
    changes.weight = 9;
    OK(callsheet_registration_update_begin(registration, &changes, 5, &call, &error));
    done(client, call, 5);
    OK(callsheet_registration_set_status_begin(registration, CALLSHEET_STATUS_PASSING, "well", 6, &call, &error));
    done(client, call, 6);

    callsheet_snapshot_t *snapshot = NULL;
    OK(callsheet_wait_for_begin(client, "billing", NULL, 1, 10000, 7, &call, &error));
    ended(client, call, 7);
    callsheet_names_t *names = NULL;
    INVALID(callsheet_call_take_names(call, &names, &error)); /* it has another answer, which stays */
    OK(callsheet_call_take_snapshot(call, &snapshot, &error));
    CHECK(callsheet_snapshot_len(snapshot) == 1);
    callsheet_snapshot_free(snapshot);
    callsheet_call_free(call);

    OK(callsheet_lookup_begin(client, "billing", NULL, 8, &call, &error));
    ended(client, call, 8);
    OK(callsheet_call_take_snapshot(call, &snapshot, &error));
    callsheet_snapshot_free(snapshot);
    callsheet_call_free(call);

    OK(callsheet_services_begin(client, 9, &call, &error));
    ended(client, call, 9);
    OK(callsheet_call_take_names(call, &names, &error));
    callsheet_names_free(names);
    callsheet_call_free(call);

    callsheet_picker_t *picker = NULL;
    OK(callsheet_picker_open_begin(client, "billing", NULL, 10, &call, &error));
    ended(client, call, 10);
    OK(callsheet_call_take_picker(call, &picker, &error));
    callsheet_call_free(call);
    callsheet_pick_t pick;
    OK(callsheet_pick_within_begin(picker, 10000, 11, &call, &error));
    ended(client, call, 11);
    OK(callsheet_call_take_pick(call, &pick, &error));
    SAME(pick.id, "10.0.0.1:8080");
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    callsheet_call_free(call);
    callsheet_picker_free(picker);

    OK(callsheet_registration_drain_begin(registration, 12, &call, &error));
    done(client, call, 12);
    OK(callsheet_registration_close_begin(registration, 13, &call, &error));
    done(client, call, 13);
    callsheet_registration_free(registration);
    registration = registered(client, "billing", 8081);
    OK(callsheet_deregister_begin(client, "10.0.0.1:8081", 14, &call, &error));
    done(client, call, 14);
    callsheet_registration_free(registration);

    OK(callsheet_client_close_begin(client, 15, &call, &error));
    done(client, call, 15);
    callsheet_event_t event;
    ENDS(CALLSHEET_CLOSED, callsheet_client_next_event(client, -1, &event, &error));
    CHECK(callsheet_client_is_closed(client));
    callsheet_client_free(client);
}

TEST(a_failed_call_gives_the_error_that_it_would_have_given) {
    callsheet_memory_t *memory = NULL;
    OK(callsheet_memory_open("calls-failed", &memory, &error));
    callsheet_memory_refuse(memory, true);
    callsheet_client_t *client = connected("memory:calls-failed");
    callsheet_call_t *call = NULL;
    OK(callsheet_ping_begin(client, 1, &call, &error));
    ended(client, call, 1);
    ENDS(CALLSHEET_PERMISSION_DENIED, callsheet_call_result(call, &error));
    ENDS(CALLSHEET_PERMISSION_DENIED, callsheet_call_result(call, &error));
    callsheet_call_free(call);
    OK(callsheet_lookup_begin(client, "no/name", NULL, 2, &call, &error));
    ended(client, call, 2);
    callsheet_snapshot_t *snapshot = NULL;
    INVALID(callsheet_call_take_snapshot(call, &snapshot, &error));
    callsheet_call_free(call);
    close_client(client);
    callsheet_memory_free(memory);
}

TEST(a_cancelled_call_ends_at_once) {
    callsheet_memory_t *memory = NULL;
    OK(callsheet_memory_open("calls-cancelled", &memory, &error));
    callsheet_memory_slow(memory, 60000);
    callsheet_connect_options_t connecting = CALLSHEET_CONNECT_OPTIONS_INIT;
    connecting.timeout_ms = 100;
    callsheet_client_t *client = NULL;
    OK(callsheet_connect("memory:calls-cancelled", &connecting, &client, &error));
    callsheet_call_t *call = NULL;
    callsheet_snapshot_t *snapshot = NULL;
    OK(callsheet_wait_for_begin(client, "billing", NULL, 1, -1, 5, &call, &error));
    ENDS(CALLSHEET_TIMEOUT, callsheet_call_result(call, &error)); /* it runs */
    ENDS(CALLSHEET_TIMEOUT, callsheet_call_take_snapshot(call, &snapshot, &error));
    double began = now();
    callsheet_call_cancel(call);
    ended(client, call, 5);
    CHECK(now() - began < 5);
    ENDS(CALLSHEET_CANCELLED, callsheet_call_result(call, &error));
    callsheet_call_cancel(call);
    callsheet_event_t event;
    ENDS(CALLSHEET_TIMEOUT, callsheet_client_next_event(client, 20, &event, &error)); /* once */
    callsheet_call_free(call);

    /* One that is freed while it runs is not told of. */
    OK(callsheet_ping_begin(client, 6, &call, &error));
    callsheet_call_free(call);
    ENDS(CALLSHEET_TIMEOUT, callsheet_client_next_event(client, 20, &event, &error));
    callsheet_memory_slow(memory, 0);

    /* A registration that nobody takes is closed. */
    callsheet_registration_options_t options = options_of("billing", 8080);
    OK(callsheet_register_begin(client, &options, 7, &call, &error));
    ended(client, call, 7);
    callsheet_watch_t *watch = watching(client, "billing");
    until_len(watch, 1);
    callsheet_call_free(call);
    until_len(watch, 0);
    callsheet_watch_free(watch);
    close_client(client);
    callsheet_memory_free(memory);
}

TEST(calls_and_watches_come_through_one_descriptor) {
    callsheet_client_t *client = connected("memory:");
    callsheet_watch_t *watch = watching(client, "billing");
    callsheet_watch_set_tag(watch, 100);
    int fd = callsheet_client_fd(client), calls = 0, snapshots = 0;
    callsheet_call_t *begun[64];
    for (uint64_t i = 0; i < 64; i++)
        OK(callsheet_ping_begin(client, i, &begun[i], &error));
    while (calls < 64 || snapshots < 1) {
        CHECK(readable(fd, 20000));
        callsheet_event_t event;
        while (callsheet_client_next_event(client, 0, &event, NULL) == CALLSHEET_OK) {
            if (event.kind == CALLSHEET_EVENT_CALL) {
                CHECK(event.object == begun[event.tag]);
                OK(callsheet_call_result(event.object, &error));
                callsheet_call_free(event.object);
                calls++;
            } else {
                callsheet_snapshot_t *snapshot = NULL;
                CHECK(event.tag == 100 && event.object == watch);
                if (callsheet_watch_next(watch, 0, &snapshot, NULL) == CALLSHEET_OK)
                    snapshots++;
                callsheet_snapshot_free(snapshot);
            }
        }
    }
    CHECK(!readable(fd, 0));
    callsheet_watch_free(watch);
    close_client(client);
}

TEST(closing_waits_for_no_call_and_ends_them_all) {
    callsheet_memory_t *memory = NULL;
    OK(callsheet_memory_open("calls-closing", &memory, &error));
    callsheet_client_t *client = connected("memory:calls-closing");
    callsheet_call_t *begun[8], *closing = NULL;
    for (uint64_t i = 0; i < 8; i++)
        OK(callsheet_wait_for_begin(client, "billing", NULL, 1, -1, i, &begun[i], &error));
    OK(callsheet_client_close_begin(client, 99, &closing, &error));
    int ends = 0;
    callsheet_event_t event;
    callsheet_code code;
    while ((code = callsheet_client_next_event(client, 20000, &event, NULL)) == CALLSHEET_OK)
        ends++;
    CHECK(code == CALLSHEET_CLOSED && ends == 9);
    for (int i = 0; i < 8; i++) {
        ENDS(CALLSHEET_CLOSED, callsheet_call_result(begun[i], &error));
        callsheet_call_free(begun[i]);
    }
    OK(callsheet_call_result(closing, &error));
    callsheet_call_free(closing);
    callsheet_client_free(client);
    callsheet_memory_free(memory);
}

static atomic_int called;

static void count(void *context, const callsheet_snapshot_t *snapshot) {
    (void)context, (void)snapshot;
    called++;
}

TEST(a_subscription_is_closed_by_a_call) {
    callsheet_client_t *client = connected("memory:");
    callsheet_on_change_closure_t closure = {NULL, count, NULL};
    callsheet_subscription_t *subscription = NULL;
    OK(callsheet_on_change(client, "billing", NULL, closure, &subscription, &error));
    EVENTUALLY(called == 1, 20);
    callsheet_call_t *call = NULL;
    OK(callsheet_subscription_close_begin(subscription, 3, &call, &error));
    done(client, call, 3);
    callsheet_subscription_free(subscription);
    close_client(client);
}
