/* Ten thousand times open and close: memory, threads and descriptors stay as they are. */
#include <dirent.h>

#include "check.h"

static long descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    long count = 0;
    CHECK(folder != NULL);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Runs `cycle` until what is bounded is full, and then so often that a leak would show. $TEST_CYCLES makes it fewer,
 * for tools that slow everything down and look for leaks themselves. */
static void flat(void (*cycle)(callsheet_client_t *), callsheet_client_t *client, int times) {
    const char *fewer = getenv("TEST_CYCLES");
    if (fewer && atoi(fewer) < times)
        times = atoi(fewer);
    for (int i = 0; i < times; i++)
        cycle(client);
    long memory = status_of("VmRSS"), threads = status_of("Threads"), fds = descriptors();
    for (int i = 0; i < times; i++)
        cycle(client);
    /* 64 bytes each would be 640 KiB in ten thousand. */
    long grown = status_of("VmRSS") - memory;
    if (grown > 600 + times / 20)
        fprintf(stderr, "grown by %ld KiB in %d cycles\n", grown, times);
    CHECK(fewer || grown <= 600 + times / 20);
    EVENTUALLY(status_of("Threads") <= threads && descriptors() <= fds, 20);
}

static void watch_cycle(callsheet_client_t *client) {
    callsheet_watch_t *watch = watching(client, "billing");
    callsheet_snapshot_t *snapshot = NULL;
    CHECK(callsheet_watch_fd(watch) >= 0);
    OK(callsheet_watch_next(watch, 20000, &snapshot, &error));
    callsheet_snapshot_free(snapshot);
    callsheet_watch_free(watch);
}

TEST(watches) {
    callsheet_client_t *client = connected("memory:");
    flat(watch_cycle, client, 10000);
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    OK(callsheet_stats(client, &stats, &error));
    CHECK(stats.subscribers == 0 && stats.watched_services == 1);
    close_client(client);
}

TEST(watches_of_a_client_that_is_listened_to_and_never_asked) {
    callsheet_client_t *client = connected("memory:");
    CHECK(callsheet_client_fd(client) >= 0);
    flat(watch_cycle, client, 10000);
    close_client(client);
}

static void call_cycle(callsheet_client_t *client) {
    callsheet_call_t *call = NULL;
    OK(callsheet_wait_for_begin(client, "billing", NULL, 1, -1, 0, &call, &error));
    callsheet_call_free(call);
    OK(callsheet_ping_begin(client, 0, &call, &error));
    /* What was given up on ends behind the scenes: at this pace it does not pile up. */
    callsheet_event_t event;
    OK(callsheet_client_next_event(client, 20000, &event, &error));
    CHECK(event.object == call);
    callsheet_call_free(call);
}

TEST(calls) {
    callsheet_client_t *client = connected("memory:");
    flat(call_cycle, client, 10000);
    close_client(client);
}

static void pick_cycle(callsheet_client_t *client) {
    callsheet_picker_t *picker = NULL;
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    for (int i = 0; i < 10; i++) {
        callsheet_pick_t pick;
        OK(callsheet_pick_within(picker, 20000, &pick, &error));
        callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    }
    callsheet_picker_free(picker);
}

TEST(pickers) {
    callsheet_client_t *client = connected("memory:");
    callsheet_registration_free(registered(client, "billing", 1));
    flat(pick_cycle, client, 2000);
    close_client(client);
}

static atomic_int dropped;

static void ignore(void *context, const callsheet_snapshot_t *snapshot) {
    (void)context, (void)snapshot;
}

static void drop(void *context) {
    free(context);
    dropped++;
}

static void subscription_cycle(callsheet_client_t *client) {
    callsheet_on_change_closure_t closure = {malloc(100), ignore, drop};
    callsheet_subscription_t *subscription = NULL;
    int before = dropped;
    OK(callsheet_on_change(client, "billing", NULL, closure, &subscription, &error));
    OK(callsheet_subscription_close(subscription, &error));
    CHECK(dropped == before + 1);
    callsheet_subscription_free(subscription);
}

TEST(subscriptions) {
    callsheet_client_t *client = connected("memory:");
    flat(subscription_cycle, client, 10000);
    close_client(client);
}

static callsheet_memory_t *memory;

static void registration_cycle(callsheet_client_t *client) {
    callsheet_registration_t *registration = registered(client, "billing", 1);
    OK(callsheet_registration_close(registration, &error));
    callsheet_registration_free(registration);
    callsheet_memory_compact(memory); /* or its history would grow up to its bound */
}

TEST(registrations) {
    OK(callsheet_memory_open("cycles", &memory, &error));
    callsheet_client_t *client = connected("memory:cycles");
    flat(registration_cycle, client, 1000);
    close_client(client);
    callsheet_memory_free(memory);
}

static void client_cycle(callsheet_client_t *unused) {
    (void)unused;
    callsheet_client_t *client = connected("memory:");
    callsheet_on_change_closure_t closure = {malloc(100), ignore, drop};
    OK(callsheet_on_change(client, "billing", NULL, closure, NULL, &error));
    CHECK(callsheet_client_fd(client) >= 0);
    callsheet_watch_t *watch = watching(client, "billing");
    callsheet_registration_free(registered(client, "billing", 1));
    close_client(client);
    callsheet_watch_free(watch);
}

TEST(clients) {
    flat(client_cycle, NULL, 1000);
}
