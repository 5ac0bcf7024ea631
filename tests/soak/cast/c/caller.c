#define _POSIX_C_SOURCE 200809L
#include "caller.h"
#include "words.h"
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAUSE = 50 * 1000 * 1000,
    REPORT = 20, /* calls between two reports of how many there were */
    PATIENCE = 5000,
    ID = 32,
    WHY = 600,
};

struct caller {
    callsheet_picker_t *picker;
    pthread_t thread;
    atomic_bool ended;
    long calls;
};

typedef enum { ANSWERED, UNCONNECTED, FAILED } outcome_t;

/* Who answers says who it is. */
static outcome_t ask(const callsheet_pick_t *pick, char why[WHY]) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(pick->port)};
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    outcome_t outcome = FAILED;
    char answer[ID + 2];
    size_t length = 0;
    ssize_t got = 0;
    if (inet_pton(AF_INET, pick->address, &to.sin_addr) != 1) {
        snprintf(why, WHY, "no address: %s", pick->address);
    } else if (connect(connection, (struct sockaddr *)&to, sizeof to) != 0) {
        snprintf(why, WHY, "connect: %s", strerror(errno));
        outcome = UNCONNECTED;
    } else {
        while (length + 1 < sizeof answer &&
               (got = recv(connection, answer + length, sizeof answer - length - 1, 0)) > 0)
            length += (size_t)got;
        answer[length] = 0;
        answer[strcspn(answer, "\n")] = 0;
        if (got < 0)
            snprintf(why, WHY, "recv: %s", strerror(errno));
        else if (length == 0)
            snprintf(why, WHY, "cut off");
        else if (strcmp(answer, pick->id) != 0)
            snprintf(why, WHY, "answered by %s", answer);
        else
            outcome = ANSWERED;
    }
    close(connection);
    return outcome;
}

/* One attempt, and its report; `id` is left as whom it was made at. */
static outcome_t attempt(callsheet_pick_t *pick, char id[ID], char why[WHY]) {
    double began = now();
    snprintf(id, ID, "%s", pick->id);
    outcome_t outcome = ask(pick, why);
    callsheet_pick_done(pick, outcome == ANSWERED ? CALLSHEET_OUTCOME_OK : CALLSHEET_OUTCOME_FAILED);
    if (outcome != ANSWERED)
        say("{\"attempt\": \"%s\", \"began\": %.6f, \"ended\": %.6f, \"why\": \"%s\"}", id, began, now(), quoted(why));
    return outcome;
}

/* What `call` with two attempts is elsewhere. */
static void call(caller_t *caller) {
    double began = now();
    char ids[2][ID], why[WHY], tried[2 * ID + 8] = "";
    callsheet_pick_t pick;
    callsheet_error_t *error = NULL;
    outcome_t outcome = FAILED;
    caller->calls++;
    if (callsheet_pick_within(caller->picker, PATIENCE, &pick, &error) == CALLSHEET_OK) {
        outcome = attempt(&pick, ids[0], why);
        snprintf(tried, sizeof tried, "\"%s\"", ids[0]);
        const char *first[] = {ids[0]};
        if (outcome == UNCONNECTED && callsheet_pick_other(caller->picker, first, 1, &pick, NULL) == CALLSHEET_OK) {
            outcome = attempt(&pick, ids[1], why);
            snprintf(tried, sizeof tried, "\"%s\", \"%s\"", ids[0], ids[1]);
        }
    } else {
        snprintf(why, WHY, "%s", callsheet_error_message(error));
        callsheet_error_free(error);
    }
    if (outcome != ANSWERED)
        say("{\"call\": [%s], \"began\": %.6f, \"ended\": %.6f, \"why\": \"%s\"}", tried, began, now(), quoted(why));
}

static void *work(void *argument) {
    caller_t *caller = argument;
    while (!atomic_load(&caller->ended)) {
        call(caller);
        if (caller->calls % REPORT == 0)
            say("{\"calls\": %ld}", caller->calls);
        nanosleep(&(struct timespec){.tv_nsec = PAUSE}, NULL);
    }
    say("{\"calls\": %ld}", caller->calls);
    return NULL;
}

caller_t *caller_start(callsheet_client_t *client, const char *service) {
    caller_t *caller = calloc(1, sizeof *caller);
    callsheet_error_t *error = NULL;
    if (callsheet_picker_open(client, service, NULL, &caller->picker, &error) != CALLSHEET_OK)
        die("no picker", error);
    pthread_create(&caller->thread, NULL, work, caller);
    return caller;
}

void caller_end(caller_t *caller) {
    atomic_store(&caller->ended, true);
    pthread_join(caller->thread, NULL);
    callsheet_picker_free(caller->picker);
    free(caller);
}
