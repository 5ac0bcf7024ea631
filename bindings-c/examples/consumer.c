/* Follows services in one poll loop, with one descriptor for all of them, until its input ends:
 * consumer URL SERVICE... */
#include <callsheet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int failed(const char *what, callsheet_error_t *error) {
    fprintf(stderr, "%s: %s\n", what, callsheet_error_message(error));
    callsheet_error_free(error);
    return 1;
}

static void show(const callsheet_snapshot_t *snapshot) {
    printf("%s %s:", callsheet_snapshot_service(snapshot),
           callsheet_freshness_name(callsheet_snapshot_freshness(snapshot)));
    for (size_t i = 0; i < callsheet_snapshot_len(snapshot); i++)
        printf(" %s", callsheet_instance_url(callsheet_snapshot_get(snapshot, i)));
    printf("\n");
    fflush(stdout);
}

/* Everything that is to be told now. False once the client is closed. */
static bool tell(callsheet_client_t *client) {
    callsheet_watch_t *watch = NULL;
    callsheet_code code;
    while ((code = callsheet_client_next(client, 0, &watch, NULL)) == CALLSHEET_OK) {
        callsheet_snapshot_t *snapshot = NULL;
        if (callsheet_watch_next(watch, 0, &snapshot, NULL) == CALLSHEET_OK)
            show(snapshot);
        callsheet_snapshot_free(snapshot);
    }
    return code == CALLSHEET_TIMEOUT; /* nothing more for now */
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s URL SERVICE...\n", argv[0]);
        return 2;
    }
    callsheet_error_t *error = NULL;
    callsheet_client_t *client = NULL;
    if (callsheet_connect(argv[1], NULL, &client, &error) != CALLSHEET_OK)
        return failed("can't connect", error);

    size_t count = (size_t)argc - 2;
    callsheet_watch_t **watches = calloc(count, sizeof *watches);
    if (!watches)
        return 1;
    for (size_t i = 0; i < count; i++) {
        if (callsheet_watch_open(client, argv[i + 2], NULL, &watches[i], &error) != CALLSHEET_OK)
            return failed(argv[i + 2], error);
    }

    struct pollfd ready[] = {{.fd = callsheet_client_fd(client), .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN}};
    char line[256];
    while (poll(ready, 2, -1) > 0) {
        if (ready[0].revents && !tell(client))
            break;
        if (ready[1].revents && read(STDIN_FILENO, line, sizeof line) <= 0)
            break;
    }

    for (size_t i = 0; i < count; i++)
        callsheet_watch_free(watches[i]);
    free(watches);
    int status = 0;
    if (callsheet_client_close(client, &error) != CALLSHEET_OK)
        status = failed("can't close", error);
    callsheet_client_free(client);
    return status;
}
