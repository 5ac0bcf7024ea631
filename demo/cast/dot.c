/* The C member of the cast: dot NAME. What it says is told in ada.py. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <callsheet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { CALLERS = 2, NAMES = 16, NAME = 32 };

static const char *name;
static atomic_bool stopped;
static callsheet_picker_t *picker;

/* What became of the calls. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[NAME];
    long times;
} called[NAMES];
static long answered, retried, failed;

static void count(const char *other, bool again) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < NAMES; i++) {
        if (called[i].name[0] == 0)
            snprintf(called[i].name, NAME, "%s", other);
        if (strcmp(called[i].name, other) == 0) {
            called[i].times++;
            break;
        }
    }
    answered++;
    retried += again;
    pthread_mutex_unlock(&lock);
}

static void tell(void) {
    pthread_mutex_lock(&lock);
    printf("calls %ld %ld %ld\n", answered, retried, failed);
    pthread_mutex_unlock(&lock);
    fflush(stdout);
}

static void say(const char *words) {
    printf("%s\n", words);
    fflush(stdout);
}

static int die(const char *what, callsheet_error_t *error) {
    fprintf(stderr, "%s: %s\n", what, error ? callsheet_error_message(error) : "no");
    callsheet_error_free(error);
    return 1;
}

/* Everything up to the end of the connection; false when it was cut. */
static bool read_all(int connection, char *text, size_t room) {
    size_t length = 0;
    ssize_t got;
    while (length + 1 < room && (got = recv(connection, text + length, room - length - 1, 0)) != 0) {
        if (got < 0)
            return false;
        length += (size_t)got;
    }
    text[length] = 0;
    return true;
}

/* Serves one request. */
static void *answer(void *argument) {
    int connection = (int)(intptr_t)argument;
    char text[1024];
    if (recv(connection, text, sizeof text, 0) > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); /* the work of a call */
        int length =
            snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                     strlen(name) + 1, name);
        send(connection, text, (size_t)length, MSG_NOSIGNAL);
        /* What the caller still sends is read, or closing would cut the answer off. */
        shutdown(connection, SHUT_WR);
        while (recv(connection, text, sizeof text, 0) > 0) {
        }
    }
    close(connection);
    return NULL;
}

static void *serve(void *argument) {
    int listener = (int)(intptr_t)argument;
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        pthread_t thread;
        if (connection >= 0 && pthread_create(&thread, NULL, answer, (void *)(intptr_t)connection) == 0)
            pthread_detach(thread);
        else if (connection >= 0)
            close(connection);
    }
    return NULL;
}

/* A GET of "/"; the body's first word goes to `body`. */
static bool get(const callsheet_pick_t *pick, char body[NAME]) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(pick->port)};
    struct timeval limit = {.tv_sec = 5};
    char text[1024];
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bool ok = inet_pton(AF_INET, pick->address, &to.sin_addr) == 1 &&
              connect(connection, (struct sockaddr *)&to, sizeof to) == 0;
    int length = snprintf(text, sizeof text, "GET / HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", pick->address);
    ok =
        ok && send(connection, text, (size_t)length, MSG_NOSIGNAL) == length && read_all(connection, text, sizeof text);
    close(connection);
    const char *end = ok ? strstr(text, "\r\n\r\n") : NULL;
    return end && sscanf(end + 4, "%31s", body) == 1;
}

/* One call, with a second attempt on another instance: a GET may be repeated, wherever it was cut. */
static bool call(void) {
    callsheet_pick_t pick;
    char body[NAME], first[300];
    if (callsheet_pick(picker, &pick, NULL) != CALLSHEET_OK)
        return false;
    snprintf(first, sizeof first, "%s", pick.id);
    bool ok = get(&pick, body), again = !ok;
    callsheet_pick_done(&pick, ok ? CALLSHEET_OUTCOME_OK : CALLSHEET_OUTCOME_FAILED);
    const char *tried[] = {first};
    if (again && callsheet_pick_other(picker, tried, 1, &pick, NULL) == CALLSHEET_OK) {
        ok = get(&pick, body);
        callsheet_pick_done(&pick, ok ? CALLSHEET_OUTCOME_OK : CALLSHEET_OUTCOME_FAILED);
    }
    if (ok)
        count(body, again);
    return ok;
}

static void *call_others(void *unused) {
    (void)unused;
    while (!atomic_load(&stopped)) {
        if (!call()) {
            pthread_mutex_lock(&lock);
            failed++;
            pthread_mutex_unlock(&lock);
            say("failed a call of the C member");
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    name = argc > 1 ? argv[1] : "dot";
    /* Before any thread is there, so that the signal comes to sigtimedwait and to nothing else. */
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 128) ||
        getsockname(listener, (struct sockaddr *)&at, &size))
        return die("can't listen", NULL);
    pthread_t server;
    pthread_create(&server, NULL, serve, (void *)(intptr_t)listener);

    callsheet_error_t *error = NULL;
    callsheet_client_t *client = NULL;
    if (callsheet_connect(NULL, NULL, &client, &error) != CALLSHEET_OK)
        return die("can't connect", error);
    const callsheet_pair_t metadata[] = {{"name", name}, {"in", "C"}};
    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    options.service = "greeter";
    options.port = ntohs(at.sin_port);
    options.metadata = metadata;
    options.metadata_len = 2;
    options.hold = true;
    options.drain_ms = 500; /* for calls that were already on their way */
    callsheet_registration_t *registration = NULL;
    if (callsheet_register(client, &options, &registration, &error) != CALLSHEET_OK)
        return die("can't register", error);
    say("joining");
    if (callsheet_registration_ready(registration, 5000, &error) != CALLSHEET_OK)
        return die("not registered", error);
    if (callsheet_picker_open(client, "greeter", NULL, &picker, &error) != CALLSHEET_OK)
        return die("no picker", error);

    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        pthread_create(&callers[i], NULL, call_others, NULL);
    while (sigtimedwait(&stop, NULL, &(struct timespec){.tv_nsec = 100000000}) != SIGTERM)
        tell();
    atomic_store(&stopped, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    tell();
    say("leaving");
    if (callsheet_registration_close(registration, &error) != CALLSHEET_OK)
        return die("can't withdraw", error);
    for (int i = 0; i < NAMES && called[i].name[0]; i++)
        printf("called %s %ld\n", called[i].name, called[i].times);
    callsheet_picker_free(picker);
    callsheet_registration_free(registration);
    int status = callsheet_client_close(client, &error) == CALLSHEET_OK ? 0 : die("can't close", error);
    callsheet_client_free(client);
    return status;
}
