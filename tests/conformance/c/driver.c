/* The driver of the C library: each request of the engine as the call that it stands for. */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "recorder.h"
#include "request.h"

enum kind { NOTHING, CLIENT, REGISTRATION, WATCH, NAMES, PICKER, PICK, CALLBACK };

/* Something that is open, by its name. */
struct thing {
    char *name;
    enum kind kind;
    void *it;
    struct recorder *recorder;  /* of a registration or callback */
    callsheet_snapshot_t *last; /* of a watch */
    struct thing *next;
};

static struct thing *things;
static callsheet_pick_t *held;
static size_t held_len;
static callsheet_memory_t *memory;
static callsheet_error_t *error; /* of the call that is made now */
static FILE *out;

static void drop_content(struct thing *thing) {
    switch (thing->kind) {
    case NOTHING:
        break;
    case CLIENT:
        callsheet_client_free(thing->it);
        break;
    case REGISTRATION:
        callsheet_registration_free(thing->it);
        break;
    case WATCH:
        callsheet_watch_free(thing->it);
        break;
    case NAMES:
        callsheet_names_watch_free(thing->it);
        break;
    case PICKER:
        callsheet_picker_free(thing->it);
        break;
    case PICK:
        callsheet_pick_done(thing->it, CALLSHEET_OUTCOME_CANCELLED);
        free(thing->it);
        break;
    case CALLBACK:
        break;
    }
    if (thing->recorder)
        recorder_let_go(thing->recorder);
    callsheet_snapshot_free(thing->last);
    char *name = thing->name;
    struct thing *next = thing->next;
    memset(thing, 0, sizeof *thing);
    thing->name = name;
    thing->next = next;
}

static struct thing *find(const char *name, enum kind kind) {
    for (struct thing *thing = things; thing; thing = thing->next) {
        if (strcmp(thing->name, name) == 0 && (thing->kind == kind || kind == NOTHING))
            return thing;
    }
    fprintf(stderr, "nothing of this kind is open as %s\n", name);
    exit(1);
}

static struct thing *of(const struct request *request, enum kind kind) {
    const char *name = request_text(request, "of");
    return find(name ? name : "", kind);
}

/* Keeps `it` by the name that the request gives. */
static struct thing *keep(const struct request *request, enum kind kind, void *it) {
    const char *name = request_text(request, "as");
    struct thing *thing = things;
    while (thing && strcmp(thing->name, name) != 0)
        thing = thing->next;
    if (!thing) {
        thing = calloc(1, sizeof *thing);
        thing->name = strdup(name);
        thing->next = things;
        things = thing;
    }
    drop_content(thing);
    thing->kind = kind;
    thing->it = it;
    return thing;
}

static callsheet_code reset(void) {
    for (struct thing *thing = things; thing; thing = thing->next) {
        if (thing->kind == CLIENT)
            callsheet_client_close(thing->it, NULL);
    }
    while (things) {
        struct thing *next = things->next;
        drop_content(things);
        free(things->name);
        free(things);
        things = next;
    }
    for (size_t i = 0; i < held_len; i++)
        callsheet_pick_done(&held[i], CALLSHEET_OUTCOME_CANCELLED);
    free(held);
    held = NULL;
    held_len = 0;
    callsheet_memory_free(memory);
    memory = NULL;
    return CALLSHEET_OK;
}

/* The number of a word, by the names that the library has for its numbers; one that no number has gives 99. */
static int32_t number_of(const char *word, const char *(*name)(int32_t)) {
    int32_t number = 1;
    while (number < 99 && strcmp(name(number), word) != 0)
        number++;
    return number;
}

/* What is missing is NULL to the library as well; the lists of `filter` are freed by `free_filter`. */
static const callsheet_filter_options_t *read_filter(const struct request *request,
                                                     callsheet_filter_options_t *filter) {
    callsheet_filter_options_t fresh = CALLSHEET_FILTER_OPTIONS_INIT;
    *filter = fresh;
    if (!request_has(request, "filter"))
        return NULL;
    filter->tags = request_list(request, "filter.tags", &filter->tags_len);
    filter->metadata = request_pairs(request, "filter.metadata", &filter->metadata_len);
    filter->zone = request_text(request, "filter.zone");
    filter->version = request_text(request, "filter.version");
    filter->healthy = request_truth(request, "filter.healthy", true);
    return filter;
}

