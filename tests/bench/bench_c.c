/* The process in C that `bench.py` lets pick, follows, weighs and counts. */
#define _POSIX_C_SOURCE 200809L

#include <callsheet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLS = 1000000, INSTANCES = 100, THREADS = 64, WATCHES = 300, ARRIVALS = 4096 };

/* The instance that changes while arrivals are noted. */
static const char CHANGED[] = "10.0.0.25:8080";

static _Thread_local callsheet_error_t *error;

static void check(callsheet_code code) {
    if (code == CALLSHEET_OK)
        return;
    fprintf(stderr, "%s: %s\n", callsheet_code_name(code), callsheet_error_message(error));
    exit(1);
}

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits for the next line of the input, and says whether there was one. */
static bool line(void) {
    int c = getchar();
    while (c != '\n' && c != EOF)
        c = getchar();
    return c != EOF;
}

/* Tells the other process that a step is done, and waits until it has looked. */
static void step(const char *said) {
    puts(said);
    fflush(stdout);
    line();
}

static void number_step(size_t number) {
    char text[32];
    snprintf(text, sizeof text, "%zu", number);
    step(text);
}

static callsheet_client_t *connect_to(const char *url) {
    callsheet_client_t *client = NULL;
    check(callsheet_connect(url, NULL, &client, &error));
    return client;
}

static callsheet_snapshot_t *lookup(callsheet_client_t *client, const char *service) {
    callsheet_snapshot_t *snapshot = NULL;
    check(callsheet_lookup(client, service, NULL, &snapshot, &error));
    return snapshot;
}

static callsheet_watch_t *watch(callsheet_client_t *client, const char *service) {
    callsheet_watch_t *opened = NULL;
    check(callsheet_watch_open(client, service, NULL, &opened, &error));
    return opened;
}

static callsheet_snapshot_t *next(callsheet_watch_t *watched) {
    callsheet_snapshot_t *snapshot = NULL;
    check(callsheet_watch_next(watched, -1, &snapshot, &error));
    return snapshot;
}

static void shut(callsheet_client_t *client) {
    check(callsheet_client_close(client, &error));
    callsheet_client_free(client);
}

/* The hot path. */

static void two_empty_calls(callsheet_picker_t *picker) {
    (void)picker;
    callsheet_abi_version();
    callsheet_abi_version();
}

static void pick_and_done(callsheet_picker_t *picker) {
    callsheet_pick_t pick;
    check(callsheet_pick(picker, &pick, &error));
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
}

struct work {
    void (*call)(callsheet_picker_t *);
    callsheet_picker_t *picker;
};

static void *many_calls(void *work) {
    struct work many = *(struct work *)work;
    for (int n = 0; n < CALLS; n++)
        many.call(many.picker);
    return NULL;
}

static double per_call(struct work work, int threads) {
    pthread_t all[THREADS];
    int64_t began = nanoseconds(CLOCK_MONOTONIC);
    for (int n = 0; n < threads; n++)
        if (pthread_create(&all[n], NULL, many_calls, &work) != 0)
            abort();
    for (int n = 0; n < threads; n++)
        pthread_join(all[n], NULL);
    return (double)(nanoseconds(CLOCK_MONOTONIC) - began) / CALLS;
}

/* Says for each line nanoseconds of one of many calls on each of so many threads. */
static void picks(void (*call)(callsheet_picker_t *), const char *policy, int threads) {
    callsheet_memory_t *memory = NULL;
    check(callsheet_memory_open("bench-picks", &memory, &error));
    for (int port = 1; port <= INSTANCES; port++) {
        callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
        options.service = "billing";
        options.address = "10.0.0.1";
        options.port = port;
        check(callsheet_memory_put(memory, &options, &error));
    }
    callsheet_client_t *client = connect_to("memory:bench-picks");
    callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
    options.policy = strcmp(policy, "p2c") == 0 ? CALLSHEET_POLICY_P2C : CALLSHEET_POLICY_ROUND_ROBIN;
    callsheet_picker_t *picker = NULL;
    check(callsheet_picker_open(client, "billing", &options, &picker, &error));
    while (line()) {
        printf("%f\n", per_call((struct work){call, picker}, threads < THREADS ? threads : THREADS));
        fflush(stdout);
    }
    callsheet_picker_free(picker);
    shut(client);
    callsheet_memory_free(memory);
}

/* What the other process asks for. */

static void changed(void *context, const callsheet_snapshot_t *snapshot) {
    (void)context;
    int64_t at = nanoseconds(CLOCK_MONOTONIC);
    for (size_t n = 0; n < callsheet_snapshot_len(snapshot); n++)
        printf("%" PRId64 " %s\n", at, callsheet_instance_metadata(callsheet_snapshot_get(snapshot, n), "n"));
    fflush(stdout);
}

static void follow(const char *url, const char *service) {
    callsheet_client_t *client = connect_to(url);
    callsheet_snapshot_t *first = NULL;
    check(callsheet_wait_for(client, service, NULL, 1, 10000, &first, &error));
    callsheet_snapshot_free(first);
    callsheet_on_change_closure_t closure = {NULL, changed, NULL};
    callsheet_subscription_t *subscription = NULL;
    check(callsheet_on_change(client, service, NULL, closure, &subscription, &error));
    step("ready");
    shut(client);
    callsheet_subscription_free(subscription);
}

