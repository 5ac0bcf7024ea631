/* Descriptors: readable while something waits, and not after it was taken. */
#include "check.h"

TEST(a_watch_is_readable_while_a_snapshot_waits) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_watch_t *watch = watching(client, "billing");
    int fd = callsheet_watch_fd(watch);
    CHECK(fd == callsheet_watch_fd(watch));
    callsheet_registration_t *registration = NULL;
    callsheet_snapshot_t *snapshot = NULL;
    for (int round = 0; round < 3; round++) {
        CHECK(readable(fd, 20000) && readable(fd, 0)); /* until it is taken */
        OK(callsheet_watch_next(watch, 0, &snapshot, &error));
        CHECK(callsheet_snapshot_len(snapshot) == (size_t)(round % 2));
        callsheet_snapshot_free(snapshot);
        CHECK(!readable(fd, 0));
        ENDS(CALLSHEET_TIMEOUT, callsheet_watch_next(watch, 0, &snapshot, &error));
        CHECK(!readable(fd, 20));
        if (round == 0)
            registration = registered(client, "billing", 8080);
        else if (round == 1)
            OK(callsheet_registration_close(registration, &error));
    }
    callsheet_watch_close(watch);
    CHECK(readable(fd, 20000));
    ENDS(CALLSHEET_CLOSED, callsheet_watch_next(watch, 0, &snapshot, &error));
    CHECK(readable(fd, 0)); /* its end does not go away */
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(a_snapshot_that_came_before_the_descriptor_is_not_missed) {
    callsheet_client_t *client = connected("memory:");
    callsheet_registration_free(registered(client, "billing", 8080));
    callsheet_snapshot_t *snapshot = NULL;
    OK(callsheet_lookup(client, "billing", NULL, &snapshot, &error));
    callsheet_snapshot_free(snapshot);
    callsheet_watch_t *watch = watching(client, "billing");
    CHECK(readable(callsheet_watch_fd(watch), 0));
    callsheet_watch_t *told = NULL;
    CHECK(readable(callsheet_client_fd(client), 0));
    OK(callsheet_client_next(client, 0, &told, &error));
    CHECK(told == watch);
    callsheet_watch_free(watch);
    close_client(client);
}

TEST(the_end_of_one_watch_is_told_once_however_often_it_is_looked_at) {
    callsheet_client_t *client = connected("memory:");
    callsheet_watch_t *watch = watching(client, "billing");
    until_len(watch, 0);
    int32_t fd = callsheet_client_fd(client);
    callsheet_watch_close(watch);
    CHECK(readable(fd, 20000));
    callsheet_watch_t *told = NULL;
    OK(callsheet_client_next(client, 0, &told, &error));
    CHECK(told == watch);
    callsheet_snapshot_t *snapshot = NULL;
    for (int i = 0; i < 3; i++) {
        ENDS(CALLSHEET_CLOSED, callsheet_watch_next(watch, 0, &snapshot, &error));
        ENDS(CALLSHEET_TIMEOUT, callsheet_client_next(client, 0, &told, &error));
        CHECK(!readable(fd, 0));
    }
    callsheet_watch_free(watch);
    close_client(client);
}

TEST(a_close_whose_call_was_freed_is_heard_of) {
    callsheet_client_t *client = connected("memory:");
    int32_t fd = callsheet_client_fd(client);
    callsheet_watch_t *told = NULL;
    ENDS(CALLSHEET_TIMEOUT, callsheet_client_next(client, 0, &told, &error));
    callsheet_call_t *call = NULL;
    OK(callsheet_client_close_begin(client, 1, &call, &error));
    callsheet_call_free(call);
    ENDS(CALLSHEET_CLOSED, callsheet_client_next(client, 20000, &told, &error));
    CHECK(readable(fd, 20000));
    callsheet_client_free(client);
}

TEST(names_and_states_have_descriptors_too) {
    callsheet_client_t *client = connected("memory:");
    callsheet_names_watch_t *watch = NULL;
    callsheet_names_t *names = NULL;
    OK(callsheet_watch_services(client, &watch, &error));
    CHECK(readable(callsheet_names_watch_fd(watch), 20000));
    OK(callsheet_names_watch_next(watch, 0, &names, &error));
    callsheet_names_free(names);
    CHECK(!readable(callsheet_names_watch_fd(watch), 0));
    callsheet_registration_t *registration = registered(client, "billing", 8080);
    CHECK(readable(callsheet_names_watch_fd(watch), 20000));
    callsheet_states_t *states = NULL;
    OK(callsheet_states_open(registration, &states, &error));
    int fd = callsheet_states_fd(states);
    CHECK(readable(fd, 0));
    callsheet_state state;
    OK(callsheet_states_next(states, 0, &state, NULL, &error));
    CHECK(!readable(fd, 0));
    OK(callsheet_registration_close(registration, &error));
    CHECK(readable(fd, 20000));
    OK(callsheet_states_next(states, 0, &state, NULL, &error));
    CHECK(state == CALLSHEET_STATE_CLOSED && readable(fd, 0));
    callsheet_states_free(states);
    callsheet_names_watch_free(watch);
    callsheet_registration_free(registration);
    close_client(client);
}

#define WATCHES 50