static void free_filter(callsheet_filter_options_t *filter) {
    free((void *)filter->tags);
    free((void *)filter->metadata);
}

static callsheet_code connect(const struct request *request) {
    callsheet_connect_options_t options = CALLSHEET_CONNECT_OPTIONS_INIT;
    const struct {
        const char *name;
        int64_t *field;
    } times[] = {{"timeout", &options.timeout_ms},
                 {"ttl", &options.ttl_ms},
                 {"drain", &options.drain_ms},
                 {"empty_hold", &options.empty_hold_ms},
                 {"cache_max_age", &options.cache_max_age_ms}};
    size_t len, more = 0;
    callsheet_pair_t *pairs = request_pairs(request, "options", &len);
    for (size_t i = 0; i < len; i++) {
        char *end;
        double number = strtod(pairs[i].value, &end);
        bool taken = false;
        for (size_t t = 0; t < sizeof times / sizeof *times && !*end; t++) {
            if (strcmp(pairs[i].key, times[t].name) == 0) {
                *times[t].field = milliseconds(number);
                taken = true;
            }
        }
        if (!*end && strcmp(pairs[i].key, "cache_size") == 0) {
            options.cache_size = (int64_t)number;
            taken = true;
        }
        if (!taken)
            pairs[more++] = pairs[i];
    }
    options.more = pairs;
    options.more_len = more;
    callsheet_client_t *client = NULL;
    callsheet_code code = callsheet_connect(request_text(request, "url"),
                                            request_has(request, "options") ? &options : NULL, &client, &error);
    free(pairs);
    if (code == CALLSHEET_OK)
        keep(request, CLIENT, client);
    return code;
}

static callsheet_code stats(const struct request *request) {
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    callsheet_client_t *client = of(request, CLIENT)->it;
    callsheet_code code = callsheet_stats(client, &stats, &error);
    if (code == CALLSHEET_OK)
        put_stats(out, &stats, callsheet_client_source(client));
    return code;
}

static callsheet_code read_check(const struct request *request, callsheet_check_options_t *check) {
    const char *kinds[] = {"ttl", "heartbeat", "tcp", "http", "grpc"};
    const char *kind = request_text(request, "with.check.kind");
    check->kind = 99;
    for (int32_t i = 0; i < 5; i++) {
        if (strcmp(kind, kinds[i]) == 0)
            check->kind = i + 1;
    }
    if (request_has(request, "with.check.interval"))
        check->interval_ms = milliseconds(request_number(request, "with.check.interval", 0));
    if (request_has(request, "with.check.timeout"))
        check->timeout_ms = milliseconds(request_number(request, "with.check.timeout", 0));
    check->address = request_text(request, "with.check.address");
    if (request_has(request, "with.check.port"))
        check->port = (int64_t)request_number(request, "with.check.port", 0);
    check->target = request_text(request, "with.check.target");
    if (request_has(request, "with.check.deregister_critical_after"))
        check->deregister_critical_after_ms =
            milliseconds(request_number(request, "with.check.deregister_critical_after", 0));
    return CALLSHEET_OK;
}

static callsheet_code register_(const struct request *request) {
    callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    callsheet_check_options_t check = CALLSHEET_CHECK_OPTIONS_INIT;
    options.service = request_text(request, "with.service");
    options.port = (int64_t)request_number(request, "with.port", 0);
    options.address = request_text(request, "with.address");
    options.id = request_text(request, "with.id");
    options.scheme = request_text(request, "with.scheme");
    options.tags = request_list(request, "with.tags", &options.tags_len);
    options.metadata = request_pairs(request, "with.metadata", &options.metadata_len);
    options.weight = (int64_t)request_number(request, "with.weight", (double)options.weight);
    options.zone = request_text(request, "with.zone");
    options.version = request_text(request, "with.version");
    if (request_has(request, "with.ttl"))
        options.ttl_ms = milliseconds(request_number(request, "with.ttl", 0));
    if (request_has(request, "with.drain"))
        options.drain_ms = milliseconds(request_number(request, "with.drain", 0));
    options.hold = !request_truth(request, "with.ready", true);
    options.wait_for_port = request_truth(request, "with.wait_for_port", false);
    if (request_has(request, "with.check")) {
        read_check(request, &check);
        options.check = &check;
    }
    callsheet_client_t *client = of(request, CLIENT)->it;
    callsheet_registration_t *registration = NULL;
    callsheet_code code = callsheet_register(client, &options, &registration, &error);
    if (code == CALLSHEET_OK) {
        struct thing *thing = keep(request, REGISTRATION, registration);
        thing->recorder = recorder_new(client, "");
        code = callsheet_on_state(registration, recorder_of_states(thing->recorder),
                                  recorder_subscription(thing->recorder), &error);
    }
    free((void *)options.tags);
    free((void *)options.metadata);
    return code;
}

