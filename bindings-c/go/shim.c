/* See shim.h. */
#include "shim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(callsheet_pick_t) % 8 == 0 && _Alignof(callsheet_pick_t) <= 8, "a pick is made of words");

callsheet_connect_options_t cs_connect_options(void) {
    return (callsheet_connect_options_t)CALLSHEET_CONNECT_OPTIONS_INIT;
}

callsheet_filter_options_t cs_filter_options(void) {
    return (callsheet_filter_options_t)CALLSHEET_FILTER_OPTIONS_INIT;
}

callsheet_check_options_t cs_check_options(void) {
    return (callsheet_check_options_t)CALLSHEET_CHECK_OPTIONS_INIT;
}

callsheet_registration_options_t cs_registration_options(void) {
    return (callsheet_registration_options_t)CALLSHEET_REGISTRATION_OPTIONS_INIT;
}

callsheet_update_options_t cs_update_options(void) {
    return (callsheet_update_options_t)CALLSHEET_UPDATE_OPTIONS_INIT;
}

callsheet_ejection_options_t cs_ejection_options(void) {
    return (callsheet_ejection_options_t)CALLSHEET_EJECTION_OPTIONS_INIT;
}

callsheet_picker_options_t cs_picker_options(void) {
    return (callsheet_picker_options_t)CALLSHEET_PICKER_OPTIONS_INIT;
}

callsheet_stats_t cs_stats(void) {
    return (callsheet_stats_t)CALLSHEET_STATS_INIT;
}

size_t cs_events(callsheet_client_t *client, uint64_t *tags, size_t room, bool *over) {
    size_t count = 0;
    *over = false;
    while (count < room) {
        callsheet_event_t event;
        callsheet_code code = callsheet_client_next_event(client, 0, &event, NULL);
        if (code != CALLSHEET_OK) {
            *over = code != CALLSHEET_TIMEOUT;
            break;
        }
        tags[count++] = event.tag;
    }
    return count;
}

static int32_t picked(callsheet_code code, callsheet_error_t *error, cs_pick_t *pick) {
    if (code == CALLSHEET_OK) {
        const callsheet_instance_t *instance = ((callsheet_pick_t *)pick->pick)->instance;
        pick->instance = (uint64_t)(uintptr_t)instance;
        pick->mark = callsheet_instance_mark(instance);
    } else {
        pick->error = (uint64_t)(uintptr_t)error;
    }
    return code;
}

int32_t cs_pick(callsheet_picker_t *picker, cs_pick_t *pick) {
    callsheet_error_t *error = NULL;
    callsheet_code code = callsheet_pick(picker, (callsheet_pick_t *)pick->pick, &error);
    return picked(code, error, pick);
}

int32_t cs_pick_key(callsheet_picker_t *picker, const void *key, size_t key_len, cs_pick_t *pick) {
    callsheet_error_t *error = NULL;
    callsheet_code code = callsheet_pick_key(picker, key, key_len, (callsheet_pick_t *)pick->pick, &error);
    return picked(code, error, pick);
}

int32_t cs_pick_other(callsheet_picker_t *picker, const char *const *tried, size_t tried_len, cs_pick_t *pick) {
    callsheet_error_t *error = NULL;
    callsheet_code code = callsheet_pick_other(picker, tried, tried_len, (callsheet_pick_t *)pick->pick, &error);
    return picked(code, error, pick);
}

int32_t cs_pick_key_other(callsheet_picker_t *picker, const void *key, size_t key_len, const char *const *tried,
                          size_t tried_len, cs_pick_t *pick) {
    callsheet_error_t *error = NULL;
    callsheet_code code =
        callsheet_pick_key_other(picker, key, key_len, tried, tried_len, (callsheet_pick_t *)pick->pick, &error);
    return picked(code, error, pick);
}

int32_t cs_take_pick(callsheet_call_t *call, cs_pick_t *pick) {
    callsheet_error_t *error = NULL;
    callsheet_code code = callsheet_call_take_pick(call, (callsheet_pick_t *)pick->pick, &error);
    return picked(code, error, pick);
}

