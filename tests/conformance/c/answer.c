#include "answer.h"

#include <inttypes.h>

void put_text(FILE *out, const char *text) {
    if (!text) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < ' ' || *c == 0x7f)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void put_field(FILE *out, const char *name, const char *text) {
    fprintf(out, "\"%s\":", name);
    put_text(out, text);
    fputc(',', out);
}

static void put_instance(FILE *out, const callsheet_instance_t *instance) {
    fputc('{', out);
    put_field(out, "id", callsheet_instance_id(instance));
    put_field(out, "service", callsheet_instance_service(instance));
    put_field(out, "address", callsheet_instance_address(instance));
    put_field(out, "scheme", callsheet_instance_scheme(instance));
    put_field(out, "zone", callsheet_instance_zone(instance));
    put_field(out, "version", callsheet_instance_version(instance));
    put_field(out, "url", callsheet_instance_url(instance));
    put_field(out, "status", callsheet_status_name(callsheet_instance_status(instance)));
    fputs("\"tags\":[", out);
    for (size_t i = 0; i < callsheet_instance_tags_len(instance); i++) {
        fputs(i ? "," : "", out);
        put_text(out, callsheet_instance_tag(instance, i));
    }
    fputs("],\"metadata\":{", out);
    for (size_t i = 0; i < callsheet_instance_metadata_len(instance); i++) {
        fputs(i ? "," : "", out);
        put_text(out, callsheet_instance_metadata_key(instance, i));
        fputc(':', out);
        put_text(out, callsheet_instance_metadata_value(instance, i));
    }
    fprintf(out, "},\"port\":%u,\"weight\":%" PRIu32 "}", callsheet_instance_port(instance),
            callsheet_instance_weight(instance));
}

static void put_ids(FILE *out, const callsheet_changes_t *changes, callsheet_change change) {
    for (size_t i = 0; i < callsheet_changes_len(changes, change); i++) {
        fputs(i ? "," : "", out);
        put_text(out, callsheet_instance_id(callsheet_changes_get(changes, change, i)));
    }
}

static void put_changes(FILE *out, const callsheet_snapshot_t *snapshot, const callsheet_snapshot_t *previous) {
    if (!previous) {
        fputs("null", out);
        return;
    }
    callsheet_changes_t *changes = callsheet_snapshot_changes_since(snapshot, previous);
    fputs("{\"added\":[", out);
    put_ids(out, changes, CALLSHEET_CHANGE_ADDED);
    fputs("],\"removed\":[", out);
    put_ids(out, changes, CALLSHEET_CHANGE_REMOVED);
    fputs("],\"changed\":[", out);
    put_ids(out, changes, CALLSHEET_CHANGE_CHANGED);
    fputs("]}", out);
    callsheet_changes_free(changes);
}

void put_snapshot(FILE *out, const callsheet_snapshot_t *snapshot, const callsheet_snapshot_t *previous,
                  const char *more) {
    fprintf(out, "{\"revision\":%" PRIu64 ",\"age\":%f,", callsheet_snapshot_revision(snapshot),
            (double)callsheet_snapshot_age_ms(snapshot) / 1000);
    put_field(out, "freshness", callsheet_freshness_name(callsheet_snapshot_freshness(snapshot)));
    put_field(out, "source", callsheet_snapshot_source(snapshot));
    fputs("\"last_error\":", out);
    put_code(out, callsheet_snapshot_last_error(snapshot));
    fputs(",\"instances\":[", out);
    for (size_t i = 0; i < callsheet_snapshot_len(snapshot); i++) {
        fputs(i ? "," : "", out);
        put_instance(out, callsheet_snapshot_get(snapshot, i));
    }
    fputs("],\"changes\":", out);
    put_changes(out, snapshot, previous);
    fprintf(out, "%s}", more);
}

void put_names(FILE *out, const callsheet_names_t *names) {
    fputs("{\"names\":[", out);
    for (size_t i = 0; i < callsheet_names_len(names); i++) {
        fputs(i ? "," : "", out);
        put_text(out, callsheet_names_get(names, i));
    }
    fputs("]}", out);
}

void put_stats(FILE *out, const callsheet_stats_t *stats, const char *registry) {
#define COUNT(name) fprintf(out, "\"" #name "\":%" PRIu64 ",", stats->name)
    fputc('{', out);
    COUNT(registrations);
    COUNT(registered);
    COUNT(watched_services);
    COUNT(live_services);
    COUNT(stale_services);
    COUNT(disk_services);
    COUNT(fallback_services);
    COUNT(subscribers);
    COUNT(breaker_open);
    COUNT(retry_budget);
    COUNT(publishes);
    COUNT(publish_failures);
    COUNT(losses);
    COUNT(superseded);
    COUNT(loads);
    COUNT(load_failures);
    COUNT(reloads);
    COUNT(snapshots);
    COUNT(skipped);
    COUNT(empty_held);
    COUNT(undecodable);
    COUNT(disk_loads);
    COUNT(fallback_loads);
    COUNT(breaker_opened);
    COUNT(held_back);
    COUNT(ejections);
    COUNT(idle_dropped);
    COUNT(callback_failures);
    COUNT(log_dropped);
    fputs("\"registry\":", out);
    put_text(out, registry);
    fputc('}', out);
#undef COUNT
}

void put_error(FILE *out, const callsheet_error_t *error) {
    fputs("{\"error\":{\"code\":", out);
    put_code(out, error);
    fputs(",\"message\":", out);
    put_text(out, callsheet_error_message(error));
    fprintf(out, ",\"retryable\":%s}}", callsheet_error_retryable(error) ? "true" : "false");
}

void put_code(FILE *out, const callsheet_error_t *error) {
    put_text(out, error ? callsheet_code_name((int32_t)callsheet_error_code(error)) : NULL);
}
