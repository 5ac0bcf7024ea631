#include "request.h"

#include <stdlib.h>
#include <string.h>

/* Takes %XX out of `text`, in place. */
static char *decoded(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '%') {
            char digits[3] = {from[1], from[2], 0};
            *to++ = (char)strtol(digits, NULL, 16);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return text;
}

struct request *request_read(char *line) {
    struct request *request = calloc(1, sizeof *request);
    char *rest = line;
    for (char *part; (part = strsep(&rest, "\t"));) {
        char *equals = strchr(part, '=');
        if (!equals)
            continue;
        request->pairs = realloc(request->pairs, (request->len + 1) * sizeof *request->pairs);
        struct pair *pair = &request->pairs[request->len++];
        pair->literal = equals > part && equals[-1] == ':';
        equals[pair->literal ? -1 : 0] = 0;
        pair->key = part;
        pair->text = pair->literal ? equals + 1 : decoded(equals + 1);
    }
    return request;
}

void request_free(struct request *request) {
    free(request->pairs);
    free(request);
}

static const struct pair *find(const struct request *request, const char *key) {
    for (size_t i = 0; i < request->len; i++) {
        if (strcmp(request->pairs[i].key, key) == 0)
            return &request->pairs[i];
    }
    return NULL;
}

/* What follows `key` and a dot in the key of `pair`. */
static char *below(const struct pair *pair, const char *key) {
    size_t length = strlen(key);
    bool inside = strncmp(pair->key, key, length) == 0 && pair->key[length] == '.';
    return inside ? pair->key + length + 1 : NULL;
}

const char *request_text(const struct request *request, const char *key) {
    const struct pair *pair = find(request, key);
    return pair && !pair->literal ? pair->text : NULL;
}

double request_number(const struct request *request, const char *key, double otherwise) {
    const struct pair *pair = find(request, key);
    return pair ? strtod(pair->text, NULL) : otherwise;
}

bool request_truth(const struct request *request, const char *key, bool otherwise) {
    const struct pair *pair = find(request, key);
    return pair ? strcmp(pair->text, "true") == 0 : otherwise;
}

bool request_has(const struct request *request, const char *key) {
    for (size_t i = 0; i < request->len; i++) {
        if (strcmp(request->pairs[i].key, key) == 0 || below(&request->pairs[i], key))
            return true;
    }
    return false;
}

const char **request_list(const struct request *request, const char *key, size_t *len) {
    const char **list = request_has(request, key) ? calloc(request->len, sizeof *list) : NULL;
    *len = 0;
    for (size_t i = 0; i < request->len; i++) {
        if (below(&request->pairs[i], key))
            list[(*len)++] = request->pairs[i].text;
    }
    return list;
}

callsheet_pair_t *request_pairs(const struct request *request, const char *key, size_t *len) {
    callsheet_pair_t *list = request_has(request, key) ? calloc(request->len, sizeof *list) : NULL;
    *len = 0;
    for (size_t i = 0; i < request->len; i++) {
        char *name = below(&request->pairs[i], key);
        if (name) {
            list[*len].key = decoded(name);
            list[(*len)++].value = request->pairs[i].text;
        }
    }
    return list;
}

int64_t milliseconds(double seconds) {
    double value = seconds * 1000;
    return value > 9e18 ? INT64_MAX : value < -9e18 ? INT64_MIN : (int64_t)(value + (value < 0 ? -0.5 : 0.5));
}
