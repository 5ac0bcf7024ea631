/* On which threads callbacks run, in which order, and what happens when threads close what others wait on. */
#include "check.h"

#define PORTS 20

struct seen {
    atomic_int calls, drops, inside;
    atomic_ulong revision;
    atomic_bool overlapped, unordered, after_drop, changed_thread;
    pthread_t thread;
    atomic_bool known;
    pthread_t creator;
    callsheet_client_t *client;
    callsheet_subscription_t *subscription;
    atomic_int closed; /* what its close gave, plus one */
    atomic_bool hold;
    atomic_size_t len;
    atomic_int last_state;
};

static void enter(struct seen *seen) {
    if (seen->inside++ > 0)
        seen->overlapped = true;
    if (seen->drops > 0)
        seen->after_drop = true;
    if (seen->known && !pthread_equal(seen->thread, pthread_self()))
        seen->changed_thread = true;
    seen->thread = pthread_self();
    seen->known = true;
    seen->calls++;
}

static void changed(void *context, const callsheet_snapshot_t *snapshot) {
    struct seen *seen = context;
    enter(seen);
    unsigned long revision = callsheet_snapshot_revision(snapshot);
    if (revision <= seen->revision)
        seen->unordered = true;
    seen->revision = revision;
    seen->len = callsheet_snapshot_len(snapshot);
    while (seen->hold)
        poll(NULL, 0, 1);
    seen->inside--;
}

static void dropped(void *context) {
    struct seen *seen = context;
    if (seen->inside > 0)
        seen->overlapped = true;
    seen->drops++;
}

static void check_seen(struct seen *seen) {
    CHECK(!seen->overlapped && !seen->unordered && !seen->after_drop && !seen->changed_thread);
    CHECK(!pthread_equal(seen->thread, pthread_self()));
}

static void subscribe(callsheet_client_t *client, struct seen *seen,
                      void (*call)(void *, const callsheet_snapshot_t *)) {
    callsheet_on_change_closure_t closure = {seen, call, dropped};
    seen->client = client;
    OK(callsheet_on_change(client, "billing", NULL, closure, &seen->subscription, &error));
}

TEST(callbacks_come_in_order_on_one_thread_and_none_after_close) {
    callsheet_client_t *client = connected("memory:");
    struct seen one = {0}, two = {0};
    subscribe(client, &one, changed);
    subscribe(client, &two, changed);
    callsheet_registration_t *registrations[PORTS];
    for (int i = 0; i < PORTS; i++)
        registrations[i] = registered(client, "billing", i + 1);
    EVENTUALLY(one.len == PORTS && two.len == PORTS, 20);
    OK(callsheet_subscription_close(one.subscription, &error));
    CHECK(one.drops == 1);
    int calls = one.calls;
    OK(callsheet_registration_close(registrations[0], &error));
    EVENTUALLY(two.len == PORTS - 1, 20);
    CHECK(one.calls == calls && two.drops == 0);
    CHECK(pthread_equal(one.thread, two.thread));
    OK(callsheet_subscription_close(one.subscription, &error));
    for (int i = 0; i < PORTS; i++)
        callsheet_registration_free(registrations[i]);
    OK(callsheet_client_close(client, &error));
    CHECK(two.drops == 1 && one.drops == 1);
    check_seen(&one);
    check_seen(&two);
    callsheet_subscription_free(one.subscription);
    callsheet_subscription_free(two.subscription);
    callsheet_client_free(client);
}

static void closes_itself(void *context, const callsheet_snapshot_t *snapshot) {
    struct seen *seen = context;
    (void)snapshot;
    enter(seen);
    seen->closed = 1 + (int)callsheet_subscription_close(seen->subscription, NULL);
    seen->inside--;
}

TEST(a_callback_may_close_its_own_subscription) {
    callsheet_client_t *client = connected("memory:");
    struct seen seen = {0};
    subscribe(client, &seen, closes_itself);
    EVENTUALLY(seen.drops == 1, 20);
    CHECK(seen.closed == 1 + CALLSHEET_OK);
    callsheet_registration_free(registered(client, "billing", 1));
    callsheet_subscription_free(seen.subscription);
    close_client(client);
    CHECK(seen.calls == 1);
    check_seen(&seen);
}

static void closes_the_client(void *context, const callsheet_snapshot_t *snapshot) {
    struct seen *seen = context;
    (void)snapshot;
    enter(seen);
    seen->closed = 1 + (int)callsheet_client_close(seen->client, NULL);
    seen->inside--;
}

