/* What would take several crossings from Go to C one by one. No function here waits, and none calls Go. */
#ifndef CALLSHEET_GO_SHIM_H
#define CALLSHEET_GO_SHIM_H

#include "callsheet.h"

/* A pick in Go's memory. Its pointers are numbers there, so that nobody takes them for Go's. */
typedef struct {
    uint64_t pick[sizeof(callsheet_pick_t) / 8];
    uint64_t instance;
    uint64_t mark;
    uint64_t error;
} cs_pick_t;

/* Everything of a snapshot that has a fixed size. The pointers are the snapshot's. */
typedef struct {
    size_t len;
    uint64_t revision;
    uint64_t age_ms;
    int32_t freshness;
    const char *service;
    const char *source;
    const callsheet_error_t *last_error;
} cs_snapshot_t;

/* Everything of an instance that has a fixed size, and how much room its texts take. */
typedef struct {
    size_t texts;
    size_t bytes;
    size_t tags;
    size_t pairs;
    uint32_t weight;
    int32_t status;
    uint16_t port;
} cs_instance_t;

callsheet_connect_options_t cs_connect_options(void);
callsheet_filter_options_t cs_filter_options(void);
callsheet_check_options_t cs_check_options(void);
callsheet_registration_options_t cs_registration_options(void);
callsheet_update_options_t cs_update_options(void);
callsheet_ejection_options_t cs_ejection_options(void);
callsheet_picker_options_t cs_picker_options(void);
callsheet_stats_t cs_stats(void);

/* The tags of what has news, at most `room`; `over` when nothing comes any more. */
size_t cs_events(callsheet_client_t *client, uint64_t *tags, size_t room, bool *over);

int32_t cs_pick(callsheet_picker_t *picker, cs_pick_t *pick);
int32_t cs_pick_key(callsheet_picker_t *picker, const void *key, size_t key_len, cs_pick_t *pick);
int32_t cs_pick_other(callsheet_picker_t *picker, const char *const *tried, size_t tried_len, cs_pick_t *pick);
int32_t cs_pick_key_other(callsheet_picker_t *picker, const void *key, size_t key_len, const char *const *tried,
                          size_t tried_len, cs_pick_t *pick);
int32_t cs_take_pick(callsheet_call_t *call, cs_pick_t *pick);
void cs_pick_done(cs_pick_t *pick, int32_t outcome);

void cs_snapshot_read(const callsheet_snapshot_t *snapshot, cs_snapshot_t *read);
void cs_snapshot_marks(const callsheet_snapshot_t *snapshot, uint64_t *marks, size_t len);

/* Copies the texts of an instance (id, service, address, scheme, zone, version, url, tags, keys and values in turn) one
 * after the other into `bytes`, and their lengths into `lengths`, as far as there is room. */
void cs_instance_read(const callsheet_instance_t *instance, cs_instance_t *read, char *bytes, size_t bytes_room,
                      uint32_t *lengths, size_t lengths_room);

/* Writes callsheet's log into the descriptor `fd`, which it owns from here on: level, length, text. */
callsheet_code cs_log_to(int32_t level, int fd, callsheet_error_t **error);
callsheet_code cs_log_off(callsheet_error_t **error);

#endif
