/* Answers to the engine, as JSON. */
#ifndef ANSWER_H
#define ANSWER_H

#include <callsheet.h>
#include <stdio.h>

/* `text` in quotes; null for NULL. */
void put_text(FILE *out, const char *text);
/* A snapshot, with what changed since `previous`, and the fields in `more`, such as `,"skipped":true`. */
void put_snapshot(FILE *out, const callsheet_snapshot_t *snapshot, const callsheet_snapshot_t *previous,
                  const char *more);
void put_names(FILE *out, const callsheet_names_t *names);
void put_stats(FILE *out, const callsheet_stats_t *stats, const char *registry);
void put_error(FILE *out, const callsheet_error_t *error);
/* The code of an error in quotes; null for NULL. */
void put_code(FILE *out, const callsheet_error_t *error);

#endif
