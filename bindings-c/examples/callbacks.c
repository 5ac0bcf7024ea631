/* Is called with every change of a service, on callsheet's own thread, while the main thread picks instances to call:
 * callbacks SERVICE CALLS [URL] */
#include <callsheet.h>
#include <stdio.h>
#include <stdlib.h>

struct app {
    FILE *out;
};

static int failed(const char *what, callsheet_error_t *error) {
    fprintf(stderr, "%s: %s\n", what, callsheet_error_message(error));
    callsheet_error_free(error);
    return 1;
}

/* Calls never overlap. The snapshot lives until this returns; callsheet_snapshot_clone would keep it. */
static void changed(void *context, const callsheet_snapshot_t *snapshot) {
    struct app *app = context;
    fprintf(app->out, "%zu instances, %s\n", callsheet_snapshot_len(snapshot),
            callsheet_freshness_name(callsheet_snapshot_freshness(snapshot)));
    fflush(app->out);
}

/* Called once; nothing is called after it. */
static void release(void *context) {
    struct app *app = context;
    fprintf(app->out, "no more callbacks\n");
    fflush(app->out);
    free(app);
}

static void log_line(void *context, callsheet_log_level level, const char *message) {
    (void)context;
    fprintf(stderr, "callsheet [%d]: %s\n", (int)level, message);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s SERVICE CALLS [URL]\n", argv[0]);
        return 2;
    }
    callsheet_error_t *error = NULL;
    callsheet_client_t *client = NULL;
    callsheet_log_closure_t log = {NULL, log_line, NULL};
    if (callsheet_set_log(CALLSHEET_LOG_WARN, log, &error) != CALLSHEET_OK)
        return failed("can't log", error);
    if (callsheet_connect(argc > 3 ? argv[3] : NULL, NULL, &client, &error) != CALLSHEET_OK)
        return failed("can't connect", error);

    struct app *app = malloc(sizeof *app);
    if (!app)
        return 1;
    app->out = stdout;
    callsheet_on_change_closure_t closure = {app, changed, release}; /* app is callsheet's from here on */
    callsheet_subscription_t *subscription = NULL;
    if (callsheet_on_change(client, argv[1], NULL, closure, &subscription, &error) != CALLSHEET_OK)
        return failed("can't subscribe", error);

    callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
    options.policy = CALLSHEET_POLICY_ROUND_ROBIN;
    callsheet_picker_t *picker = NULL;
    if (callsheet_picker_open(client, argv[1], &options, &picker, &error) != CALLSHEET_OK)
        return failed("can't open a picker", error);
    for (long calls = strtol(argv[2], NULL, 10); calls > 0; calls--) {
        callsheet_pick_t pick;
        if (callsheet_pick_within(picker, 10000, &pick, &error) != CALLSHEET_OK)
            return failed("nothing to call", error);
        printf("calling %s at %s:%u\n", pick.id, pick.address, pick.port);
        fflush(stdout);
        callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    }

    callsheet_picker_free(picker);
    if (callsheet_subscription_close(subscription, &error) != CALLSHEET_OK) /* `release` was called */
        return failed("can't unsubscribe", error);
    callsheet_subscription_free(subscription);
    int status = 0;
    if (callsheet_client_close(client, &error) != CALLSHEET_OK)
        status = failed("can't close", error);
    callsheet_client_free(client);
    return status;
}
