#include "recorder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"

struct call {
    long long began, ended; /* nanoseconds; 0 while it runs */
    char *snapshot;
};

struct recorder {
    pthread_mutex_t lock;
    int holders;
    callsheet_client_t *client;
    const char *closes;
    callsheet_subscription_t *subscription;
    long long closed;
    struct call *calls;
    size_t len;
    callsheet_snapshot_t *last;
    callsheet_state states[64];
    size_t states_len;
};

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

struct recorder *recorder_new(callsheet_client_t *client, const char *closes) {
    struct recorder *recorder = calloc(1, sizeof *recorder);
    pthread_mutex_init(&recorder->lock, NULL);
    recorder->holders = 2; /* the driver and the closure */
    recorder->client = client;
    recorder->closes = strcmp(closes, "client") == 0 ? "client" : strcmp(closes, "callback") == 0 ? "callback" : "";
    return recorder;
}

static void drop(void *context) {
    struct recorder *recorder = context;
    pthread_mutex_lock(&recorder->lock);
    int left = --recorder->holders;
    pthread_mutex_unlock(&recorder->lock);
    if (left)
        return;
    for (size_t i = 0; i < recorder->len; i++)
        free(recorder->calls[i].snapshot);
    free(recorder->calls);
    callsheet_snapshot_free(recorder->last);
    pthread_mutex_destroy(&recorder->lock);
    free(recorder);
}

void recorder_let_go(struct recorder *recorder) {
    callsheet_subscription_free(recorder->subscription);
    drop(recorder);
}

static void on_state(void *context, callsheet_state state, const callsheet_error_t *why) {
    struct recorder *recorder = context;
    (void)why;
    pthread_mutex_lock(&recorder->lock);
    if (recorder->states_len < sizeof recorder->states / sizeof *recorder->states)
        recorder->states[recorder->states_len++] = state;
    pthread_mutex_unlock(&recorder->lock);
}

static void on_change(void *context, const callsheet_snapshot_t *snapshot) {
    struct recorder *recorder = context;
    struct call call = {now(), 0, NULL};
    size_t size;
    FILE *out = open_memstream(&call.snapshot, &size);
    put_snapshot(out, snapshot, recorder->last, "");
    fclose(out);
    pthread_mutex_lock(&recorder->lock);
    callsheet_snapshot_free(recorder->last);
    recorder->last = callsheet_snapshot_clone(snapshot);
    size_t at = recorder->len++;
    recorder->calls = realloc(recorder->calls, recorder->len * sizeof call);
    recorder->calls[at] = call;
    pthread_mutex_unlock(&recorder->lock);

    callsheet_error_t *error = NULL;
    callsheet_code code = CALLSHEET_OK;
    if (at == 0 && strcmp(recorder->closes, "client") == 0)
        code = callsheet_client_close(recorder->client, &error);
    else if (at == 0 && strcmp(recorder->closes, "callback") == 0)
        code = recorder_close(recorder, &error);
    if (code != CALLSHEET_OK) {
        fprintf(stderr, "can't close in a callback: %s\n", callsheet_error_message(error));
        callsheet_error_free(error);
        return;
    }
    pthread_mutex_lock(&recorder->lock);
    recorder->calls[at].ended = now();
    pthread_mutex_unlock(&recorder->lock);
}

callsheet_on_state_closure_t recorder_of_states(struct recorder *recorder) {
    return (callsheet_on_state_closure_t){.context = recorder, .call = on_state, .drop = drop};
}

callsheet_on_change_closure_t recorder_of_changes(struct recorder *recorder) {
    return (callsheet_on_change_closure_t){.context = recorder, .call = on_change, .drop = drop};
}

callsheet_subscription_t **recorder_subscription(struct recorder *recorder) {
    return &recorder->subscription;
}

callsheet_code recorder_close(struct recorder *recorder, callsheet_error_t **error) {
    callsheet_code code = callsheet_subscription_close(recorder->subscription, error);
    pthread_mutex_lock(&recorder->lock);
    if (code == CALLSHEET_OK && !recorder->closed)
        recorder->closed = now();
    pthread_mutex_unlock(&recorder->lock);
    return code;
}

void put_states(FILE *out, struct recorder *recorder) {
    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->states_len; i++) {
        fputs(i ? "," : "", out);
        put_text(out, callsheet_state_name((int32_t)recorder->states[i]));
    }
    pthread_mutex_unlock(&recorder->lock);
}

static void put_time(FILE *out, const char *name, long long time) {
    fprintf(out, "\"%s\":", name);
    if (time)
        fprintf(out, "%lld", time);
    else
        fputs("null", out);
}

void put_calls(FILE *out, struct recorder *recorder) {
    pthread_mutex_lock(&recorder->lock);
    fputs("{\"calls\":[", out);
    for (size_t i = 0; i < recorder->len; i++) {
        fprintf(out, "%s{", i ? "," : "");
        put_time(out, "began", recorder->calls[i].began);
        fputc(',', out);
        put_time(out, "ended", recorder->calls[i].ended);
        fprintf(out, ",\"snapshot\":%s}", recorder->calls[i].snapshot);
    }
    fputs("],", out);
    put_time(out, "closed", recorder->closed);
    fputc('}', out);
    pthread_mutex_unlock(&recorder->lock);
}
