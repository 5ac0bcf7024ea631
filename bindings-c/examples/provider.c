/* Registers this process until it gets a signal, and tells every state of its registration:
 * provider SERVICE PORT [URL] */
#include <callsheet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char *what, callsheet_error_t *error) {
    fprintf(stderr, "%s: %s\n", what, callsheet_error_message(error));
    callsheet_error_free(error);
    return 1;
}

static void on_state(void *context, callsheet_state state, const callsheet_error_t *why) {
    (void)context;
    printf("%s%s%s\n", callsheet_state_name(state), why ? ": " : "", callsheet_error_message(why));
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s SERVICE PORT [URL]\n", argv[0]);
        return 2;
    }
    /* Before any thread is there, so that the signals come to sigwait and to nothing else. */
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);

    callsheet_error_t *error = NULL;
    callsheet_client_t *client = NULL;
    if (callsheet_connect(argc > 3 ? argv[3] : NULL, NULL, &client, &error) != CALLSHEET_OK)
        return failed("can't connect", error);

    const char *tags[] = {"v2"};
    const callsheet_pair_t metadata[] = {{"language", "c"}};
    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    options.service = argv[1];
    options.port = strtoll(argv[2], NULL, 10);
    options.tags = tags;
    options.tags_len = 1;
    options.metadata = metadata;
    options.metadata_len = 1;
    options.hold = true; /* publish when I say so */
    callsheet_registration_t *registration = NULL;
    if (callsheet_register(client, &options, &registration, &error) != CALLSHEET_OK)
        return failed("can't register", error);

    callsheet_on_state_closure_t closure = {NULL, on_state, NULL};
    if (callsheet_on_state(registration, closure, NULL, &error) != CALLSHEET_OK)
        return failed("can't follow the states", error);

    /* ... begin to serve, then: */
    if (callsheet_registration_ready(registration, 5000, &error) != CALLSHEET_OK) {
        failed("not registered yet", error); /* it goes on trying */
        error = NULL;
    }
    int signal = 0;
    sigwait(&stop, &signal);

    int status = 0;
    if (callsheet_client_close(client, &error) != CALLSHEET_OK) /* withdraws */
        status = failed("can't withdraw", error);
    callsheet_registration_free(registration);
    callsheet_client_free(client);
    return status;
}