static callsheet_code update(const struct request *request) {
    callsheet_update_options_t changes = CALLSHEET_UPDATE_OPTIONS_INIT;
    changes.tags = request_list(request, "with.tags", &changes.tags_len);
    changes.metadata = request_pairs(request, "with.metadata", &changes.metadata_len);
    changes.weight = (int64_t)request_number(request, "with.weight", (double)changes.weight);
    callsheet_code code = callsheet_registration_update(of(request, REGISTRATION)->it, &changes, &error);
    free((void *)changes.tags);
    free((void *)changes.metadata);
    return code;
}

static callsheet_code state(const struct request *request) {
    struct thing *thing = of(request, REGISTRATION);
    callsheet_error_t *why = callsheet_registration_last_error(thing->it);
    fputs("{\"state\":", out);
    put_text(out, callsheet_state_name((int32_t)callsheet_registration_state(thing->it)));
    fputs(",\"id\":", out);
    put_text(out, callsheet_registration_id(thing->it));
    fputs(",\"last_error\":", out);
    put_code(out, why);
    fputs(",\"states\":[", out);
    put_states(out, thing->recorder);
    fputs("]}", out);
    callsheet_error_free(why);
    return CALLSHEET_OK;
}

static callsheet_code lookup(const struct request *request, bool waits) {
    callsheet_filter_options_t storage;
    const callsheet_filter_options_t *filter = read_filter(request, &storage);
    callsheet_client_t *client = of(request, CLIENT)->it;
    callsheet_snapshot_t *snapshot = NULL;
    const char *service = request_text(request, "service");
    callsheet_code code;
    if (waits)
        code = callsheet_wait_for(client, service, filter, (size_t)request_number(request, "count", 1),
                                  milliseconds(request_number(request, "timeout", 0)), &snapshot, &error);
    else
        code = callsheet_lookup(client, service, filter, &snapshot, &error);
    if (code == CALLSHEET_OK)
        put_snapshot(out, snapshot, NULL, "");
    callsheet_snapshot_free(snapshot);
    free_filter(&storage);
    return code;
}

static callsheet_code services(const struct request *request) {
    callsheet_names_t *names = NULL;
    callsheet_code code = callsheet_services(of(request, CLIENT)->it, &names, &error);
    if (code == CALLSHEET_OK)
        put_names(out, names);
    callsheet_names_free(names);
    return code;
}

static callsheet_code watch(const struct request *request) {
    callsheet_filter_options_t storage;
    const callsheet_filter_options_t *filter = read_filter(request, &storage);
    callsheet_watch_t *watch = NULL;
    callsheet_code code =
        callsheet_watch_open(of(request, CLIENT)->it, request_text(request, "service"), filter, &watch, &error);
    if (code == CALLSHEET_OK)
        keep(request, WATCH, watch);
    free_filter(&storage);
    return code;
}

static callsheet_code watch_services(const struct request *request) {
    callsheet_names_watch_t *watch = NULL;
    callsheet_code code = callsheet_watch_services(of(request, CLIENT)->it, &watch, &error);
    if (code == CALLSHEET_OK)
        keep(request, NAMES, watch);
    return code;
}

