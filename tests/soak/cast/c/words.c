#define _POSIX_C_SOURCE 200809L
#include "words.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool word_of(const char *line, const char *key, char *value, size_t room) {
    char pattern[32];
    snprintf(pattern, sizeof pattern, "\"%s\": ", key);
    const char *at = strstr(line, pattern);
    if (!at)
        return false;
    at += strlen(pattern);
    at += *at == '"';
    snprintf(value, room, "%.*s", (int)strcspn(at, "\",}"), at);
    return true;
}

long number_of(const char *line, const char *key) {
    char value[32];
    return word_of(line, key, value, sizeof value) ? strtol(value, NULL, 10) : 0;
}

void say(const char *format, ...) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    va_list words;
    va_start(words, format);
    pthread_mutex_lock(&lock);
    vprintf(format, words);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&lock);
    va_end(words);
}

const char *quoted(const char *text) {
    static _Thread_local char made[500];
    size_t length = 0;
    for (; *text && length + 1 < sizeof made; text++)
        made[length++] = (*text == '"' || *text == '\\' || (unsigned char)*text < ' ') ? '\'' : *text;
    made[length] = 0;
    return made;
}

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void die(const char *what, callsheet_error_t *error) {
    fprintf(stderr, "%s: %s\n", what, error ? callsheet_error_message(error) : "no");
    exit(1);
}
