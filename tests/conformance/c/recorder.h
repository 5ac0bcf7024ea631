/* What the driver's callbacks record. */
#ifndef RECORDER_H
#define RECORDER_H

#include <callsheet.h>
#include <stdio.h>

struct recorder;

/* One for the states of a registration, or for the calls of on_change; `closes` is "callback", "client" or "". It is
 * freed once it was dropped as a context and let go of. */
struct recorder *recorder_new(callsheet_client_t *client, const char *closes);
void recorder_let_go(struct recorder *recorder);

callsheet_on_state_closure_t recorder_of_states(struct recorder *recorder);
callsheet_on_change_closure_t recorder_of_changes(struct recorder *recorder);
/* Where the subscription goes. */
callsheet_subscription_t **recorder_subscription(struct recorder *recorder);
callsheet_code recorder_close(struct recorder *recorder, callsheet_error_t **error);

void put_states(FILE *out, struct recorder *recorder);
void put_calls(FILE *out, struct recorder *recorder);

#endif