void cs_pick_done(cs_pick_t *pick, int32_t outcome) {
    callsheet_pick_done((callsheet_pick_t *)pick->pick, outcome);
}

void cs_snapshot_read(const callsheet_snapshot_t *snapshot, cs_snapshot_t *read) {
    read->len = callsheet_snapshot_len(snapshot);
    read->revision = callsheet_snapshot_revision(snapshot);
    read->age_ms = callsheet_snapshot_age_ms(snapshot);
    read->freshness = callsheet_snapshot_freshness(snapshot);
    read->service = callsheet_snapshot_service(snapshot);
    read->source = callsheet_snapshot_source(snapshot);
    read->last_error = callsheet_snapshot_last_error(snapshot);
}

void cs_snapshot_marks(const callsheet_snapshot_t *snapshot, uint64_t *marks, size_t len) {
    for (size_t i = 0; i < len; i++) {
        marks[i] = callsheet_instance_mark(callsheet_snapshot_get(snapshot, i));
    }
}

struct copy {
    cs_instance_t *read;
    char *bytes;
    size_t bytes_room;
    uint32_t *lengths;
    size_t lengths_room;
};

static void copy_text(struct copy *copy, const char *text) {
    cs_instance_t *read = copy->read;
    size_t length = text ? strlen(text) : 0;
    if (read->texts < copy->lengths_room) {
        copy->lengths[read->texts] = (uint32_t)length;
    }
    if (length > 0 && read->bytes + length <= copy->bytes_room) {
        memcpy(copy->bytes + read->bytes, text, length);
    }
    read->texts++;
    read->bytes += length;
}

void cs_instance_read(const callsheet_instance_t *instance, cs_instance_t *read, char *bytes, size_t bytes_room,
                      uint32_t *lengths, size_t lengths_room) {
    struct copy copy = {read, bytes, bytes_room, lengths, lengths_room};
    read->texts = read->bytes = 0;
    read->tags = callsheet_instance_tags_len(instance);
    read->pairs = callsheet_instance_metadata_len(instance);
    read->weight = callsheet_instance_weight(instance);
    read->status = callsheet_instance_status(instance);
    read->port = callsheet_instance_port(instance);
    copy_text(&copy, callsheet_instance_id(instance));
    copy_text(&copy, callsheet_instance_service(instance));
    copy_text(&copy, callsheet_instance_address(instance));
    copy_text(&copy, callsheet_instance_scheme(instance));
    copy_text(&copy, callsheet_instance_zone(instance));
    copy_text(&copy, callsheet_instance_version(instance));
    copy_text(&copy, callsheet_instance_url(instance));
    for (size_t i = 0; i < read->tags; i++) {
        copy_text(&copy, callsheet_instance_tag(instance, i));
    }
    for (size_t i = 0; i < read->pairs; i++) {
        copy_text(&copy, callsheet_instance_metadata_key(instance, i));
        copy_text(&copy, callsheet_instance_metadata_value(instance, i));
    }
}

static bool write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
    return true;
}

/* Blocks callsheet's log thread while Go does not read; what comes meanwhile waits there, or is counted as dropped. */
static void log_line(void *context, callsheet_log_level level, const char *message) {
    int fd = (int)(intptr_t)context;
    uint32_t head[2] = {(uint32_t)level, (uint32_t)strlen(message)};
    if (write_all(fd, (const char *)head, sizeof head)) {
        write_all(fd, message, head[1]);
    }
}

static void log_dropped(void *context) {
    close((int)(intptr_t)context);
}

callsheet_code cs_log_to(int32_t level, int fd, callsheet_error_t **error) {
    callsheet_log_closure_t closure = {(void *)(intptr_t)fd, log_line, log_dropped};
    return callsheet_set_log(level, closure, error);
}

callsheet_code cs_log_off(callsheet_error_t **error) {
    callsheet_log_closure_t closure = {NULL, NULL, NULL};
    return callsheet_set_log(CALLSHEET_LOG_ERROR, closure, error);
}
