/* A child of fork() has nothing of its parent's: every object says so, and a new client works. */
#include <sys/wait.h>

#include "check.h"

static callsheet_client_t *client;
static callsheet_registration_t *registration;
static callsheet_watch_t *watch;
static callsheet_names_watch_t *names_watch;
static callsheet_states_t *states;
static callsheet_picker_t *picker;
static callsheet_subscription_t *subscription;
static callsheet_call_t *call;
static callsheet_pick_t pick;

static void ignore(void *context, const callsheet_snapshot_t *snapshot) {
    (void)context, (void)snapshot;
}

static void child(void) {
    callsheet_snapshot_t *snapshot = NULL;
    callsheet_names_t *names = NULL;
    callsheet_state state;
    callsheet_event_t event;
    callsheet_call_t *begun = NULL;
    callsheet_watch_t *opened = NULL;
    callsheet_picker_t *other = NULL;
    callsheet_pick_t none;
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    callsheet_on_change_closure_t closure = {NULL, ignore, NULL};
    ENDS(CALLSHEET_FORKED, callsheet_lookup(client, "billing", NULL, &snapshot, &error));
    ENDS(CALLSHEET_FORKED, callsheet_ping(client, &error));
    ENDS(CALLSHEET_FORKED, callsheet_services(client, &names, &error));
    ENDS(CALLSHEET_FORKED, callsheet_stats(client, &stats, &error));
    ENDS(CALLSHEET_FORKED, callsheet_watch_open(client, "billing", NULL, &opened, &error));
    ENDS(CALLSHEET_FORKED, callsheet_picker_open(client, "billing", NULL, &other, &error));
    ENDS(CALLSHEET_FORKED, callsheet_on_change(client, "billing", NULL, closure, NULL, &error));
    ENDS(CALLSHEET_FORKED, callsheet_client_next(client, -1, &opened, &error));
    ENDS(CALLSHEET_FORKED, callsheet_client_next_event(client, -1, &event, &error));
    ENDS(CALLSHEET_FORKED, callsheet_ping_begin(client, 0, &begun, &error));
    ENDS(CALLSHEET_FORKED, callsheet_client_close(client, &error));
    ENDS(CALLSHEET_FORKED, callsheet_watch_next(watch, -1, &snapshot, &error));
    ENDS(CALLSHEET_FORKED, callsheet_names_watch_next(names_watch, -1, &names, &error));
    ENDS(CALLSHEET_FORKED, callsheet_states_next(states, -1, &state, NULL, &error));
    ENDS(CALLSHEET_FORKED, callsheet_registration_update(registration, NULL, &error));
    ENDS(CALLSHEET_FORKED, callsheet_registration_close(registration, &error));
    ENDS(CALLSHEET_FORKED, callsheet_pick(picker, &none, &error));
    ENDS(CALLSHEET_FORKED, callsheet_subscription_close(subscription, &error));
    ENDS(CALLSHEET_FORKED, callsheet_call_result(call, &error));
    CHECK(callsheet_client_fd(client) == -1 && callsheet_watch_fd(watch) == -1);
    CHECK(callsheet_registration_state(registration) == CALLSHEET_STATE_CLOSED);
    SAME(callsheet_registration_id(registration), "10.0.0.1:8080");
    SAME(callsheet_client_source(client), "memory:fork");
    callsheet_watch_set_tag(watch, 1);
    callsheet_watch_close(watch);
    callsheet_call_cancel(call);
    SAME(pick.id, "10.0.0.1:8080"); /* a pick is memory, and stays */
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    callsheet_call_free(call);
    callsheet_subscription_free(subscription);
    callsheet_picker_free(picker);
    callsheet_states_free(states);
    callsheet_names_watch_free(names_watch);
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    callsheet_client_free(client);

    callsheet_client_t *fresh = connected("memory:fork");
    callsheet_registration_t *mine = registered(fresh, "billing", 9090);
    watch = watching(fresh, "billing");
    until_len(watch, 1);
    int32_t fd = callsheet_client_fd(fresh);
    callsheet_watch_t *told = NULL;
    ENDS(CALLSHEET_TIMEOUT, callsheet_client_next(fresh, 0, &told, &error));
    CHECK(!readable(fd, 0) && !readable(callsheet_watch_fd(watch), 0));
    callsheet_watch_free(watch);
    callsheet_registration_free(mine);
    close_client(fresh);
}

TEST(a_child_is_told_that_it_forked) {
    client = connected("memory:fork");
    registration = registered(client, "billing", 8080);
    watch = watching(client, "billing");
    until_len(watch, 1);
    OK(callsheet_watch_services(client, &names_watch, &error));
    OK(callsheet_states_open(registration, &states, &error));
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    EVENTUALLY(callsheet_picker_len(picker) == 1, 20);
    OK(callsheet_pick(picker, &pick, &error));
    callsheet_on_change_closure_t closure = {NULL, ignore, NULL};
    OK(callsheet_on_change(client, "billing", NULL, closure, &subscription, &error));
    OK(callsheet_wait_for_begin(client, "billing", NULL, 9, -1, 0, &call, &error));
    SAME(callsheet_registration_id(registration), "10.0.0.1:8080");
    SAME(callsheet_client_source(client), "memory:fork");
    CHECK(callsheet_client_fd(client) >= 0 && callsheet_watch_fd(watch) >= 0);

    for (int i = 0; i < 3; i++) {
        fflush(NULL);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            child();
            _exit(0);
        }
        int status = -1;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }

    /* The parent has lost nothing. */
    CHECK(callsheet_registration_state(registration) == CALLSHEET_STATE_REGISTERED);
    callsheet_registration_t *second = registered(client, "billing", 8081);
    until_len(watch, 2);
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    callsheet_registration_free(second);
    callsheet_call_free(call);
    callsheet_subscription_free(subscription);
    callsheet_picker_free(picker);
    callsheet_states_free(states);
    callsheet_names_watch_free(names_watch);
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    close_client(client);
}