TEST(one_descriptor_tells_of_many_watches) {
    callsheet_client_t *client = connected(registry_url());
    callsheet_watch_t *watches[WATCHES], *told = NULL;
    int seen[WATCHES] = {0};
    int fd = callsheet_client_fd(client);
    CHECK(fd == callsheet_client_fd(client));
    for (int i = 0; i < WATCHES; i++) {
        char name[32];
        snprintf(name, sizeof name, "service-%d", i);
        watches[i] = watching(client, name);
    }
    int first = 0;
    while (first < WATCHES) {
        CHECK(readable(fd, 20000));
        callsheet_code code;
        while ((code = callsheet_client_next(client, 0, &told, NULL)) == CALLSHEET_OK) {
            callsheet_snapshot_t *snapshot = NULL;
            OK(callsheet_watch_next(told, 0, &snapshot, &error));
            callsheet_snapshot_free(snapshot);
            for (int i = 0; i < WATCHES; i++) {
                if (watches[i] == told && seen[i]++ == 0)
                    first++;
            }
        }
        CHECK(code == CALLSHEET_TIMEOUT);
    }
    CHECK(!readable(fd, 0));
    for (int i = 0; i < WATCHES; i++)
        CHECK(seen[i] == 1);

    /* Only the one that changed, and only once until it is looked at. */
    callsheet_registration_free(registered(client, "service-7", 1));
    OK(callsheet_client_next(client, 20000, &told, &error));
    CHECK(told == watches[7]);
    callsheet_registration_free(registered(client, "service-7", 2));
    ENDS(CALLSHEET_TIMEOUT, callsheet_client_next(client, 20, &told, &error));
    CHECK(!readable(fd, 0));
    until_len(watches[7], 2);

    /* One that is gone is not told of. */
    callsheet_registration_t *registration = registered(client, "service-8", 1);
    CHECK(readable(fd, 20000));
    callsheet_watch_free(watches[8]);
    ENDS(CALLSHEET_TIMEOUT, callsheet_client_next(client, 0, &told, &error));
    CHECK(!readable(fd, 0));

    callsheet_registration_free(registration);
    OK(callsheet_client_close(client, &error));
    CHECK(readable(fd, 0)); /* the ends, and at last that of the client */
    int ends = 0;
    while (callsheet_client_next(client, 0, &told, NULL) == CALLSHEET_OK) {
        /* Looked at, an end is not told again. */
        callsheet_snapshot_t *last = NULL;
        callsheet_code code;
        while ((code = callsheet_watch_next(told, 0, &last, NULL)) == CALLSHEET_OK)
            callsheet_snapshot_free(last);
        CHECK(code == CALLSHEET_CLOSED);
        CHECK(readable(callsheet_watch_fd(told), 0));
        ends++;
    }
    CHECK(ends == WATCHES - 1);
    ENDS(CALLSHEET_CLOSED, callsheet_client_next(client, -1, &told, &error));
    CHECK(readable(fd, 0));
    for (int i = 0; i < WATCHES; i++) {
        if (i != 8)
            callsheet_watch_free(watches[i]);
    }
    callsheet_client_free(client);
}

TEST(events_carry_the_tag_that_was_set) {
    callsheet_client_t *client = connected("memory:");
    callsheet_watch_t *watch = watching(client, "billing");
    callsheet_names_watch_t *names = NULL;
    callsheet_states_t *states = NULL;
    callsheet_registration_t *registration = registered(client, "billing", 1);
    OK(callsheet_watch_services(client, &names, &error));
    OK(callsheet_states_open(registration, &states, &error));
    callsheet_event_t event;
    /* Told before anyone marked it, and again after. */
    bool told = false;
    while (!told) {
        OK(callsheet_client_next_event(client, 20000, &event, &error));
        CHECK(event.tag == 0);
        told = event.kind == CALLSHEET_EVENT_WATCH && event.object == watch;
    }
    callsheet_watch_set_tag(watch, 11);
    callsheet_names_watch_set_tag(names, 12);
    callsheet_states_set_tag(states, UINT64_MAX);
    int seen = 0;
    while (seen != 7) {
        OK(callsheet_client_next_event(client, 20000, &event, &error));
        if (event.kind == CALLSHEET_EVENT_WATCH && event.tag == 11 && event.object == watch)
            seen |= 1;
        if (event.kind == CALLSHEET_EVENT_NAMES_WATCH && event.tag == 12 && event.object == names)
            seen |= 2;
        if (event.kind == CALLSHEET_EVENT_STATES && event.tag == UINT64_MAX && event.object == states)
            seen |= 4;
    }
    callsheet_watch_free(watch);
    callsheet_names_watch_free(names);
    callsheet_states_free(states);
    callsheet_registration_free(registration);
    close_client(client);
}

TEST(many_watches_cost_no_threads) {
    callsheet_client_t *client = connected("memory:");
    callsheet_watch_t *watches[300];
    watches[0] = watching(client, "service-0");
    until_len(watches[0], 0);
    CHECK(callsheet_client_fd(client) >= 0);
    long threads = status_of("Threads");
    for (int i = 1; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "service-%d", i);
        watches[i] = watching(client, name);
        until_len(watches[i], 0);
    }
    CHECK(status_of("Threads") == threads);
    for (int i = 0; i < 300; i++)
        callsheet_watch_free(watches[i]);
    close_client(client);
}
