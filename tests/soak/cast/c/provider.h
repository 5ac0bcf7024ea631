/* Listens, says who it is to all who connect, and is registered meanwhile. */
#pragma once
#include <callsheet.h>

typedef struct provider provider_t;

/* As the line of the command says. */
provider_t *provider_start(callsheet_client_t *client, const char *line);

/* Withdraws, lets calls arrive that are on their way, listens no more, and frees the provider. */
void provider_end(provider_t *provider);
