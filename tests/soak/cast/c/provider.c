#define _POSIX_C_SOURCE 200809L
#include "provider.h"
#include "words.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORD = 32, BACKLOG = 128, DRAIN = 500 };

struct provider {
    char id[WORD];
    char slot[WORD];
    callsheet_registration_t *registration;
    callsheet_subscription_t *states;
    int listener;
    pthread_t thread;
};

static void tell(void *context, callsheet_state state, const callsheet_error_t *why) {
    (void)why;
    const provider_t *provider = context;
    say("{\"slot\": \"%s\", \"state\": \"%s\"}", provider->slot, callsheet_state_name(state));
}

static void *serve(void *argument) {
    const provider_t *provider = argument;
    int connection;
    char answer[WORD + 2];
    int length = snprintf(answer, sizeof answer, "%s\n", provider->id);
    /* Until the listener is shut down. */
    while ((connection = accept(provider->listener, NULL, NULL)) >= 0) {
        send(connection, answer, (size_t)length, MSG_NOSIGNAL);
        close(connection);
    }
    return NULL;
}

static void listen_at(provider_t *provider, const char *address, long port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &at.sin_addr);
    provider->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(provider->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(provider->listener, (struct sockaddr *)&at, sizeof at) || listen(provider->listener, BACKLOG))
        die("can't listen", NULL);
    say("{\"listens\": \"%s\", \"at\": %.6f}", provider->id, now());
}

provider_t *provider_start(callsheet_client_t *client, const char *line) {
    provider_t *provider = calloc(1, sizeof *provider);
    callsheet_error_t *error = NULL;
    char service[WORD], address[WORD], n[WORD];
    word_of(line, "slot", provider->slot, WORD);
    word_of(line, "id", provider->id, WORD);
    word_of(line, "service", service, WORD);
    word_of(line, "address", address, WORD);
    word_of(line, "n", n, WORD);
    const callsheet_pair_t metadata[] = {{"n", n}};
    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    options.service = service;
    options.address = address;
    options.port = number_of(line, "port");
    options.id = provider->id;
    options.ttl_ms = number_of(line, "ttl") * 1000;
    options.metadata = metadata;
    options.metadata_len = 1;
    options.wait_for_port = true;
    options.drain_ms = DRAIN;
    if (callsheet_register(client, &options, &provider->registration, &error) != CALLSHEET_OK)
        die("can't register", error);
    callsheet_on_state_closure_t closure = {.context = provider, .call = tell};
    if (callsheet_on_state(provider->registration, closure, &provider->states, &error) != CALLSHEET_OK)
        die("can't follow states", error);
    listen_at(provider, address, options.port);
    pthread_create(&provider->thread, NULL, serve, provider);
    return provider;
}

void provider_end(provider_t *provider) {
    callsheet_error_t *error = NULL;
    callsheet_code code = callsheet_registration_close(provider->registration, &error);
    /* A registry that can't be told forgets it with its TTL. */
    if (code != CALLSHEET_OK && code != CALLSHEET_TIMEOUT)
        die("can't withdraw", error);
    callsheet_error_free(error);
    say("{\"leaves\": \"%s\", \"at\": %.6f}", provider->id, now());
    shutdown(provider->listener, SHUT_RDWR);
    pthread_join(provider->thread, NULL);
    close(provider->listener);
    callsheet_subscription_free(provider->states);
    callsheet_registration_free(provider->registration);
    free(provider);
}