TEST(a_callback_may_close_and_free_the_client) {
    callsheet_client_t *client = connected("memory:");
    struct seen seen = {0};
    subscribe(client, &seen, closes_the_client);
    EVENTUALLY(seen.drops == 1, 20);
    CHECK(seen.closed == 1 + CALLSHEET_OK && callsheet_client_is_closed(client));
    CHECK(seen.calls == 1);
    callsheet_subscription_free(seen.subscription);
    callsheet_client_free(client);
}

static void opens_and_closes(void *context, const callsheet_snapshot_t *snapshot) {
    struct seen *seen = context;
    enter(seen);
    seen->revision = callsheet_snapshot_revision(snapshot);
    callsheet_watch_t *watch = NULL;
    callsheet_snapshot_t *first = NULL;
    CHECK(callsheet_watch_open(seen->client, "billing", NULL, &watch, NULL) == CALLSHEET_OK);
    CHECK(callsheet_watch_next(watch, 10000, &first, NULL) == CALLSHEET_OK);
    callsheet_snapshot_free(first);
    callsheet_watch_free(watch);
    struct seen inner = {0};
    callsheet_on_change_closure_t closure = {&inner, changed, dropped};
    callsheet_subscription_t *subscription = NULL;
    CHECK(callsheet_on_change(seen->client, "billing", NULL, closure, &subscription, NULL) == CALLSHEET_OK);
    CHECK(callsheet_subscription_close(subscription, NULL) == CALLSHEET_OK && inner.drops == 1);
    callsheet_subscription_free(subscription);
    seen->len = callsheet_snapshot_len(snapshot);
    seen->inside--;
}

TEST(a_callback_may_subscribe_and_unsubscribe) {
    callsheet_client_t *client = connected("memory:");
    struct seen seen = {0};
    subscribe(client, &seen, opens_and_closes);
    callsheet_registration_free(registered(client, "billing", 1));
    EVENTUALLY(seen.len == 1, 20);
    close_client(client);
    CHECK(seen.drops == 1);
    callsheet_subscription_free(seen.subscription);
}

static void *close_subscription(void *context) {
    struct seen *seen = context;
    seen->closed = 1 + (int)callsheet_subscription_close(seen->subscription, NULL);
    return NULL;
}

TEST(close_waits_for_the_callback_that_runs) {
    callsheet_client_t *client = connected("memory:");
    struct seen seen = {0};
    seen.hold = true;
    subscribe(client, &seen, changed);
    EVENTUALLY(seen.inside == 1, 20);
    pthread_t closer;
    CHECK(pthread_create(&closer, NULL, close_subscription, &seen) == 0);
    CHECK(poll(NULL, 0, 100) == 0 && seen.closed == 0 && seen.drops == 0);
    seen.hold = false;
    CHECK(pthread_join(closer, NULL) == 0);
    CHECK(seen.closed == 1 + CALLSHEET_OK && seen.drops == 1);
    callsheet_subscription_free(seen.subscription);
    close_client(client);
}

TEST(the_context_is_dropped_once_even_if_nothing_begins) {
    callsheet_client_t *client = connected("memory:");
    struct seen seen = {0};
    callsheet_on_change_closure_t closure = {&seen, changed, dropped};
    callsheet_subscription_t *subscription = (callsheet_subscription_t *)&seen;
    INVALID(callsheet_on_change(client, "no/name", NULL, closure, &subscription, &error));
    CHECK(seen.drops == 1 && subscription == NULL);
    INVALID(callsheet_on_change(NULL, "billing", NULL, closure, NULL, &error));
    CHECK(seen.drops == 2);
    OK(callsheet_on_change(client, "billing", NULL, closure, NULL, &error)); /* until the client is closed */
    EVENTUALLY(seen.calls == 1, 20);
    OK(callsheet_client_close(client, &error));
    CHECK(seen.drops == 3);
    ENDS(CALLSHEET_CLOSED, callsheet_on_change(client, "billing", NULL, closure, NULL, &error));
    CHECK(seen.drops == 4 && seen.calls == 1);
    callsheet_client_free(client);

    /* A client that is freed without being closed ends them too. */
    struct seen left = {0};
    client = connected("memory:");
    closure.context = &left;
    OK(callsheet_on_change(client, "billing", NULL, closure, NULL, &error));
    callsheet_client_free(client);
    EVENTUALLY(left.drops == 1, 20);
}

