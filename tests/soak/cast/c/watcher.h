/* Follows a service, and says what it sees. */
#pragma once
#include <callsheet.h>

typedef struct watcher watcher_t;

/* As the line of the command says. */
watcher_t *watcher_start(callsheet_client_t *client, const char *line);

/* Once its client is closed, which ends it. */
void watcher_end(watcher_t *watcher);
