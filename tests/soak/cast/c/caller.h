/* Calls whom the picker names, twenty times a second. */
#pragma once
#include <callsheet.h>

typedef struct caller caller_t;

caller_t *caller_start(callsheet_client_t *client, const char *service);

/* Waits for the last call, and frees the caller. */
void caller_end(caller_t *caller);