static void on_state(void *context, callsheet_state state, const callsheet_error_t *why) {
    struct seen *seen = context;
    enter(seen);
    if ((int)state <= seen->last_state)
        seen->unordered = true;
    CHECK(why == NULL);
    seen->last_state = (int)state;
    seen->inside--;
}

TEST(states_are_told_to_a_callback) {
    callsheet_client_t *client = connected("memory:");
    callsheet_registration_options_t options = options_of("billing", 1);
    options.hold = true;
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    struct seen seen = {0};
    callsheet_on_state_closure_t closure = {&seen, on_state, dropped};
    OK(callsheet_on_state(registration, closure, &seen.subscription, &error));
    EVENTUALLY(seen.last_state == CALLSHEET_STATE_PENDING, 20);
    OK(callsheet_registration_ready(registration, 10000, &error));
    OK(callsheet_registration_close(registration, &error));
    EVENTUALLY(seen.drops == 1, 20); /* nothing comes after closed */
    CHECK(seen.calls == 3 && seen.last_state == CALLSHEET_STATE_CLOSED);
    check_seen(&seen);
    callsheet_subscription_free(seen.subscription);
    callsheet_registration_free(registration);
    close_client(client);
}

struct waiting {
    callsheet_watch_t *watch;
    callsheet_client_t *client;
    atomic_int began;
    callsheet_code code;
};

static void *wait_for_ever(void *context) {
    struct waiting *waiting = context;
    callsheet_snapshot_t *snapshot = NULL;
    waiting->began++;
    do {
        callsheet_snapshot_free(snapshot);
        waiting->code = callsheet_watch_next(waiting->watch, -1, &snapshot, NULL);
    } while (waiting->code == CALLSHEET_OK);
    return NULL;
}

TEST(close_from_another_thread_ends_a_wait) {
    for (int by_client = 0; by_client < 2; by_client++) {
        callsheet_client_t *client = connected("memory:");
        struct waiting waiting = {watching(client, "billing"), client, 0, CALLSHEET_OK};
        pthread_t threads[8];
        for (int i = 0; i < 8; i++)
            CHECK(pthread_create(&threads[i], NULL, wait_for_ever, &waiting) == 0);
        EVENTUALLY(waiting.began == 8, 20);
        CHECK(poll(NULL, 0, 20) == 0);
        if (by_client)
            OK(callsheet_client_close(client, &error));
        else
            callsheet_watch_close(waiting.watch);
        for (int i = 0; i < 8; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(waiting.code == CALLSHEET_CLOSED);
        callsheet_watch_free(waiting.watch);
        close_client(client);
    }
}

static void *wait_for_events(void *context) {
    struct waiting *waiting = context;
    callsheet_event_t event;
    waiting->began++;
    do
        waiting->code = callsheet_client_next_event(waiting->client, -1, &event, NULL);
    while (waiting->code == CALLSHEET_OK);
    return NULL;
}

TEST(close_ends_a_wait_for_events) {
    callsheet_client_t *client = connected("memory:");
    struct waiting waiting = {NULL, client, 0, CALLSHEET_OK};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_events, &waiting) == 0);
    EVENTUALLY(waiting.began == 4, 20);
    OK(callsheet_client_close(client, &error));
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(waiting.code == CALLSHEET_CLOSED);
    callsheet_client_free(client);
}

static void *pick_much(void *context) {
    callsheet_picker_t *picker = context;
    for (int i = 0; i < 20000; i++) {
        callsheet_pick_t pick;
        CHECK(callsheet_pick(picker, &pick, NULL) == CALLSHEET_OK);
        CHECK(pick.port >= 1 && pick.port <= 2 && strncmp(pick.id, "10.0.0.1:", 9) == 0);
        callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    }
    return NULL;
}

TEST(threads_pick_while_the_list_changes) {
    callsheet_client_t *client = connected("memory:");
    callsheet_registration_t *one = registered(client, "billing", 1);
    callsheet_picker_t *picker = NULL;
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    EVENTUALLY(callsheet_picker_len(picker) == 1, 20);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, pick_much, picker) == 0);
    for (int i = 0; i < 20; i++) {
        callsheet_registration_t *two = registered(client, "billing", 2);
        OK(callsheet_registration_close(two, &error));
        callsheet_registration_free(two);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    callsheet_picker_free(picker);
    callsheet_registration_free(one);
    close_client(client);
}
