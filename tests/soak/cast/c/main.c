/* Watchers, a caller or a provider in C: c URL. What they read and say is told in blocking.py: `watch`, `call` and
 * `serve`, each once. */
#define _POSIX_C_SOURCE 200809L
#include "caller.h"
#include "provider.h"
#include "watcher.h"
#include "words.h"
#include <stdio.h>
#include <string.h>

enum { LINE = 1000, WATCHERS = 8 };

int main(int argc, char **argv) {
    callsheet_error_t *error = NULL;
    callsheet_client_t *client = NULL;
    if (callsheet_connect(argc > 1 ? argv[1] : NULL, NULL, &client, &error) != CALLSHEET_OK)
        die("can't connect", error);
    watcher_t *watchers[WATCHERS] = {0};
    size_t watching = 0;
    caller_t *caller = NULL;
    provider_t *provider = NULL;
    char line[LINE], what[32], service[32];
    while (fgets(line, sizeof line, stdin)) {
        word_of(line, "do", what, sizeof what);
        word_of(line, "service", service, sizeof service);
        if (strcmp(what, "watch") == 0 && watching < WATCHERS)
            watchers[watching++] = watcher_start(client, line);
        else if (strcmp(what, "call") == 0 && !caller)
            caller = caller_start(client, service);
        else if (strcmp(what, "serve") == 0 && !provider)
            provider = provider_start(client, line);
        else
            die(line, NULL);
        say("{\"did\": %ld}", number_of(line, "number"));
    }
    if (caller)
        caller_end(caller);
    if (provider)
        provider_end(provider);
    if (callsheet_client_close(client, &error) != CALLSHEET_OK)
        die("can't close", error);
    for (size_t at = 0; at < watching; at++)
        watcher_end(watchers[at]);
    callsheet_client_free(client);
    return 0;
}
