/* What the program reads and says: lines of JSON. */
#pragma once
#include <callsheet.h>
#include <stdbool.h>
#include <stddef.h>

/* The value of a key, of a line as Python writes it, without quotes; false when there is none. */
bool word_of(const char *line, const char *key, char *value, size_t room);
long number_of(const char *line, const char *key);

/* One line, whole. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* What may stand within quotes; lives until the next call of this thread. */
const char *quoted(const char *text);

/* Seconds since 1970. */
double now(void);

/* Says what failed, and ends. */
_Noreturn void die(const char *what, callsheet_error_t *error);
