/* The log hook, and what the library says of itself. */
#include "check.h"

struct lines {
    atomic_int count, drops, worst;
};

static void line(void *context, callsheet_log_level level, const char *message) {
    struct lines *lines = context;
    CHECK(strlen(message) > 0 && level >= CALLSHEET_LOG_ERROR);
    if ((int)level > lines->worst)
        lines->worst = (int)level;
    lines->count++;
}

static void dropped(void *context) {
    struct lines *lines = context;
    lines->drops++;
}

/* A registration that is refused is told of once. */
static void complain(const char *name) {
    char url[64];
    snprintf(url, sizeof url, "memory:%s", name);
    callsheet_memory_t *memory = NULL;
    OK(callsheet_memory_open(name, &memory, &error));
    callsheet_memory_refuse(memory, true);
    callsheet_client_t *client = connected(url);
    callsheet_registration_options_t options = options_of("billing", 1);
    callsheet_registration_t *registration = NULL;
    OK(callsheet_register(client, &options, &registration, &error));
    callsheet_memory_refuse(memory, false);
    callsheet_registration_free(registration);
    callsheet_client_close(client, NULL);
    callsheet_client_free(client);
    callsheet_memory_free(memory);
}

TEST(the_hook_gets_lines_until_another_takes_over) {
    static struct lines one, two;
    callsheet_log_closure_t hook = {&one, line, dropped};
    OK(callsheet_set_log(CALLSHEET_LOG_WARN, hook, &error));
    complain("log-1");
    EVENTUALLY(one.count >= 1, 20);
    CHECK(one.worst <= CALLSHEET_LOG_WARN && one.drops == 0);
    hook.context = &two;
    OK(callsheet_set_log(CALLSHEET_LOG_INFO, hook, &error));
    EVENTUALLY(one.drops == 1, 20);
    int before = one.count;
    complain("log-2");
    EVENTUALLY(two.count >= 1, 20);
    CHECK(one.count == before);
    callsheet_log_closure_t none = {NULL, NULL, NULL};
    OK(callsheet_set_log(CALLSHEET_LOG_WARN, none, &error));
    EVENTUALLY(two.drops == 1, 20);
    before = two.count;
    complain("log-3");
    CHECK(two.count == before && one.drops == 1 && two.drops == 1);
}

TEST(the_library_is_that_of_the_header) {
    CHECK(callsheet_abi_version() == CALLSHEET_ABI_VERSION);
    CHECK(strchr(callsheet_version(), '.') != NULL);
}

TEST(every_number_has_its_word) {
    const struct {
        int32_t number;
        const char *word;
    } codes[] = {
        {CALLSHEET_OK, "ok"},
        {CALLSHEET_INVALID_ARGUMENT, "invalid_argument"},
        {CALLSHEET_CONFIG, "config"},
        {CALLSHEET_NOT_FOUND, "not_found"},
        {CALLSHEET_NO_INSTANCES, "no_instances"},
        {CALLSHEET_UNAVAILABLE, "unavailable"},
        {CALLSHEET_TIMEOUT, "timeout"},
        {CALLSHEET_UNAUTHENTICATED, "unauthenticated"},
        {CALLSHEET_PERMISSION_DENIED, "permission_denied"},
        {CALLSHEET_CONFLICT, "conflict"},
        {CALLSHEET_CLOSED, "closed"},
        {CALLSHEET_CANCELLED, "cancelled"},
        {CALLSHEET_FORKED, "forked"},
        {CALLSHEET_PROTOCOL, "protocol"},
        {CALLSHEET_INTERNAL, "internal"},
        {CALLSHEET_FOREIGN, "foreign"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        SAME(callsheet_code_name(codes[i].number), codes[i].word);
    SAME(callsheet_state_name(CALLSHEET_STATE_PENDING), "pending");
    SAME(callsheet_state_name(CALLSHEET_STATE_REGISTERED), "registered");
    SAME(callsheet_state_name(CALLSHEET_STATE_LOST), "lost");
    SAME(callsheet_state_name(CALLSHEET_STATE_REFUSED), "refused");
    SAME(callsheet_state_name(CALLSHEET_STATE_SUPERSEDED), "superseded");
    SAME(callsheet_state_name(CALLSHEET_STATE_CLOSED), "closed");
    SAME(callsheet_status_name(CALLSHEET_STATUS_PASSING), "passing");
    SAME(callsheet_status_name(CALLSHEET_STATUS_WARNING), "warning");
    SAME(callsheet_status_name(CALLSHEET_STATUS_CRITICAL), "critical");
    SAME(callsheet_status_name(CALLSHEET_STATUS_DRAINING), "draining");
    SAME(callsheet_freshness_name(CALLSHEET_FRESHNESS_LIVE), "live");
    SAME(callsheet_freshness_name(CALLSHEET_FRESHNESS_STALE), "stale");
    SAME(callsheet_freshness_name(CALLSHEET_FRESHNESS_DISK), "disk");
    SAME(callsheet_freshness_name(CALLSHEET_FRESHNESS_FALLBACK), "fallback");
    SAME(callsheet_policy_name(CALLSHEET_POLICY_ROUND_ROBIN), "round_robin");
    SAME(callsheet_policy_name(CALLSHEET_POLICY_RANDOM), "random");
    SAME(callsheet_policy_name(CALLSHEET_POLICY_P2C), "p2c");
}

/* Not in the header. */
callsheet_code callsheet_test_panic(bool waiting, callsheet_error_t **why);

TEST(a_panic_is_an_error) {
    ENDS(CALLSHEET_INTERNAL, callsheet_test_panic(false, &error));
    ENDS(CALLSHEET_INTERNAL, callsheet_test_panic(true, &error));
    CHECK(callsheet_test_panic(false, NULL) == CALLSHEET_INTERNAL);
}