static void hold(const char *url, const char *service) {
    callsheet_client_t *client = connect_to(url);
    callsheet_snapshot_free(lookup(client, "nobody"));
    step("empty");
    callsheet_snapshot_t *held = lookup(client, service);
    number_step(callsheet_snapshot_len(held));
    callsheet_watch_t *watched = watch(client, service);
    callsheet_snapshot_t *before = next(watched);
    puts("watching");
    fflush(stdout);
    size_t fresh = 0;
    while (fresh == 0) {
        callsheet_snapshot_t *after = next(watched);
        for (size_t n = 0; n < callsheet_snapshot_len(after); n++)
            fresh += callsheet_snapshot_get(after, n) != callsheet_snapshot_get(before, n);
        callsheet_snapshot_free(after);
    }
    number_step(fresh);
    callsheet_snapshot_free(before);
    callsheet_snapshot_free(held);
    callsheet_watch_free(watched);
    shut(client);
}

static void watches(const char *url) {
    callsheet_client_t *client = connect_to(url);
    callsheet_snapshot_free(lookup(client, "nobody"));
    step("before");
    callsheet_watch_t *all[WATCHES];
    for (int n = 0; n < WATCHES; n++) {
        char service[32];
        snprintf(service, sizeof service, "service-%d", n);
        all[n] = watch(client, service);
        callsheet_snapshot_free(next(all[n]));
    }
    step("after");
    for (int n = 0; n < WATCHES; n++)
        callsheet_watch_free(all[n]);
    shut(client);
}

/* Notes when each change was there, and says for each line what it noted since the last one. */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    size_t count;
    struct {
        int64_t number, at;
    } all[ARRIVALS];
} noted = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void arrived(void *context, const callsheet_snapshot_t *snapshot) {
    (void)context;
    int64_t at = nanoseconds(CLOCK_MONOTONIC);
    const callsheet_instance_t *instance = callsheet_snapshot_find(snapshot, CHANGED);
    if (instance == NULL)
        return;
    pthread_mutex_lock(&noted.mutex);
    if (noted.count < ARRIVALS) {
        noted.all[noted.count].number = strtoll(callsheet_instance_metadata(instance, "n"), NULL, 10);
        noted.all[noted.count++].at = at;
    }
    pthread_cond_signal(&noted.filled);
    pthread_mutex_unlock(&noted.mutex);
}

static void arrive(const char *url, const char *service) {
    callsheet_client_t *client = connect_to(url);
    callsheet_on_change_closure_t closure = {NULL, arrived, NULL};
    callsheet_subscription_t *subscription = NULL;
    check(callsheet_on_change(client, service, NULL, closure, &subscription, &error));
    pthread_mutex_lock(&noted.mutex);
    while (noted.count == 0)
        pthread_cond_wait(&noted.filled, &noted.mutex);
    pthread_mutex_unlock(&noted.mutex);
    puts("ready");
    fflush(stdout);
    while (line()) {
        pthread_mutex_lock(&noted.mutex);
        for (size_t n = 0; n < noted.count; n++)
            printf("%" PRId64 ":%" PRId64 " ", noted.all[n].number, noted.all[n].at);
        noted.count = 0;
        pthread_mutex_unlock(&noted.mutex);
        puts("");
        fflush(stdout);
    }
    shut(client);
    callsheet_subscription_free(subscription);
}

/* Says how long each way from nothing to the first list took. */
static void first(const char *url, const char *service) {
    while (line()) {
        int64_t began = nanoseconds(CLOCK_MONOTONIC);
        callsheet_client_t *client = connect_to(url);
        callsheet_snapshot_t *snapshot = lookup(client, service);
        size_t read = 0;
        for (size_t n = 0; n < callsheet_snapshot_len(snapshot); n++)
            read += strlen(callsheet_instance_id(callsheet_snapshot_get(snapshot, n)));
        printf("%f %zu\n", (double)(nanoseconds(CLOCK_MONOTONIC) - began) / 1e6, read);
        fflush(stdout);
        callsheet_snapshot_free(snapshot);
        shut(client);
    }
}

int main(int argc, char **argv) {
    const char *mode = argc == 4 ? argv[1] : "";
    if (strcmp(mode, "pick") == 0)
        picks(pick_and_done, argv[2], atoi(argv[3]));
    else if (strcmp(mode, "floor") == 0)
        picks(two_empty_calls, argv[2], atoi(argv[3]));
    else if (argc == 3 && strcmp(argv[1], "watches") == 0)
        watches(argv[2]);
    else if (strcmp(mode, "follow") == 0)
        follow(argv[2], argv[3]);
    else if (strcmp(mode, "hold") == 0)
        hold(argv[2], argv[3]);
    else if (strcmp(mode, "arrive") == 0)
        arrive(argv[2], argv[3]);
    else if (strcmp(mode, "first") == 0)
        first(argv[2], argv[3]);
    else {
        fprintf(stderr, "usage: %s pick|floor POLICY THREADS | watches URL | follow|hold|arrive|first URL SERVICE\n",
                argv[0]);
        return 2;
    }
    return 0;
}