static callsheet_code next(const struct request *request) {
    struct thing *thing = of(request, NOTHING);
    int64_t timeout = milliseconds(request_number(request, "timeout", 0));
    callsheet_snapshot_t *snapshot = NULL;
    callsheet_names_t *names = NULL;
    callsheet_code code = thing->kind == WATCH ? callsheet_watch_next(thing->it, timeout, &snapshot, &error)
                                               : callsheet_names_watch_next(thing->it, timeout, &names, &error);
    if (code == CALLSHEET_CLOSED) {
        callsheet_error_free(error);
        error = NULL;
        fputs("{\"ended\":true}", out);
        return CALLSHEET_OK;
    }
    if (snapshot) {
        bool skipped = callsheet_watch_skipped(thing->it) > 0;
        put_snapshot(out, snapshot, thing->last, skipped ? ",\"skipped\":true" : ",\"skipped\":false");
        callsheet_snapshot_free(thing->last);
        thing->last = snapshot;
    } else if (names) {
        put_names(out, names);
        callsheet_names_free(names);
    }
    return code;
}

static callsheet_code on_change(const struct request *request) {
    callsheet_filter_options_t storage;
    const callsheet_filter_options_t *filter = read_filter(request, &storage);
    callsheet_client_t *client = of(request, CLIENT)->it;
    struct recorder *recorder = recorder_new(client, request_text(request, "closes"));
    callsheet_code code = callsheet_on_change(client, request_text(request, "service"), filter,
                                              recorder_of_changes(recorder), recorder_subscription(recorder), &error);
    if (code == CALLSHEET_OK)
        keep(request, CALLBACK, NULL)->recorder = recorder;
    else
        recorder_let_go(recorder);
    free_filter(&storage);
    return code;
}

static void read_picking(const struct request *request, callsheet_picker_options_t *options,
                         callsheet_ejection_options_t *ejection) {
    options->prefer_zone = request_text(request, "options.prefer_zone");
    options->client_id = request_text(request, "options.client_id");
    options->subset = (int32_t)request_number(request, "options.subset", -1);
    options->panic_threshold = (int32_t)request_number(request, "options.panic_threshold", -1);
    if (request_has(request, "options.slow_start"))
        options->slow_start_ms = milliseconds(request_number(request, "options.slow_start", 0));
    if (!request_has(request, "options.ejection"))
        return;
    options->ejection = ejection;
    ejection->enabled = request_truth(request, "options.ejection", true);
    ejection->consecutive_failures = (int32_t)request_number(request, "options.ejection.consecutive_failures", -1);
    ejection->max_ejection_percent = (int32_t)request_number(request, "options.ejection.max_ejection_percent", -1);
}

static callsheet_code ejected(const struct request *request) {
    callsheet_names_t *names = NULL;
    callsheet_code code = callsheet_picker_ejected(of(request, PICKER)->it, &names, &error);
    if (code != CALLSHEET_OK)
        return code;
    fputs("{\"ids\":[", out);
    for (size_t i = 0; i < callsheet_names_len(names); i++) {
        fputs(i ? "," : "", out);
        put_text(out, callsheet_names_get(names, i));
    }
    fputs("]}", out);
    callsheet_names_free(names);
    return code;
}

static callsheet_code picker(const struct request *request) {
    callsheet_filter_options_t storage;
    callsheet_picker_options_t options = CALLSHEET_PICKER_OPTIONS_INIT;
    options.filter = read_filter(request, &storage);
    const char *policy = request_text(request, "policy");
    if (policy)
        options.policy = number_of(policy, callsheet_policy_name);
    callsheet_ejection_options_t ejection = CALLSHEET_EJECTION_OPTIONS_INIT;
    read_picking(request, &options, &ejection);
    bool given = policy || options.filter || request_has(request, "options");
    callsheet_picker_t *picker = NULL;
    callsheet_code code = callsheet_picker_open(of(request, CLIENT)->it, request_text(request, "service"),
                                                given ? &options : NULL, &picker, &error);
    if (code == CALLSHEET_OK)
        keep(request, PICKER, picker);
    free_filter(&storage);
    return code;
}

