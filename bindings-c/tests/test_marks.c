/* Marks: they stay with an instance through every snapshot and pick, and come back once when it is gone. */
#include "check.h"

/* The next mark that comes back. */
static uint64_t released(void) {
    uint64_t mark = 0;
    EVENTUALLY(callsheet_marks_released(&mark, 1) == 1, 10);
    return mark;
}

static void put(callsheet_memory_t *memory, int64_t port) {
    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    options.service = "billing";
    options.address = "10.0.0.1";
    options.id = "a";
    options.port = port;
    OK(callsheet_memory_put(memory, &options, &error));
}

/* Looks "billing" up again, into `snapshot`, and gives its first instance's port. */
static int64_t port_of_first(callsheet_client_t *client, callsheet_snapshot_t **snapshot) {
    callsheet_snapshot_free(*snapshot);
    OK(callsheet_lookup(client, "billing", NULL, snapshot, &error));
    return callsheet_instance_port(callsheet_snapshot_get(*snapshot, 0));
}

TEST(a_mark_stays_with_its_instance_and_comes_back_when_that_is_gone) {
    callsheet_memory_t *memory = NULL;
    OK(callsheet_memory_open("marks", &memory, &error));
    put(memory, 1);
    callsheet_client_t *client = connected("memory:marks");
    callsheet_snapshot_t *first = NULL, *second = NULL, *third = NULL;
    OK(callsheet_lookup(client, "billing", NULL, &first, &error));
    const callsheet_instance_t *instance = callsheet_snapshot_get(first, 0);
    CHECK(callsheet_instance_mark(instance) == 0);
    CHECK(callsheet_instance_set_mark(instance, 7) == 7);
    CHECK(callsheet_instance_set_mark(instance, 8) == 7);

    /* In another snapshot and in a pick. */
    callsheet_filter_options_t filter = CALLSHEET_FILTER_OPTIONS_INIT;
    filter.healthy = false;
    OK(callsheet_lookup(client, "billing", &filter, &second, &error));
    CHECK(callsheet_instance_mark(callsheet_snapshot_get(second, 0)) == 7);
    callsheet_picker_t *picker = NULL;
    callsheet_pick_t pick;
    OK(callsheet_picker_open(client, "billing", NULL, &picker, &error));
    OK(callsheet_pick(picker, &pick, &error));
    CHECK(callsheet_instance_mark(pick.instance) == 7);
    callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);

    /* Not of a copy. */
    callsheet_instance_t *copy = callsheet_instance_copy(instance);
    CHECK(callsheet_instance_mark(copy) == 0);
    CHECK(callsheet_instance_set_mark(copy, 9) == 9);
    callsheet_instance_free(copy);
    CHECK(released() == 9);

    /* One that changed is another one, and the old one is there while a snapshot has it. */
    put(memory, 2);
    EVENTUALLY(port_of_first(client, &third) == 2, 10);
    CHECK(callsheet_instance_mark(callsheet_snapshot_get(third, 0)) == 0);
    CHECK(callsheet_instance_mark(instance) == 7);
    uint64_t mark = 0;
    CHECK(callsheet_marks_released(&mark, 1) == 0);
    callsheet_snapshot_free(first);
    callsheet_snapshot_free(second);
    callsheet_snapshot_free(third);
    callsheet_picker_free(picker);
    OK(callsheet_client_close(client, &error));
    callsheet_client_free(client);
    callsheet_memory_free(memory);
    CHECK(released() == 7);
    CHECK(callsheet_marks_released(&mark, 1) == 0);
}

TEST(marks_of_nothing) {
    CHECK(callsheet_instance_mark(NULL) == 0);
    CHECK(callsheet_instance_set_mark(NULL, 1) == 0);
    CHECK(callsheet_marks_released(NULL, 1) == 0);
    uint64_t mark = 0;
    CHECK(callsheet_marks_released(&mark, 0) == 0);
}
