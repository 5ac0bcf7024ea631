/* The program of the contract, as it stands there, with what it calls around it. */
#include "check.h"

struct shown {
    atomic_int changes;
    atomic_bool released;
};

static void changed(void *context, const callsheet_snapshot_t *snapshot) {
    struct shown *app = context;
    CHECK(callsheet_snapshot_len(snapshot) == 1);
    app->changes++;
}

static void release(void *context) {
    struct shown *app = context;
    app->released = true;
}

static void call(const char *address, uint16_t port) {
    SAME(address, "127.0.0.1");
    CHECK(port == 8080);
}

/* clang-format off: these are the contract's lines. */
static int program(struct shown *app) {
    callsheet_error_t *error = NULL;
    callsheet_client_t *client = NULL;
    if (callsheet_connect("memory:contract", NULL, &client, &error) != CALLSHEET_OK) {
        fprintf(stderr, "%s\n", callsheet_error_message(error));
        callsheet_error_free(error);
        return 1;
    }

    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    options.service = "billing";
    options.port = 8080;
    options.hold = true; /* publish when I say so */
    callsheet_registration_t *registration = NULL;
    callsheet_register(client, &options, &registration, &error);
    callsheet_registration_ready(registration, 5000, &error); /* milliseconds */

    callsheet_watch_t *watch = NULL;
    callsheet_watch_open(client, "billing", NULL, &watch, &error); /* NULL: no filter; also in _lookup and _on_change */
    struct pollfd ready = {.fd = callsheet_watch_fd(watch), .events = POLLIN};
    while (poll(&ready, 1, -1) > 0) {
        callsheet_snapshot_t *snapshot = NULL;
        callsheet_code code = callsheet_watch_next(watch, 0, &snapshot, &error);
        if (code == CALLSHEET_TIMEOUT)
            continue; /* a wake-up with nothing new; no error object */
        if (code != CALLSHEET_OK)
            break;
        for (size_t i = 0; i < callsheet_snapshot_len(snapshot); i++) {
            const callsheet_instance_t *instance = callsheet_snapshot_get(snapshot, i);
            printf("%s %s:%u\n", callsheet_instance_id(instance), callsheet_instance_address(instance),
                   callsheet_instance_port(instance));
        }
        callsheet_snapshot_free(snapshot);
        callsheet_watch_close(watch); /* where the contract goes on watching */
    }
    CHECK(callsheet_error_code(error) == CALLSHEET_CLOSED);
    callsheet_error_free(error);

    callsheet_picker_t *picker = NULL;
    callsheet_picker_open(client, "billing", NULL, &picker, &error);
    callsheet_pick_t pick;
    if (callsheet_pick(picker, &pick, &error) == CALLSHEET_OK) {
        call(pick.address, pick.port);
        callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    }

    callsheet_subscription_t *subscription = NULL;
    callsheet_on_change(client, "billing", NULL,
                        (callsheet_on_change_closure_t){.context = app, .call = changed, .drop = release},
                        &subscription, &error);

    /* clang-format on */
    EVENTUALLY(app->changes == 1, 10);
    OK(callsheet_client_close(client, &error));
    CHECK(app->released);
    callsheet_subscription_free(subscription);
    callsheet_picker_free(picker);
    callsheet_watch_free(watch);
    callsheet_registration_free(registration);
    callsheet_client_free(client);
    return 0;
}

TEST(the_program_of_the_contract_runs_as_written) {
    struct shown app = {0, false};
    CHECK(program(&app) == 0);
    CHECK(app.changes == 1);
}
