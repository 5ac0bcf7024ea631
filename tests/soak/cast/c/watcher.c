#define _POSIX_C_SOURCE 200809L
#include "watcher.h"
#include "words.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 32 };

struct watcher {
    char name[WORD];
    callsheet_watch_t *watch;
    pthread_t thread;
};

static void tell(const watcher_t *watcher, const callsheet_snapshot_t *snapshot) {
    char *instances = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&instances, &length);
    for (size_t at = 0; at < callsheet_snapshot_len(snapshot); at++) {
        const callsheet_instance_t *instance = callsheet_snapshot_get(snapshot, at);
        const char *n = callsheet_instance_metadata(instance, "n");
        fprintf(text, "%s\"%s %s %s\"", at ? ", " : "", callsheet_instance_id(instance), n ? n : "",
                callsheet_status_name(callsheet_instance_status(instance)));
    }
    fclose(text);
    say("{\"saw\": \"%s\", \"revision\": %llu, \"freshness\": \"%s\", \"instances\": [%s]}", watcher->name,
        (unsigned long long)callsheet_snapshot_revision(snapshot),
        callsheet_freshness_name(callsheet_snapshot_freshness(snapshot)), instances);
    free(instances);
}

static void *follow(void *argument) {
    const watcher_t *watcher = argument;
    callsheet_snapshot_t *snapshot = NULL;
    while (callsheet_watch_next(watcher->watch, -1, &snapshot, NULL) == CALLSHEET_OK) {
        tell(watcher, snapshot);
        callsheet_snapshot_free(snapshot);
    }
    return NULL;
}

watcher_t *watcher_start(callsheet_client_t *client, const char *line) {
    watcher_t *watcher = calloc(1, sizeof *watcher);
    callsheet_error_t *error = NULL;
    callsheet_filter_options_t filter = CALLSHEET_FILTER_OPTIONS_INIT;
    char service[WORD], healthy[WORD];
    word_of(line, "watcher", watcher->name, WORD);
    word_of(line, "service", service, WORD);
    word_of(line, "healthy", healthy, WORD);
    filter.healthy = strcmp(healthy, "true") == 0;
    if (callsheet_watch_open(client, service, &filter, &watcher->watch, &error) != CALLSHEET_OK)
        die("can't watch", error);
    pthread_create(&watcher->thread, NULL, follow, watcher);
    return watcher;
}

void watcher_end(watcher_t *watcher) {
    pthread_join(watcher->thread, NULL);
    callsheet_watch_free(watcher->watch);
    free(watcher);
}