static callsheet_code pick(const struct request *request) {
    callsheet_picker_t *picker = of(request, PICKER)->it;
    callsheet_pick_t *pick = malloc(sizeof *pick);
    const char *key = request_text(request, "key");
    bool waits = request_has(request, "timeout");
    int64_t limit = milliseconds(request_number(request, "timeout", 0));
    callsheet_code code = key && waits ? callsheet_pick_key_within(picker, key, strlen(key), limit, pick, &error)
                          : key        ? callsheet_pick_key(picker, key, strlen(key), pick, &error)
                          : waits      ? callsheet_pick_within(picker, limit, pick, &error)
                                       : callsheet_pick(picker, pick, &error);
    if (code != CALLSHEET_OK) {
        free(pick);
        return code;
    }
    fputs("{\"id\":", out);
    put_text(out, pick->id);
    fputs(",\"address\":", out);
    put_text(out, pick->address);
    fputs(",\"url\":", out);
    put_text(out, pick->url);
    fprintf(out, ",\"port\":%u}", pick->port);
    keep(request, PICK, pick);
    return code;
}

static callsheet_code done(const struct request *request) {
    const char *outcome = request_text(request, "outcome");
    callsheet_pick_done(of(request, PICK)->it, strcmp(outcome, "ok") == 0       ? CALLSHEET_OUTCOME_OK
                                               : strcmp(outcome, "failed") == 0 ? CALLSHEET_OUTCOME_FAILED
                                                                                : CALLSHEET_OUTCOME_CANCELLED);
    return CALLSHEET_OK;
}

static callsheet_code spread(const struct request *request) {
    callsheet_picker_t *picker = of(request, PICKER)->it;
    size_t picks = (size_t)request_number(request, "picks", 0), len;
    const char **failed = request_list(request, "failed", &len);
    bool hold = request_truth(request, "hold", false);
    callsheet_code code = CALLSHEET_OK;
    fputs("{\"picked\":[", out);
    for (size_t i = 0; i < picks && code == CALLSHEET_OK; i++) {
        callsheet_pick_t pick;
        if ((code = callsheet_pick(picker, &pick, &error)) != CALLSHEET_OK)
            break;
        fputs(i ? "," : "", out);
        put_text(out, pick.id);
        callsheet_outcome outcome = CALLSHEET_OUTCOME_OK;
        for (size_t f = 0; f < len; f++) {
            if (strcmp(failed[f], pick.id) == 0)
                outcome = CALLSHEET_OUTCOME_FAILED;
        }
        if (hold) {
            held = realloc(held, (held_len + 1) * sizeof *held);
            held[held_len++] = pick;
        } else {
            callsheet_pick_done(&pick, outcome);
        }
    }
    fputs("]}", out);
    free(failed);
    return code;
}

static callsheet_code close_(const struct request *request) {
    struct thing *thing = of(request, NOTHING);
    switch (thing->kind) {
    case CLIENT:
        return callsheet_client_close(thing->it, &error);
    case REGISTRATION:
        return callsheet_registration_close(thing->it, &error);
    case WATCH:
        callsheet_watch_close(thing->it);
        return CALLSHEET_OK;
    case NAMES:
        callsheet_names_watch_close(thing->it);
        return CALLSHEET_OK;
    default:
        return recorder_close(thing->recorder, &error);
    }
}

static callsheet_code fault(const struct request *request) {
    const char *kind = request_text(request, "kind"), *service = request_text(request, "service"),
               *id = request_text(request, "id");
    bool on = request_truth(request, "on", true);
    if (!memory) {
        const char *name = request_text(request, "url") + strlen("memory:");
        callsheet_code code = callsheet_memory_open(name, &memory, &error);
        if (code != CALLSHEET_OK)
            return code;
    }
    if (strcmp(kind, "unreachable") == 0)
        callsheet_memory_unreachable(memory, on);
    else if (strcmp(kind, "refuse") == 0)
        callsheet_memory_refuse(memory, on);
    else if (strcmp(kind, "slow") == 0)
        callsheet_memory_slow(memory, milliseconds(request_number(request, "seconds", 0)));
    else if (strcmp(kind, "empty") == 0)
        callsheet_memory_answer_empty(memory, on);
    else if (strcmp(kind, "lists") == 0)
        callsheet_memory_answer_with_lists(memory, on);
    else if (strcmp(kind, "lose_leases") == 0)
        callsheet_memory_lose_leases(memory);
    else if (strcmp(kind, "compact") == 0)
        callsheet_memory_compact(memory);
    else if (strcmp(kind, "identity") == 0)
        callsheet_memory_change_identity(memory);
    else if (strcmp(kind, "wipe") == 0)
        callsheet_memory_wipe(memory);
    else if (strcmp(kind, "delete") == 0)
        return callsheet_memory_delete(memory, service, id, &error);
    else if (strcmp(kind, "put") == 0) {
        callsheet_registration_options_t options = CALLSHEET_REGISTRATION_OPTIONS_INIT;
        options.service = service;
        options.id = id;
        options.address = "10.9.9.9";
        options.port = 9999;
        return callsheet_memory_put(memory, &options, &error);
    } else {
        fprintf(stderr, "there is no fault %s\n", kind);
        exit(1);
    }
    return CALLSHEET_OK;
}

