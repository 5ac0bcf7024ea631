/* What the tests are made of: a function per test, conditions that are waited for instead of moments, and registries of
 * their own. `program` runs every test, `program NAME...` some of them; $TEST_URL is the registry, else memory:. */
#ifndef CHECK_H
#define CHECK_H

#include <callsheet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *tests;

#define TEST(name)                                                   \
    static void name(void);                                          \
    static struct test test_##name = {#name, name, NULL};            \
    __attribute__((constructor)) static void register_##name(void) { \
        test_##name.next = tests;                                    \
        tests = &test_##name;                                        \
    }                                                                \
    static void name(void)

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

/* The last error, which ENDS frees. */
static callsheet_error_t *error;

#define ENDS(expected, call)                                                                                  \
    do {                                                                                                      \
        callsheet_code ended = (call);                                                                        \
        if (ended != (expected)) {                                                                            \
            fprintf(stderr, "%s:%d: %s gave %s: %s\n", __FILE__, __LINE__, #call, callsheet_code_name(ended), \
                    callsheet_error_message(error));                                                          \
            exit(1);                                                                                          \
        }                                                                                                     \
        CHECK(ended == CALLSHEET_TIMEOUT || (error != NULL) == (ended != CALLSHEET_OK));                      \
        CHECK(error == NULL || callsheet_error_code(error) == ended);                                         \
        callsheet_error_free(error);                                                                          \
        error = NULL;                                                                                         \
    } while (0)

#define OK(call) ENDS(CALLSHEET_OK, call)
#define INVALID(call) ENDS(CALLSHEET_INVALID_ARGUMENT, call)
#define SAME(a, b) CHECK(strcmp((a), (b)) == 0)

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Waits until `condition` holds, for at most `seconds`. */
#define EVENTUALLY(condition, seconds)                                                                              \
    do {                                                                                                            \
        double end = now() + (seconds);                                                                             \
        while (!(condition)) {                                                                                      \
            if (now() > end) {                                                                                      \
                fprintf(stderr, "%s:%d: not within %g s: %s\n", __FILE__, __LINE__, (double)(seconds), #condition); \
                exit(1);                                                                                            \
            }                                                                                                       \
            poll(NULL, 0, 5);                                                                                       \
        }                                                                                                           \
    } while (0)

/* Whether a descriptor is readable within this time. */
static bool readable(int fd, int milliseconds) {
    struct pollfd ready = {fd, POLLIN, 0};
    CHECK(fd >= 0);
    return poll(&ready, 1, milliseconds) > 0 && (ready.revents & POLLIN);
}

static const char *registry_url(void) {
    const char *url = getenv("TEST_URL");
    return url ? url : "memory:";
}

static callsheet_client_t *connected(const char *url) {
    callsheet_client_t *client = NULL;
    OK(callsheet_connect(url, NULL, &client, &error));
    CHECK(client != NULL);
    return client;
}

static void close_client(callsheet_client_t *client) {
    OK(callsheet_client_close(client, &error));
    callsheet_client_free(client);
}

/* A registration of this service and port at 10.0.0.1. */
static callsheet_registration_options_t options_of(const char *service, int64_t port) {
    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    options.service = service;
    options.address = "10.0.0.1";
    options.port = port;
    return options;
}

static callsheet_registration_t *registered(callsheet_client_t *client, const char *service, int64_t port) {
    callsheet_registration_options_t options = options_of(service, port);
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    CHECK(callsheet_registration_state(registration) == CALLSHEET_STATE_REGISTERED);
    return registration;
}

static callsheet_watch_t *watching(callsheet_client_t *client, const char *service) {
    callsheet_watch_t *watch = NULL;
    OK(callsheet_watch_open(client, service, NULL, &watch, &error));
    return watch;
}

/* The next snapshots of `watch` until one has `count` instances. */
static void until_len(callsheet_watch_t *watch, size_t count) {
    for (;;) {
        callsheet_snapshot_t *snapshot = NULL;
        OK(callsheet_watch_next(watch, 20000, &snapshot, &error));
        size_t len = callsheet_snapshot_len(snapshot);
        callsheet_snapshot_free(snapshot);
        if (len == count)
            return;
    }
}

/* A number that the kernel tells of this process, such as "Threads" or "VmRSS" in KiB. */
static long status_of(const char *name) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long value = -1;
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file)) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            value = strtol(line + length + 1, NULL, 10);
    }
    fclose(file);
    return value;
}

int main(int argc, char **argv) {
    int ran = 0;
    for (struct test *test = tests; test; test = test->next) {
        bool wanted = argc == 1;
        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], test->name) == 0;
        if (!wanted)
            continue;
        fprintf(stderr, "%s\n", test->name);
        test->run();
        ran++;
    }
    /* Not every file uses all of the above. */
    (void)status_of, (void)until_len, (void)watching, (void)registered, (void)close_client, (void)registry_url;
    (void)readable, (void)connected, (void)now;
    return ran > 0 ? 0 : 1;
}

#endif
