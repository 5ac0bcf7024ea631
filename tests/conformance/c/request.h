/* A request of the engine in its flat form: `key=text` or `key:=literal` between tabs, keys with dots. */
#ifndef REQUEST_H
#define REQUEST_H

#include <callsheet.h>

struct pair {
    char *key; /* its parts still encoded */
    char *text;
    bool literal;
};

struct request {
    struct pair *pairs;
    size_t len;
};

/* Texts and what is read of them live until request_free. */
struct request *request_read(char *line);
void request_free(struct request *request);

/* NULL when it is absent, or null. */
const char *request_text(const struct request *request, const char *key);
double request_number(const struct request *request, const char *key, double otherwise);
bool request_truth(const struct request *request, const char *key, bool otherwise);
/* Whether there is this key, or one below it. */
bool request_has(const struct request *request, const char *key);

/* What stands below `key`: NULL when it is absent, and not NULL when it is empty. To be freed with free(). */
const char **request_list(const struct request *request, const char *key, size_t *len);
callsheet_pair_t *request_pairs(const struct request *request, const char *key, size_t *len);

/* Seconds as milliseconds, however large. */
int64_t milliseconds(double seconds);

#endif