static callsheet_code perform(const struct request *request) {
    const char *verb = request_text(request, "do");
    int64_t timeout = milliseconds(request_number(request, "timeout", 0));
#define IS(name) (strcmp(verb, name) == 0)
    if (IS("reset"))
        return reset();
    if (IS("connect"))
        return connect(request);
    if (IS("ping"))
        return callsheet_ping(of(request, CLIENT)->it, &error);
    if (IS("stats"))
        return stats(request);
    if (IS("close_on_signals"))
        return callsheet_close_on_signals(of(request, CLIENT)->it, &error);
    if (IS("register"))
        return register_(request);
    if (IS("deregister"))
        return callsheet_deregister(of(request, CLIENT)->it, request_text(request, "id"), &error);
    if (IS("ready"))
        return callsheet_registration_ready(of(request, REGISTRATION)->it, timeout, &error);
    if (IS("wait"))
        return callsheet_registration_wait(of(request, REGISTRATION)->it,
                                           number_of(request_text(request, "state"), callsheet_state_name), timeout,
                                           &error);
    if (IS("update"))
        return update(request);
    if (IS("set_status"))
        return callsheet_registration_set_status(of(request, REGISTRATION)->it,
                                                 number_of(request_text(request, "status"), callsheet_status_name),
                                                 request_text(request, "note"), &error);
    if (IS("drain"))
        return callsheet_registration_drain(of(request, REGISTRATION)->it, &error);
    if (IS("beat"))
        return callsheet_registration_beat(of(request, REGISTRATION)->it, &error);
    if (IS("state"))
        return state(request);
    if (IS("lookup") || IS("wait_for"))
        return lookup(request, IS("wait_for"));
    if (IS("services"))
        return services(request);
    if (IS("watch"))
        return watch(request);
    if (IS("watch_services"))
        return watch_services(request);
    if (IS("next"))
        return next(request);
    if (IS("on_change"))
        return on_change(request);
    if (IS("called")) {
        put_calls(out, of(request, CALLBACK)->recorder);
        return CALLSHEET_OK;
    }
    if (IS("picker"))
        return picker(request);
    if (IS("ejected"))
        return ejected(request);
    if (IS("pick"))
        return pick(request);
    if (IS("done"))
        return done(request);
    if (IS("spread"))
        return spread(request);
    if (IS("close"))
        return close_(request);
    if (IS("fault"))
        return fault(request);
#undef IS
    fprintf(stderr, "there is no verb %s\n", verb);
    exit(1);
}

/* One request per line in, one answer per line out, until the input ends. */
int main(void) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, stdin)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = 0;
        struct request *request = request_read(line);
        char *answer = NULL;
        size_t answer_size = 0;
        out = open_memstream(&answer, &answer_size);
        callsheet_code code = perform(request);
        fclose(out);
        if (code == CALLSHEET_OK)
            printf("{\"ok\":%s}\n", answer_size ? answer : "{}");
        else if (code == CALLSHEET_TIMEOUT && !error)
            printf("{\"timeout\":true}\n");
        else {
            put_error(stdout, error);
            printf("\n");
        }
        fflush(stdout);
        callsheet_error_free(error);
        error = NULL;
        free(answer);
        request_free(request);
    }
    free(line);
    return 0;
}
