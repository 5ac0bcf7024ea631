/*
 * callsheet: service discovery with one core for every language.
 *
 * SPDX-License-Identifier: Apache-2.0
 * Made of the library's sources by `cargo run -p callsheet-header`: do not edit.
 *
 * What holds everywhere
 *
 * Results. A call that can fail returns a callsheet_code. Unless its `error` is NULL, *error is set to NULL by a success
 * and to an error object by a failure, which the program frees with callsheet_error_free; what it held before is not
 * looked at. Out pointers are NULL after a failure. CALLSHEET_TIMEOUT of a `_next` or of a call that still runs comes
 * without an error object: it says only that there is nothing yet.
 *
 * Ownership. What an out pointer or a returned pointer that is not const gives is the program's, to be freed once with
 * the function of its type; NULL is fine there. A const pointer is borrowed: its comment says from which object, and it
 * lives as long as that one. Objects may be freed in any order: each keeps what it needs of the others. Freeing is not
 * closing: callsheet_client_close and callsheet_registration_close withdraw what was registered, the end of the program
 * and `_free` do not. Closing twice is fine. Only a watch is closed by freeing it.
 *
 * NULL. An object or text that is missing is CALLSHEET_INVALID_ARGUMENT, or where nothing can fail, what the comment of
 * the function says. Options, filters and `error` may always be NULL.
 *
 * Texts are UTF-8 and end with a NUL. What is passed in is copied before the call returns. Others is
 * CALLSHEET_INVALID_ARGUMENT, to callsheet_connect CALLSHEET_CONFIG. A text that was registered with a NUL in it by
 * another language ends there.
 *
 * Times are milliseconds. A negative timeout has no end. Among options -1 is a duration that was not given, and any other
 * negative one is refused.
 *
 * Options begin with their initialiser (CALLSHEET_FILTER_OPTIONS_INIT and so on), which sets struct_size and every
 * default. A program built with an older header works with a newer library. Numbers of enumerations are never used again
 * for something else, and new ones may come: have a default in every switch.
 *
 * Threads. Every object may be used by any number of threads at once, but for `_free`, which must be the last use. Calls
 * that wait block the calling thread only, and end when what they wait on is closed by another thread. Callbacks run on
 * one thread per client, the log hook on one per process; those threads leave signals to the program's own.
 *
 * Waiting without blocking. A watch has a descriptor (callsheet_watch_fd), a client has one for all its watches and
 * begun calls (callsheet_client_fd): each is readable while something is waiting, for poll, epoll or kqueue. Every call
 * that may wait has a twin `_begin`, which returns at once with a callsheet_call_t. Its end is told by
 * callsheet_client_next_event, with the `tag` that was given; then its answer is taken without waiting.
 *
 * Fork. In a child of fork() every object of the parent answers CALLSHEET_FORKED and may be freed, which touches nothing
 * of the parent's. A new callsheet_connect works there.
 *
 * Panics. A defect inside the library becomes CALLSHEET_INTERNAL; it does not end the program.
 */


#ifndef CALLSHEET_H
#define CALLSHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The number of this header's interface. A library whose `callsheet_abi_version` is another one does not fit.
 */
#define CALLSHEET_ABI_VERSION 0

/**
 * How a call ended. The numbers never change and are never used again for something else.
 */
enum callsheet_code
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It did what was asked.
     */
    CALLSHEET_OK = 0,
    /**
     * An argument of this call is wrong; nothing was done.
     */
    CALLSHEET_INVALID_ARGUMENT = 1,
    /**
     * The URL, an option, the environment or a file given to `callsheet_connect` is wrong.
     */
    CALLSHEET_CONFIG = 2,
    /**
     * No registration with this id.
     */
    CALLSHEET_NOT_FOUND = 3,
    /**
     * The picker has nothing to pick.
     */
    CALLSHEET_NO_INSTANCES = 4,
    /**
     * The registry can't be reached or does not answer.
     */
    CALLSHEET_UNAVAILABLE = 5,
    /**
     * The time allowed for the call is over.
     */
    CALLSHEET_TIMEOUT = 6,
    /**
     * The registry does not accept the credentials.
     */
    CALLSHEET_UNAUTHENTICATED = 7,
    /**
     * The registry accepts the credentials but not this operation.
     */
    CALLSHEET_PERMISSION_DENIED = 8,
    /**
     * Something else already holds what was asked for.
     */
    CALLSHEET_CONFLICT = 9,
    /**
     * The client, watch or registration is closed.
     */
    CALLSHEET_CLOSED = 10,
    /**
     * The call was cancelled.
     */
    CALLSHEET_CANCELLED = 11,
    /**
     * The object belongs to the parent of this forked process.
     */
    CALLSHEET_FORKED = 12,
    /**
     * The registry answered with something that it never should.
     */
    CALLSHEET_PROTOCOL = 13,
    /**
     * A defect in callsheet itself.
     */
    CALLSHEET_INTERNAL = 14,
    /**
     * Only of a cause: an error of the operating system or of a library, see `callsheet_error_errno`.
     */
    CALLSHEET_FOREIGN = 100,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_code callsheet_code;
#else
typedef int32_t callsheet_code;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where a registration stands.
 */
enum callsheet_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Not published yet: held back, waiting for its port, or the registry has not answered.
     */
    CALLSHEET_STATE_PENDING = 1,
    /**
     * The registry has accepted it.
     */
    CALLSHEET_STATE_REGISTERED = 2,
    /**
     * It was registered, and the registry lost it or can't be reached; it is being published again.
     */
    CALLSHEET_STATE_LOST = 3,
    /**
     * The registry said no; tried again every 30 s with fresh credentials.
     */
    CALLSHEET_STATE_REFUSED = 4,
    /**
     * Another live process holds the id; published again when that goes.
     */
    CALLSHEET_STATE_SUPERSEDED = 5,
    /**
     * Ended, for good.
     */
    CALLSHEET_STATE_CLOSED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_state callsheet_state;
#else
typedef int32_t callsheet_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What has something to tell.
 */
enum callsheet_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * `object` is a `callsheet_watch_t *` with news, or at its end.
     */
    CALLSHEET_EVENT_WATCH = 1,
    /**
     * `object` is a `callsheet_names_watch_t *` with news, or at its end.
     */
    CALLSHEET_EVENT_NAMES_WATCH = 2,
    /**
     * `object` is a `callsheet_states_t *` with news, or at its end.
     */
    CALLSHEET_EVENT_STATES = 3,
    /**
     * `object` is a `callsheet_call_t *` that has ended.
     */
    CALLSHEET_EVENT_CALL = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_event_kind callsheet_event_kind;
#else
typedef int32_t callsheet_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether an instance should be called.
 */
enum callsheet_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Healthy: the only status that lookups, watches and pickers use by default.
     */
    CALLSHEET_STATUS_PASSING = 1,
    /**
     * Works, but asks for attention.
     */
    CALLSHEET_STATUS_WARNING = 2,
    /**
     * A check fails.
     */
    CALLSHEET_STATUS_CRITICAL = 3,
    /**
     * Finishing its calls; takes no new ones.
     */
    CALLSHEET_STATUS_DRAINING = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_status callsheet_status;
#else
typedef int32_t callsheet_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How important a line is.
 */
enum callsheet_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Something is broken.
     */
    CALLSHEET_LOG_ERROR = 1,
    /**
     * Something asks for attention.
     */
    CALLSHEET_LOG_WARN = 2,
    /**
     * What happens.
     */
    CALLSHEET_LOG_INFO = 3,
    /**
     * What happens, in detail.
     */
    CALLSHEET_LOG_DEBUG = 4,
    /**
     * Everything.
     */
    CALLSHEET_LOG_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_log_level callsheet_log_level;
#else
typedef int32_t callsheet_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How far a snapshot can be trusted to show the registry as it is.
 */
enum callsheet_freshness
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The registry vouches for it.
     */
    CALLSHEET_FRESHNESS_LIVE = 1,
    /**
     * The registry is unreachable or refuses; this is the last list it gave.
     */
    CALLSHEET_FRESHNESS_STALE = 2,
    /**
     * The list that was saved on disk, read at a cold start.
     */
    CALLSHEET_FRESHNESS_DISK = 3,
    /**
     * From one of the fallback registries.
     */
    CALLSHEET_FRESHNESS_FALLBACK = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_freshness callsheet_freshness;
#else
typedef int32_t callsheet_freshness;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How the health of an instance is decided.
 */
enum callsheet_check_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Healthy while this process lives and renews.
     */
    CALLSHEET_CHECK_TTL = 1,
    /**
     * Healthy while the program calls `callsheet_registration_beat` every `interval_ms`: a deadlocked one goes critical.
     */
    CALLSHEET_CHECK_HEARTBEAT = 2,
    /**
     * Healthy while a port accepts connections: the instance's own, or `address` and `port`.
     */
    CALLSHEET_CHECK_TCP = 3,
    /**
     * Healthy while a GET of `target` is answered with a status of 200 to 299.
     */
    CALLSHEET_CHECK_HTTP = 4,
    /**
     * Healthy while a gRPC server says of itself that it is `SERVING`, in the gRPC health protocol and without TLS: the
     * instance's own server as a whole, or `target`.
     */
    CALLSHEET_CHECK_GRPC = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_check_kind callsheet_check_kind;
#else
typedef int32_t callsheet_check_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a picker chooses.
 */
enum callsheet_policy
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Each in turn.
     */
    CALLSHEET_POLICY_ROUND_ROBIN = 1,
    /**
     * Any.
     */
    CALLSHEET_POLICY_RANDOM = 2,
    /**
     * The better of two random ones by peak EWMA of latency times calls under way: adapts to slow instances.
     */
    CALLSHEET_POLICY_P2C = 3,
    /**
     * Each in turn, as often as its weight says.
     */
    CALLSHEET_POLICY_WEIGHTED = 4,
    /**
     * The one with the fewest calls under way for its weight.
     */
    CALLSHEET_POLICY_LEAST_OUTSTANDING = 5,
    /**
     * The same instance for the same key, on a ring: when an instance comes or goes, only its own keys move.
     */
    CALLSHEET_POLICY_RING_HASH = 6,
    /**
     * The same with a table of 65,537 places: faster and more even than the ring.
     */
    CALLSHEET_POLICY_MAGLEV = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_policy callsheet_policy;
#else
typedef int32_t callsheet_policy;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a call to a picked instance went.
 */
enum callsheet_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It answered.
     */
    CALLSHEET_OUTCOME_OK = 1,
    /**
     * It failed to answer, or answered with a failure of its own.
     */
    CALLSHEET_OUTCOME_FAILED = 2,
    /**
     * The program gave up, which says nothing about the instance.
     */
    CALLSHEET_OUTCOME_CANCELLED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_outcome callsheet_outcome;
#else
typedef int32_t callsheet_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What became of an instance between two snapshots.
 */
enum callsheet_change
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Its id is new.
     */
    CALLSHEET_CHANGE_ADDED = 1,
    /**
     * Its id is gone; this is how it was.
     */
    CALLSHEET_CHANGE_REMOVED = 2,
    /**
     * Its id stayed but it says something else now; this is how it is.
     */
    CALLSHEET_CHANGE_CHANGED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum callsheet_change callsheet_change;
#else
typedef int32_t callsheet_change;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A call that was begun with a `callsheet_X_begin`. Its end is announced by `callsheet_client_next_event`.
 */
typedef struct callsheet_call_t callsheet_call_t;

/**
 * The difference between two snapshots, each list sorted by id.
 */
typedef struct callsheet_changes_t callsheet_changes_t;

/**
 * A connection to one registry. Any number of threads may use it.
 */
typedef struct callsheet_client_t callsheet_client_t;

/**
 * An error: its code, a message for a person, and what caused it.
 */
typedef struct callsheet_error_t callsheet_error_t;

/**
 * One reachable process of a service, as of when it was read.
 */
typedef struct callsheet_instance_t callsheet_instance_t;

/**
 * The registry that clients of `memory:name` in this process share, with the faults that real ones have. It is made if
 * there is none yet, and kept while anyone holds it.
 */
typedef struct callsheet_memory_t callsheet_memory_t;

/**
 * A sorted list of names, which lives until it is freed.
 */
typedef struct callsheet_names_t callsheet_names_t;

/**
 * A subscription to the names of all services. A slow reader sees the latest list only.
 */
typedef struct callsheet_names_watch_t callsheet_names_watch_t;

/**
 * A load balancer over the current snapshot of a service. Any number of threads may use it.
 */
typedef struct callsheet_picker_t callsheet_picker_t;

/**
 * A registration that runs until it or its client is closed. Freeing this does not end it.
 */
typedef struct callsheet_registration_t callsheet_registration_t;

/**
 * An immutable, versioned list of a service's instances, sorted by id. Any number of threads may read it.
 */
typedef struct callsheet_snapshot_t callsheet_snapshot_t;

/**
 * Every state of a registration from when this was opened, the current one first. At most 64 unread ones are kept.
 */
typedef struct callsheet_states_t callsheet_states_t;

/**
 * A callback that is subscribed. It goes on until it or its client is closed; freeing this does not end it.
 */
typedef struct callsheet_subscription_t callsheet_subscription_t;

/**
 * A subscription to one service. A slow reader sees the latest snapshot only.
 *
 * While the registry is away the same instances come as stale, then as live again; a watch ends only when it or its
 * client is closed.
 */
typedef struct callsheet_watch_t callsheet_watch_t;

/**
 * One picked instance. Its pointers live until `callsheet_pick_done`, which clears it; a copy of the struct is not another
 * pick. One that is not reported stops counting as a call under way after 60 to 120 s, and still has to be reported to
 * be let go of.
 */
typedef struct callsheet_pick_t {
    /**
     * The instance's id.
     */
    const char *id;
    /**
     * An IP address or host name.
     */
    const char *address;
    /**
     * `scheme://address:port`, without a trailing slash.
     */
    const char *url;
    /**
     * The instance; NULL when this is no pick, or was reported.
     */
    const struct callsheet_instance_t *instance;
    /**
     * callsheet's own.
     */
    uint64_t held[2];
    /**
     * The port that it listens on.
     */
    uint16_t port;
} callsheet_pick_t;

/**
 * A key and its value.
 */
typedef struct callsheet_pair_t {
    /**
     * The key.
     */
    const char *key;
    /**
     * The value.
     */
    const char *value;
} callsheet_pair_t;

/**
 * Which instances to see: those for which all of this holds. Begin with `CALLSHEET_FILTER_OPTIONS_INIT`, which is every
 * healthy instance, as is NULL.
 */
typedef struct callsheet_filter_options_t {
    /**
     * `sizeof(callsheet_filter_options_t)`.
     */
    size_t struct_size;
    /**
     * Only instances with all of these tags.
     */
    const char *const *tags;
    /**
     * How many tags.
     */
    size_t tags_len;
    /**
     * Only instances in this zone; NULL for any.
     */
    const char *zone;
    /**
     * Only instances of this version; NULL for any.
     */
    const char *version;
    /**
     * Only instances whose metadata has all of these pairs.
     */
    const struct callsheet_pair_t *metadata;
    /**
     * How many pairs.
     */
    size_t metadata_len;
    /**
     * Only healthy instances. `false` takes warning, critical and draining ones too. Default: true.
     */
    bool healthy;
} callsheet_filter_options_t;

/**
 * What `callsheet_on_change` calls. `context` is freed only in `drop`, which is called exactly once, after which nothing
 * is called. `drop` may be NULL.
 */
typedef struct callsheet_on_change_closure_t {
    /**
     * Handed to both functions.
     */
    void *context;
    /**
     * Called with each snapshot, which lives until the call returns; `callsheet_snapshot_clone` keeps it.
     */
    void (*call)(void *context, const struct callsheet_snapshot_t *snapshot);
    /**
     * Called once at the end.
     */
    void (*drop)(void *context);
} callsheet_on_change_closure_t;

/**
 * What `callsheet_on_state` calls. `context` is freed only in `drop`, which is called exactly once, after which nothing
 * is called. `drop` may be NULL.
 */
typedef struct callsheet_on_state_closure_t {
    /**
     * Handed to both functions.
     */
    void *context;
    /**
     * Called with each state, and with what led to one that is no good one, else NULL; that lives until the call returns.
     */
    void (*call)(void *context, callsheet_state state, const struct callsheet_error_t *why);
    /**
     * Called once at the end.
     */
    void (*drop)(void *context);
} callsheet_on_state_closure_t;

/**
 * Something that has news. `object` is the program's own, to be freed by the program.
 */
typedef struct callsheet_event_t {
    /**
     * What `object` is.
     */
    callsheet_event_kind kind;
    /**
     * What the program marked it with: the `tag` of a call, or what `callsheet_X_set_tag` set, else 0.
     */
    uint64_t tag;
    /**
     * The watch, states or call.
     */
    void *object;
} callsheet_event_t;

/**
 * How to connect. Begin with `CALLSHEET_CONNECT_OPTIONS_INIT`; what is left as it is comes from the URL's query, the
 * environment, or the default.
 */
typedef struct callsheet_connect_options_t {
    /**
     * `sizeof(callsheet_connect_options_t)`.
     */
    size_t struct_size;
    /**
     * A token for the registry. NULL: not given, as for every text here.
     */
    const char *token;
    /**
     * A file that holds the token.
     */
    const char *token_file;
    /**
     * A user's name.
     */
    const char *username;
    /**
     * The user's password.
     */
    const char *password;
    /**
     * A file with the authorities to trust.
     */
    const char *ca;
    /**
     * A file with this program's certificate.
     */
    const char *cert;
    /**
     * A file with the key of that certificate.
     */
    const char *key;
    /**
     * The name that the registry's certificate is of.
     */
    const char *server_name;
    /**
     * What keys begin with.
     */
    const char *prefix;
    /**
     * The datacenter to ask.
     */
    const char *datacenter;
    /**
     * A folder for saved lists.
     */
    const char *cache_dir;
    /**
     * URLs of registries to fall back to, in turn.
     */
    const char *const *fallback;
    /**
     * How many of them.
     */
    size_t fallback_len;
    /**
     * Time that one request may take, in milliseconds. -1: not given, as for every number here. Default: 5000.
     */
    int64_t timeout_ms;
    /**
     * How long the registry keeps registrations without hearing of them, 1000 to 86400000. Default: 10000.
     */
    int64_t ttl_ms;
    /**
     * How long closing a registration waits for calls under way. Default: 0.
     */
    int64_t drain_ms;
    /**
     * How long an empty list that nothing proves is held back. Default: 600000.
     */
    int64_t empty_hold_ms;
    /**
     * How long saved lists are used. Default: 86400000.
     */
    int64_t cache_max_age_ms;
    /**
     * How many services are followed at most while unused ones can give way. Default: 1000.
     */
    int64_t cache_size;
    /**
     * More options by name, as in a URL's query: `{ "ttl", "10s" }`.
     */
    const struct callsheet_pair_t *more;
    /**
     * How many of them.
     */
    size_t more_len;
    /**
     * Takes anybody for the registry: its certificate is not verified. For trials only; a warning says so. False: not
     * given.
     */
    bool insecure;
} callsheet_connect_options_t;

/**
 * What `callsheet_set_log` calls. `context` is freed only in `drop`, which is called exactly once, after which nothing is
 * called. `drop` may be NULL.
 */
typedef struct callsheet_log_closure_t {
    /**
     * Handed to both functions.
     */
    void *context;
    /**
     * Called with each line, which lives until the call returns.
     */
    void (*call)(void *context, callsheet_log_level level, const char *message);
    /**
     * Called once at the end.
     */
    void (*drop)(void *context);
} callsheet_log_closure_t;

/**
 * A check. Begin with `CALLSHEET_CHECK_OPTIONS_INIT`.
 */
typedef struct callsheet_check_options_t {
    /**
     * `sizeof(callsheet_check_options_t)`.
     */
    size_t struct_size;
    /**
     * One of `CALLSHEET_CHECK_*`. Default: `CALLSHEET_CHECK_TTL`.
     */
    int32_t kind;
    /**
     * Time between two runs, at least 100. -1: 5000. A heartbeat has to name it.
     */
    int64_t interval_ms;
    /**
     * Time that one run may take. -1: 2000.
     */
    int64_t timeout_ms;
    /**
     * For tcp: where to connect instead, together with `port`.
     */
    const char *address;
    /**
     * For tcp: where to connect instead, together with `address`; -1 when not given.
     */
    int64_t port;
    /**
     * For http: a path on the instance such as "/health", or a whole `http://` URL. For grpc: "host:port",
     * "host:port/service", or "/service" on the instance itself; NULL: the instance's own server as a whole.
     */
    const char *target;
    /**
     * Time that the instance may be critical before the registry removes it, at least 60000. Only Consul does. -1: 60000
     * with `CALLSHEET_CHECK_TTL`, else 600000.
     */
    int64_t deregister_critical_after_ms;
} callsheet_check_options_t;

/**
 * What to register. Begin with `CALLSHEET_REGISTRATION_OPTIONS_INIT`; `service` and `port` have to be set.
 */
typedef struct callsheet_registration_options_t {
    /**
     * `sizeof(callsheet_registration_options_t)`.
     */
    size_t struct_size;
    /**
     * The service's name.
     */
    const char *service;
    /**
     * The port that it listens on, 1 to 65535.
     */
    int64_t port;
    /**
     * The address that others reach it at. NULL: `$CALLSHEET_ADDRESS`, else what the registry suggests.
     */
    const char *address;
    /**
     * An id of its own choosing, which is taken over from whoever holds it. NULL: `{address}:{port}`.
     */
    const char *id;
    /**
     * How to speak to it. NULL: "http".
     */
    const char *scheme;
    /**
     * Tags.
     */
    const char *const *tags;
    /**
     * How many tags.
     */
    size_t tags_len;
    /**
     * Metadata pairs.
     */
    const struct callsheet_pair_t *metadata;
    /**
     * How many pairs.
     */
    size_t metadata_len;
    /**
     * Its share of calls for weighted policies, 1 to 65535. Default: 1.
     */
    int64_t weight;
    /**
     * Where it runs, such as an availability zone. NULL: unknown.
     */
    const char *zone;
    /**
     * What it runs. NULL: unknown.
     */
    const char *version;
    /**
     * How long the registry keeps it without hearing of it, 1000 to 86400000. -1: the client's.
     */
    int64_t ttl_ms;
    /**
     * How long closing it waits for calls under way. -1: the client's.
     */
    int64_t drain_ms;
    /**
     * How its health is decided. NULL: it is healthy while this process lives.
     */
    const struct callsheet_check_options_t *check;
    /**
     * Publish nothing until `callsheet_registration_ready`. Default: false.
     */
    bool hold;
    /**
     * Publish only once the port accepts a connection, at the address or on loopback. Default: false.
     */
    bool wait_for_port;
} callsheet_registration_options_t;

/**
 * When an instance is not called for a while because calls to it fail: its circuit breaker. At most half of the instances
 * are out at once; one that returns is out again if its first call fails. Begin with `CALLSHEET_EJECTION_OPTIONS_INIT`.
 */
typedef struct callsheet_ejection_options_t {
    /**
     * `sizeof(callsheet_ejection_options_t)`.
     */
    size_t struct_size;
    /**
     * Whether any instance is ejected. Default: true.
     */
    bool enabled;
    /**
     * Failures in a row after which an instance is out, at once. 0 to 1,000, 0 for never. -1: not given, as for every
     * number here. Default: 5.
     */
    int32_t consecutive_failures;
    /**
     * How far its success rate of an interval may be below the average, in standard deviations; it also has to be 10
     * percentage points below, of at least four instances with enough calls. 0 to 10. Default: 1.5.
     */
    double stdev_factor;
    /**
     * Calls of an interval that make its success rate count. At least 1. Default: 20.
     */
    int32_t request_volume;
    /**
     * Time over which success rates are taken, in milliseconds. 100 to a day. Default: 10,000.
     */
    int64_t interval_ms;
    /**
     * How long it is out the first time, in milliseconds; twice as long the second time, and so on. 100 to a day.
     * Default: 30,000.
     */
    int64_t base_ejection_time_ms;
    /**
     * How long it is out at most, in milliseconds. Up to a day. Default: 300,000.
     */
    int64_t max_ejection_time_ms;
    /**
     * Instances that are out at once at most, in percent, rounded down. 0 to 50. Default: 50.
     */
    int32_t max_ejection_percent;
} callsheet_ejection_options_t;

/**
 * How to pick. Begin with `CALLSHEET_PICKER_OPTIONS_INIT`.
 */
typedef struct callsheet_picker_options_t {
    /**
     * `sizeof(callsheet_picker_options_t)`.
     */
    size_t struct_size;
    /**
     * One of `CALLSHEET_POLICY_*`. Default: `CALLSHEET_POLICY_P2C`.
     */
    int32_t policy;
    /**
     * Which instances to pick from. NULL: every healthy one.
     */
    const struct callsheet_filter_options_t *filter;
    /**
     * Prefers instances in this zone, as long as they can take their part. NULL: none.
     */
    const char *prefer_zone;
    /**
     * Picks only from so many of the instances, others in each client, so that not all clients keep connections to all
     * instances. -1: all.
     */
    int32_t subset;
    /**
     * Names this client, such as by its pod, for the same subset after a restart. NULL: random.
     */
    const char *client_id;
    /**
     * When an instance is not called for a while because calls to it fail. Needs reports. NULL: the default.
     */
    const struct callsheet_ejection_options_t *ejection;
    /**
     * Healthy instances, in percent, below which those that are warning, critical or ejected are used too. 0 to 100, 0 for
     * never. -1: the default, 50.
     */
    int32_t panic_threshold;
    /**
     * Time in which an instance that comes when others are known gets more and more calls until it has its whole share, in
     * milliseconds, up to an hour. -1: the default, 0.
     */
    int64_t slow_start_ms;
} callsheet_picker_options_t;

/**
 * What `callsheet_registration_update` changes. Begin with `CALLSHEET_UPDATE_OPTIONS_INIT`; what is left as it is stays.
 */
typedef struct callsheet_update_options_t {
    /**
     * `sizeof(callsheet_update_options_t)`.
     */
    size_t struct_size;
    /**
     * These tags instead of the present ones. NULL: as they are.
     */
    const char *const *tags;
    /**
     * How many tags; with 0 and `tags` not NULL there are none from now on.
     */
    size_t tags_len;
    /**
     * These pairs instead of the present ones. NULL: as they are.
     */
    const struct callsheet_pair_t *metadata;
    /**
     * How many pairs; with 0 and `metadata` not NULL there are none from now on.
     */
    size_t metadata_len;
    /**
     * This weight instead of the present one, 1 to 65535. -1: as it is.
     */
    int64_t weight;
} callsheet_update_options_t;

/**
 * What a client has done and holds. Counts only grow; the first five are as of the call. Begin with
 * `CALLSHEET_STATS_INIT`.
 */
typedef struct callsheet_stats_t {
    /**
     * `sizeof(callsheet_stats_t)`.
     */
    size_t struct_size;
    /**
     * Registrations that are not closed.
     */
    uint64_t registrations;
    /**
     * Of these, how many the registry holds now.
     */
    uint64_t registered;
    /**
     * Services being followed for watches, pickers and recent lookups.
     */
    uint64_t watched_services;
    /**
     * Of these, how many are live.
     */
    uint64_t live_services;
    /**
     * Of these, how many show the registry's last list, as it is away or refuses.
     */
    uint64_t stale_services;
    /**
     * Of these, how many show a list that was saved on disk.
     */
    uint64_t disk_services;
    /**
     * Of these, how many show what a fallback registry says.
     */
    uint64_t fallback_services;
    /**
     * Watches, pickers and callbacks that are open.
     */
    uint64_t subscribers;
    /**
     * 1 while the circuit breaker is open: all requests but one in a while fail at once.
     */
    uint64_t breaker_open;
    /**
     * Requests that failed and may be made again now, while others succeed: at most 100.
     */
    uint64_t retry_budget;
    /**
     * Times that a registration was written to the registry.
     */
    uint64_t publishes;
    /**
     * Tries of that which failed.
     */
    uint64_t publish_failures;
    /**
     * Registrations that the registry lost or somebody deleted.
     */
    uint64_t losses;
    /**
     * Registrations that another live process took over.
     */
    uint64_t superseded;
    /**
     * Whole reads of a service.
     */
    uint64_t loads;
    /**
     * Reads that failed, and follows that broke.
     */
    uint64_t load_failures;
    /**
     * Times that a service could not be followed on and was read again and compared.
     */
    uint64_t reloads;
    /**
     * Snapshots made.
     */
    uint64_t snapshots;
    /**
     * Snapshots that a slow subscriber did not take before the next one came.
     */
    uint64_t skipped;
    /**
     * Empty lists held back because nothing proved them.
     */
    uint64_t empty_held;
    /**
     * Values under a service's name that are no instance.
     */
    uint64_t undecodable;
    /**
     * Times that a saved list was shown, as the registry could not be read.
     */
    uint64_t disk_loads;
    /**
     * Times that a fallback registry's list was shown, as the registry could not be read.
     */
    uint64_t fallback_loads;
    /**
     * Times that the circuit breaker opened, after failures in a row.
     */
    uint64_t breaker_opened;
    /**
     * Requests that were not made, as the circuit breaker was open or the retry budget spent.
     */
    uint64_t held_back;
    /**
     * Times that a picker ejected an instance, because calls to it failed.
     */
    uint64_t ejections;
    /**
     * Watched services dropped because nobody used them.
     */
    uint64_t idle_dropped;
    /**
     * Callbacks that raised; none do in C.
     */
    uint64_t callback_failures;
    /**
     * Log lines not handed to the program because they came too fast or it did not take them in time.
     */
    uint64_t log_dropped;
} callsheet_stats_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The word that every language uses for a policy, such as "p2c". Lives for ever; "" for an unknown number.
 */
const char *callsheet_policy_name(int32_t policy);

/**
 * How a call ended, whatever it answers with; the answer stays to be taken. `CALLSHEET_TIMEOUT` without an error object
 * while it still runs, else the code and error that the call without `_begin` would have given; `CALLSHEET_CANCELLED`
 * after `callsheet_call_cancel`.
 *
 * # Safety
 * `call` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_call_result(struct callsheet_call_t *call,
                                     struct callsheet_error_t **error);

/**
 * The answer of `callsheet_register_begin`; results as of `callsheet_call_result`. It is taken once.
 *
 * # Safety
 * `call` is NULL or valid; `registration` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_call_take_registration(struct callsheet_call_t *call,
                                                struct callsheet_registration_t **registration,
                                                struct callsheet_error_t **error);

/**
 * The answer of `callsheet_lookup_begin` and `callsheet_wait_for_begin`; results as of `callsheet_call_result`. It is
 * taken once.
 *
 * # Safety
 * `call` is NULL or valid; `snapshot` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_call_take_snapshot(struct callsheet_call_t *call,
                                            struct callsheet_snapshot_t **snapshot,
                                            struct callsheet_error_t **error);

/**
 * The answer of `callsheet_services_begin`; results as of `callsheet_call_result`. It is taken once.
 *
 * # Safety
 * `call` is NULL or valid; `names` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_call_take_names(struct callsheet_call_t *call,
                                         struct callsheet_names_t **names,
                                         struct callsheet_error_t **error);

/**
 * The answer of `callsheet_picker_open_begin`; results as of `callsheet_call_result`. It is taken once.
 *
 * # Safety
 * `call` is NULL or valid; `picker` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_call_take_picker(struct callsheet_call_t *call,
                                          struct callsheet_picker_t **picker,
                                          struct callsheet_error_t **error);

/**
 * The answer of `callsheet_pick_within_begin`, to be reported with `callsheet_pick_done`; results as of
 * `callsheet_call_result`. It is taken once.
 *
 * # Safety
 * `call` is NULL or valid; `pick` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_call_take_pick(struct callsheet_call_t *call,
                                        struct callsheet_pick_t *pick,
                                        struct callsheet_error_t **error);

/**
 * Gives up on a call: unless it has ended, it ends now, as `CALLSHEET_CANCELLED`, and is announced. What it had begun in
 * the registry may have taken effect; a registration that it had made is closed. NULL is fine.
 *
 * # Safety
 * `call` is NULL or valid.
 */
void callsheet_call_cancel(struct callsheet_call_t *call);

/**
 * Frees a call. One that runs is cancelled, and is not announced any more; an answer that was not taken is let go of. NULL
 * is fine.
 *
 * # Safety
 * `call` is NULL, or came from a `callsheet_X_begin`, was not freed before, and no other call uses it.
 */
void callsheet_call_free(struct callsheet_call_t *call);

/**
 * Calls `closure.call` with the current snapshot of `service` and then with each new one, in order and one at a time, on
 * one thread of the client's. A slow callback sees the latest snapshot only. It may do anything, close its own
 * subscription or the client included, but must not throw or jump out.
 *
 * The closure's context belongs to callsheet from here on, even if this fails: then `closure.drop` is called before it
 * returns. `subscription` may be NULL, for a callback that goes on until the client is closed.
 *
 * Errors: as of `callsheet_watch_open`.
 *
 * # Safety
 * `client`, `service` and `filter` are NULL or valid; `subscription` and `error` are NULL or may be written to; the
 * functions of `closure` may be called on any thread until `drop` was called.
 */
callsheet_code callsheet_on_change(struct callsheet_client_t *client,
                                   const char *service,
                                   const struct callsheet_filter_options_t *filter,
                                   struct callsheet_on_change_closure_t closure,
                                   struct callsheet_subscription_t **subscription,
                                   struct callsheet_error_t **error);

/**
 * Calls `closure.call` with the current state of `registration` and then with each new one; all else as of
 * `callsheet_on_change`.
 *
 * # Safety
 * `registration` is NULL or valid; `subscription` and `error` are NULL or may be written to; the functions of `closure`
 * may be called on any thread until `drop` was called.
 */
callsheet_code callsheet_on_state(struct callsheet_registration_t *registration,
                                  struct callsheet_on_state_closure_t closure,
                                  struct callsheet_subscription_t **subscription,
                                  struct callsheet_error_t **error);

/**
 * Ends a subscription. On return its callback neither runs nor will, and its context was dropped, unless this was called
 * by that callback: then the context is dropped when it returns. Closing twice is fine.
 *
 * Errors: `CALLSHEET_TIMEOUT` when the callback still runs after 5 s; it is not called again, and its context is dropped
 * when it returns. `CALLSHEET_FORKED`.
 *
 * # Safety
 * `subscription` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_subscription_close(struct callsheet_subscription_t *subscription,
                                            struct callsheet_error_t **error);

/**
 * Begins `callsheet_subscription_close`; see `callsheet_call_result`.
 *
 * # Safety
 * `subscription` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_subscription_close_begin(struct callsheet_subscription_t *subscription,
                                                  uint64_t tag,
                                                  struct callsheet_call_t **call,
                                                  struct callsheet_error_t **error);

/**
 * Frees a subscription without ending it. NULL is fine.
 *
 * # Safety
 * `subscription` is NULL, or was given out by a call, was not freed before, and no other call uses it.
 */
void callsheet_subscription_free(struct callsheet_subscription_t *subscription);

/**
 * What became of the instances of `previous` in `snapshot`. A `previous` of NULL had none. NULL when `snapshot` is.
 *
 * # Safety
 * `snapshot` and `previous` are NULL or valid.
 */
struct callsheet_changes_t *callsheet_snapshot_changes_since(const struct callsheet_snapshot_t *snapshot,
                                                             const struct callsheet_snapshot_t *previous);

/**
 * How many instances there are of this kind of change; 0 for NULL.
 *
 * # Safety
 * `changes` is NULL or valid.
 */
size_t callsheet_changes_len(const struct callsheet_changes_t *changes, int32_t change);

/**
 * The instance at `index` of this kind of change. Lives as long as `changes`; NULL beyond the last.
 *
 * # Safety
 * `changes` is NULL or valid.
 */
const struct callsheet_instance_t *callsheet_changes_get(const struct callsheet_changes_t *changes,
                                                         int32_t change,
                                                         size_t index);

/**
 * Frees changes, and with them their instances. NULL is fine.
 *
 * # Safety
 * `changes` is NULL, or was given out by a call and not freed before.
 */
void callsheet_changes_free(struct callsheet_changes_t *changes);

/**
 * The registry's URL, without secrets. Lives as long as `client`; "" for NULL.
 *
 * # Safety
 * `client` is NULL or valid.
 */
const char *callsheet_client_source(struct callsheet_client_t *client);

/**
 * Milliseconds that one request may take; 0 for NULL.
 *
 * # Safety
 * `client` is NULL or valid.
 */
int64_t callsheet_client_timeout_ms(struct callsheet_client_t *client);

/**
 * Whether the client was closed; true for NULL.
 *
 * # Safety
 * `client` is NULL or valid.
 */
bool callsheet_client_is_closed(struct callsheet_client_t *client);

/**
 * The instances of `service` that `filter` lets through; NULL for every healthy one. Waits for the first load, at most
 * the client's timeout, and answers from memory from then on. An empty list is an answer.
 *
 * Errors: `CALLSHEET_UNAVAILABLE` when the registry can't be read and nothing was read before;
 * `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client`, `service` and `filter` are NULL or valid; `snapshot` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_lookup(struct callsheet_client_t *client,
                                const char *service,
                                const struct callsheet_filter_options_t *filter,
                                struct callsheet_snapshot_t **snapshot,
                                struct callsheet_error_t **error);

/**
 * Begins `callsheet_lookup`; take its answer with `callsheet_call_take_snapshot`.
 *
 * # Safety
 * `client`, `service` and `filter` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_lookup_begin(struct callsheet_client_t *client,
                                      const char *service,
                                      const struct callsheet_filter_options_t *filter,
                                      uint64_t tag,
                                      struct callsheet_call_t **call,
                                      struct callsheet_error_t **error);

/**
 * Waits until `service` has at least `count` instances that `filter` lets through, and gives them. A negative
 * `timeout_ms` has no end. `snapshot` may be NULL.
 *
 * Errors: `CALLSHEET_TIMEOUT`, `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client`, `service` and `filter` are NULL or valid; `snapshot` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_wait_for(struct callsheet_client_t *client,
                                  const char *service,
                                  const struct callsheet_filter_options_t *filter,
                                  size_t count,
                                  int64_t timeout_ms,
                                  struct callsheet_snapshot_t **snapshot,
                                  struct callsheet_error_t **error);

/**
 * Begins `callsheet_wait_for`; take its answer with `callsheet_call_take_snapshot`.
 *
 * # Safety
 * `client`, `service` and `filter` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_wait_for_begin(struct callsheet_client_t *client,
                                        const char *service,
                                        const struct callsheet_filter_options_t *filter,
                                        size_t count,
                                        int64_t timeout_ms,
                                        uint64_t tag,
                                        struct callsheet_call_t **call,
                                        struct callsheet_error_t **error);

/**
 * Asks the registry something cheap now.
 *
 * Errors: what is wrong with it: `CALLSHEET_UNAVAILABLE`, `CALLSHEET_TIMEOUT`, `CALLSHEET_UNAUTHENTICATED`,
 * `CALLSHEET_PERMISSION_DENIED`; `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_ping(struct callsheet_client_t *client, struct callsheet_error_t **error);

/**
 * Begins `callsheet_ping`; see `callsheet_call_result`.
 *
 * # Safety
 * `client` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_ping_begin(struct callsheet_client_t *client,
                                    uint64_t tag,
                                    struct callsheet_call_t **call,
                                    struct callsheet_error_t **error);

/**
 * A descriptor that is readable (`POLLIN`) while `callsheet_client_next` or `callsheet_client_next_event` has something to
 * tell, or the client was closed. It belongs to the client: poll it, but do not read or close it. -1 for NULL, in a forked
 * child, and when the process has no descriptors left.
 *
 * # Safety
 * `client` is NULL or valid.
 */
int32_t callsheet_client_fd(struct callsheet_client_t *client);

/**
 * Which watch has news, waited for at most `timeout_ms` milliseconds; 0 does not wait, a negative one has no end. Take
 * them with `callsheet_watch_next`: until then this watch is not told of again. Everything that is no watch of a service
 * is dropped, the end of a call for good: a program that has other things to wait for asks `callsheet_client_next_event`
 * only.
 *
 * `CALLSHEET_TIMEOUT` without an error object when there is none. `CALLSHEET_CLOSED` once the client is closed and
 * everything was told; `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `watch` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_client_next(struct callsheet_client_t *client,
                                     int64_t timeout_ms,
                                     struct callsheet_watch_t **watch,
                                     struct callsheet_error_t **error);

/**
 * What has something to tell: a watch, states, or a call that has ended; as `callsheet_client_next` otherwise. Each end of
 * a call is told once.
 *
 * # Safety
 * `client` is NULL or valid; `event` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_client_next_event(struct callsheet_client_t *client,
                                           int64_t timeout_ms,
                                           struct callsheet_event_t *event,
                                           struct callsheet_error_t **error);

/**
 * Closes the client on SIGTERM and SIGINT, then lets the signal do what it would have done: a handler of the program's
 * own runs as before, and without one the process ends by the signal. Ignored signals stay ignored.
 *
 * Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_close_on_signals(struct callsheet_client_t *client,
                                          struct callsheet_error_t **error);

/**
 * Withdraws every registration and ends every watch and callback. On return no callback runs or will, unless this was
 * called by one. Closing twice is fine. What was made of the client still has to be freed, before or after, as has the
 * client itself.
 *
 * Errors: `CALLSHEET_TIMEOUT` when a registration could not be withdrawn within 5 s and its drain, or a callback still
 * runs; `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_client_close(struct callsheet_client_t *client,
                                      struct callsheet_error_t **error);

/**
 * Begins `callsheet_client_close`; see `callsheet_call_result`. Its end is the last event.
 *
 * # Safety
 * `client` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_client_close_begin(struct callsheet_client_t *client,
                                            uint64_t tag,
                                            struct callsheet_call_t **call,
                                            struct callsheet_error_t **error);

/**
 * Frees a client. NULL is fine. What was made of it stays usable until it is freed too. Without `callsheet_client_close`
 * before, registrations are not withdrawn: once the last object is freed they are left to their TTL.
 *
 * # Safety
 * `client` is NULL, or came from `callsheet_connect`, was not freed before, and no other call uses it.
 */
void callsheet_client_free(struct callsheet_client_t *client);

/**
 * A client of the registry at `url`; NULL for the one that `$CALLSHEET_URL` names, else `local:`. `options` may be NULL.
 * Does no I/O towards the registry, so it also works while that is down.
 *
 * Errors: `CALLSHEET_CONFIG`, which says what is wrong with the URL, an option or the environment.
 *
 * # Safety
 * `url` and `options` are NULL or valid; `client` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_connect(const char *url,
                                 const struct callsheet_connect_options_t *options,
                                 struct callsheet_client_t **client,
                                 struct callsheet_error_t **error);

/**
 * The code of `error`; `CALLSHEET_OK` for NULL.
 *
 * # Safety
 * `error` is NULL or valid.
 */
callsheet_code callsheet_error_code(const struct callsheet_error_t *error);

/**
 * What happened and what to do, with the causes. Lives as long as `error`; "" for NULL.
 *
 * # Safety
 * `error` is NULL or valid.
 */
const char *callsheet_error_message(const struct callsheet_error_t *error);

/**
 * Whether the same call may succeed later unchanged; false for NULL.
 *
 * # Safety
 * `error` is NULL or valid.
 */
bool callsheet_error_retryable(const struct callsheet_error_t *error);

/**
 * What caused `error`, or NULL. Lives as long as `error` and is not freed.
 *
 * # Safety
 * `error` is NULL or valid.
 */
const struct callsheet_error_t *callsheet_error_cause(const struct callsheet_error_t *error);

/**
 * The `errno` of a `CALLSHEET_FOREIGN` cause that came from the operating system, else 0.
 *
 * # Safety
 * `error` is NULL or valid.
 */
int32_t callsheet_error_errno(const struct callsheet_error_t *error);

/**
 * Frees an error that a call gave out. NULL is fine.
 *
 * # Safety
 * `error` is NULL, or was given out by a call and not freed before.
 */
void callsheet_error_free(struct callsheet_error_t *error);

/**
 * The word that every language uses for a code, such as "invalid_argument". Lives for ever; "" for an unknown number.
 */
const char *callsheet_code_name(int32_t code);

/**
 * Unique within the service. Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_id(const struct callsheet_instance_t *instance);

/**
 * The service that it belongs to. Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_service(const struct callsheet_instance_t *instance);

/**
 * An IP address or host name. Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_address(const struct callsheet_instance_t *instance);

/**
 * How to speak to it, such as "http". Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_scheme(const struct callsheet_instance_t *instance);

/**
 * Where it runs; "" when unknown. Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_zone(const struct callsheet_instance_t *instance);

/**
 * What it runs; "" when unknown. Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_version(const struct callsheet_instance_t *instance);

/**
 * `scheme://address:port`, with brackets around an IPv6 address and without a trailing slash. Lives as long as `instance`; "" for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_url(const struct callsheet_instance_t *instance);

/**
 * The port that it listens on; 0 for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
uint16_t callsheet_instance_port(const struct callsheet_instance_t *instance);

/**
 * Its share of calls relative to others, for weighted policies; 0 for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
uint32_t callsheet_instance_weight(const struct callsheet_instance_t *instance);

/**
 * Whether to call it; critical for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
callsheet_status callsheet_instance_status(const struct callsheet_instance_t *instance);

/**
 * How many tags it has.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
size_t callsheet_instance_tags_len(const struct callsheet_instance_t *instance);

/**
 * The tag at `index`, in the order they were given. Lives as long as `instance`; NULL beyond the last.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_tag(const struct callsheet_instance_t *instance, size_t index);

/**
 * How many metadata pairs it has.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
size_t callsheet_instance_metadata_len(const struct callsheet_instance_t *instance);

/**
 * The key of the metadata pair at `index`, sorted by key. Lives as long as `instance`; NULL beyond the last.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_metadata_key(const struct callsheet_instance_t *instance, size_t index);

/**
 * The value of the metadata pair at `index`, sorted by key. Lives as long as `instance`; NULL beyond the last.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
const char *callsheet_instance_metadata_value(const struct callsheet_instance_t *instance,
                                              size_t index);

/**
 * The metadata value of `key`. Lives as long as `instance`; NULL when it has none.
 *
 * # Safety
 * `instance` is NULL or valid; `key` is NULL or a text.
 */
const char *callsheet_instance_metadata(const struct callsheet_instance_t *instance, const char *key);

/**
 * A copy that lives until `callsheet_instance_free`, whatever becomes of the snapshot or pick; NULL for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
struct callsheet_instance_t *callsheet_instance_copy(const struct callsheet_instance_t *instance);

/**
 * Frees a copy. NULL is fine; an instance that belongs to a snapshot, pick or list of changes is not to be freed.
 *
 * # Safety
 * `instance` is NULL, or came from `callsheet_instance_copy` or `callsheet_registration_instance` and was not freed
 * before.
 */
void callsheet_instance_free(struct callsheet_instance_t *instance);

/**
 * The word that every language uses for a status, such as "passing". Lives for ever; "" for an unknown number.
 */
const char *callsheet_status_name(int32_t status);

/**
 * Hands callsheet's log, of `level` and above, to `closure.call` from now on, on one thread of its own and one line at a
 * time: at most 100 lines a second, and 1024 that wait. Instead of whoever had it before, whose context is dropped when
 * its last call has returned. A `call` of NULL ends it. The context belongs to callsheet from here on, even if this fails.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT` for a level that is none of `CALLSHEET_LOG_*`.
 *
 * # Safety
 * `error` is NULL or may be written to; the functions of `closure` may be called on any thread until `drop` was called.
 */
callsheet_code callsheet_set_log(int32_t level,
                                 struct callsheet_log_closure_t closure,
                                 struct callsheet_error_t **error);

/**
 * What `callsheet_instance_set_mark` marked `instance` with; 0 for one that is not marked, and for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
uint64_t callsheet_instance_mark(const struct callsheet_instance_t *instance);

/**
 * Marks an instance of a snapshot or pick, unless it is marked, and gives the mark that it has now. An instance that did
 * not change is the same one, with its mark, in every snapshot and pick of the process. Once it is in none of them its mark
 * is given back by `callsheet_marks_released`. 0 for NULL.
 *
 * # Safety
 * `instance` is NULL or valid.
 */
uint64_t callsheet_instance_set_mark(const struct callsheet_instance_t *instance,
                                     uint64_t mark);

/**
 * Gives back at most `len` marks of instances that are gone, each once, and says how many. Those that mark instances have
 * to ask from time to time.
 *
 * # Safety
 * `marks` is NULL, or as many as `len` may be written there.
 */
size_t callsheet_marks_released(uint64_t *marks,
                                size_t len);

/**
 * The registry of this name.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT` when no URL could have this name.
 *
 * # Safety
 * `name` is NULL or valid; `memory` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_memory_open(const char *name,
                                     struct callsheet_memory_t **memory,
                                     struct callsheet_error_t **error);

/**
 * Every request fails with `CALLSHEET_UNAVAILABLE` and every watch breaks, until switched off. NULL is fine, here and below.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_unreachable(struct callsheet_memory_t *memory,
                                  bool on);

/**
 * Every request fails with `CALLSHEET_PERMISSION_DENIED`, until switched off.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_refuse(struct callsheet_memory_t *memory, bool on);

/**
 * Reads succeed and are empty, as from a cluster without a leader, until switched off.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_answer_empty(struct callsheet_memory_t *memory, bool on);

/**
 * Watches get whole lists, as from Consul, instead of changes, as from etcd.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_answer_with_lists(struct callsheet_memory_t *memory, bool on);

/**
 * Every request takes this many milliseconds; 0 or less switches it off.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_slow(struct callsheet_memory_t *memory, int64_t delay_ms);

/**
 * Every lease runs out now.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_lose_leases(struct callsheet_memory_t *memory);

/**
 * The history up to now is forgotten: a watch that has not followed to its end must load again.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_compact(struct callsheet_memory_t *memory);

/**
 * The same data under another cluster identity, with a revision that begins anew.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_change_identity(struct callsheet_memory_t *memory);

/**
 * Everything is gone, and the identity is another: a cluster restarted on an empty disk.
 *
 * # Safety
 * `memory` is NULL or valid.
 */
void callsheet_memory_wipe(struct callsheet_memory_t *memory);

/**
 * Writes an instance as another tool would: without an owner, and without a lease. Of `options`, what describes the
 * instance is used; `address` has to be set.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`.
 *
 * # Safety
 * `memory` and `options` are NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_memory_put(struct callsheet_memory_t *memory,
                                    const struct callsheet_registration_options_t *options,
                                    struct callsheet_error_t **error);

/**
 * Deletes an instance behind its owner's back.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`.
 *
 * # Safety
 * `memory`, `service` and `id` are NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_memory_delete(struct callsheet_memory_t *memory,
                                       const char *service,
                                       const char *id,
                                       struct callsheet_error_t **error);

/**
 * Lets go of the registry. NULL is fine.
 *
 * # Safety
 * `memory` is NULL, or came from `callsheet_memory_open` and was not freed before.
 */
void callsheet_memory_free(struct callsheet_memory_t *memory);

/**
 * The names of all services that have an instance. Waits for the first answer, at most the client's timeout.
 *
 * Errors: `CALLSHEET_UNAVAILABLE`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `names` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_services(struct callsheet_client_t *client,
                                  struct callsheet_names_t **names,
                                  struct callsheet_error_t **error);

/**
 * Begins `callsheet_services`; take its answer with `callsheet_call_take_names`.
 *
 * # Safety
 * `client` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_services_begin(struct callsheet_client_t *client,
                                        uint64_t tag,
                                        struct callsheet_call_t **call,
                                        struct callsheet_error_t **error);

/**
 * Follows the names of all services. Does not wait.
 *
 * Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `watch` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_watch_services(struct callsheet_client_t *client,
                                        struct callsheet_names_watch_t **watch,
                                        struct callsheet_error_t **error);

/**
 * The next list of names, the current one first; as `callsheet_watch_next`.
 *
 * # Safety
 * `watch` is NULL or valid; `names` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_names_watch_next(struct callsheet_names_watch_t *watch,
                                          int64_t timeout_ms,
                                          struct callsheet_names_t **names,
                                          struct callsheet_error_t **error);

/**
 * A descriptor that is readable while a list waits; as `callsheet_watch_fd`.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
int32_t callsheet_names_watch_fd(struct callsheet_names_watch_t *watch);

/**
 * Marks the watch; as `callsheet_watch_set_tag`.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
void callsheet_names_watch_set_tag(struct callsheet_names_watch_t *watch, uint64_t tag);

/**
 * Ends the watch; as `callsheet_watch_close`.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
void callsheet_names_watch_close(struct callsheet_names_watch_t *watch);

/**
 * Frees a watch, which closes it. NULL is fine. No thread may still wait for it.
 *
 * # Safety
 * `watch` is NULL, or came from `callsheet_watch_services`, was not freed before, and no other call uses it.
 */
void callsheet_names_watch_free(struct callsheet_names_watch_t *watch);

/**
 * How many names there are; 0 for NULL.
 *
 * # Safety
 * `names` is NULL or valid.
 */
size_t callsheet_names_len(const struct callsheet_names_t *names);

/**
 * The name at `index`. Lives as long as `names`; NULL beyond the last.
 *
 * # Safety
 * `names` is NULL or valid.
 */
const char *callsheet_names_get(const struct callsheet_names_t *names, size_t index);

/**
 * Frees a list of names. NULL is fine.
 *
 * # Safety
 * `names` is NULL, or was given out by a call and not freed before.
 */
void callsheet_names_free(struct callsheet_names_t *names);

/**
 * Reports how the call went, with one of `CALLSHEET_OUTCOME_*`, lets go of the instance, and clears the pick. NULL is fine,
 * and so is a pick that failed, or was reported before. Any other number counts as cancelled.
 *
 * # Safety
 * `pick` is NULL, or was written by `callsheet_pick`, `callsheet_pick_within`, `callsheet_pick_other` or
 * `callsheet_call_take_pick`, or is all zeroes.
 */
void callsheet_pick_done(struct callsheet_pick_t *pick,
                         int32_t outcome);

/**
 * A load balancer over the instances of `service`; `options` may be NULL. Waits for the first load, at most the client's
 * timeout; a registry that is down leaves the picker empty until it is back.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client`, `service` and `options` are NULL or valid; `picker` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_picker_open(struct callsheet_client_t *client,
                                     const char *service,
                                     const struct callsheet_picker_options_t *options,
                                     struct callsheet_picker_t **picker,
                                     struct callsheet_error_t **error);

/**
 * Begins `callsheet_picker_open`; take its answer with `callsheet_call_take_picker`.
 *
 * # Safety
 * `client`, `service` and `options` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_picker_open_begin(struct callsheet_client_t *client,
                                           const char *service,
                                           const struct callsheet_picker_options_t *options,
                                           uint64_t tag,
                                           struct callsheet_call_t **call,
                                           struct callsheet_error_t **error);

/**
 * Picks one instance to call, into `pick`. Never waits and does no I/O. Report how the call went with
 * `callsheet_pick_done`.
 *
 * Errors, which leave `pick` cleared: `CALLSHEET_NO_INSTANCES`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `picker` is NULL or valid; `pick` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_pick(struct callsheet_picker_t *picker,
                              struct callsheet_pick_t *pick,
                              struct callsheet_error_t **error);

/**
 * `callsheet_pick` of another instance than those with the `tried_len` ids in `tried`, where there is another: for trying
 * again.
 *
 * Errors: as of `callsheet_pick`.
 *
 * # Safety
 * `picker` is NULL or valid; `tried` is NULL or has `tried_len` elements; `pick` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_pick_other(struct callsheet_picker_t *picker,
                                    const char *const *tried,
                                    size_t tried_len,
                                    struct callsheet_pick_t *pick,
                                    struct callsheet_error_t **error);

/**
 * `callsheet_pick` that waits for an instance to come, at most `timeout_ms` milliseconds; a negative one has no end.
 *
 * Errors: as of `callsheet_pick`; `CALLSHEET_NO_INSTANCES` when none came.
 *
 * # Safety
 * `picker` is NULL or valid; `pick` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_pick_within(struct callsheet_picker_t *picker,
                                     int64_t timeout_ms,
                                     struct callsheet_pick_t *pick,
                                     struct callsheet_error_t **error);

/**
 * Begins `callsheet_pick_within`; take its answer with `callsheet_call_take_pick`.
 *
 * # Safety
 * `picker` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_pick_within_begin(struct callsheet_picker_t *picker,
                                           int64_t timeout_ms,
                                           uint64_t tag,
                                           struct callsheet_call_t **call,
                                           struct callsheet_error_t **error);

/**
 * `callsheet_pick` for a key of `key_len` bytes, such as a user or a file: `CALLSHEET_POLICY_RING_HASH` and
 * `CALLSHEET_POLICY_MAGLEV` give the same instance for the same key, in every process and language that sees the same
 * instances; without a key they pick any. To the other policies a key means nothing.
 *
 * Errors: as of `callsheet_pick`.
 *
 * # Safety
 * `picker` is NULL or valid; `key` is NULL or has `key_len` bytes; `pick` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_pick_key(struct callsheet_picker_t *picker,
                                  const void *key,
                                  size_t key_len,
                                  struct callsheet_pick_t *pick,
                                  struct callsheet_error_t **error);

/**
 * `callsheet_pick_other` for a key: the same one for the same key and the same `tried`.
 *
 * Errors: as of `callsheet_pick`.
 *
 * # Safety
 * As of `callsheet_pick_key` and `callsheet_pick_other`.
 */
callsheet_code callsheet_pick_key_other(struct callsheet_picker_t *picker,
                                        const void *key,
                                        size_t key_len,
                                        const char *const *tried,
                                        size_t tried_len,
                                        struct callsheet_pick_t *pick,
                                        struct callsheet_error_t **error);

/**
 * `callsheet_pick_within` for a key, as of `callsheet_pick_key`.
 *
 * Errors: as of `callsheet_pick_within`.
 *
 * # Safety
 * As of `callsheet_pick_key`.
 */
callsheet_code callsheet_pick_key_within(struct callsheet_picker_t *picker,
                                         const void *key,
                                         size_t key_len,
                                         int64_t timeout_ms,
                                         struct callsheet_pick_t *pick,
                                         struct callsheet_error_t **error);

/**
 * Begins `callsheet_pick_key_within`; take its answer with `callsheet_call_take_pick`.
 *
 * # Safety
 * `picker` is NULL or valid; `key` is NULL or has `key_len` bytes; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_pick_key_within_begin(struct callsheet_picker_t *picker,
                                               const void *key,
                                               size_t key_len,
                                               int64_t timeout_ms,
                                               uint64_t tag,
                                               struct callsheet_call_t **call,
                                               struct callsheet_error_t **error);

/**
 * The ids of the instances that are ejected now, because calls to them failed.
 *
 * Errors: `CALLSHEET_FORKED`.
 *
 * # Safety
 * `picker` is NULL or valid; `names` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_picker_ejected(struct callsheet_picker_t *picker,
                                        struct callsheet_names_t **names,
                                        struct callsheet_error_t **error);

/**
 * How many instances it picks from now; 0 for NULL.
 *
 * # Safety
 * `picker` is NULL or valid.
 */
size_t callsheet_picker_len(struct callsheet_picker_t *picker);

/**
 * The service's name. Lives as long as `picker`; "" for NULL.
 *
 * # Safety
 * `picker` is NULL or valid.
 */
const char *callsheet_picker_service(struct callsheet_picker_t *picker);

/**
 * Frees a picker. NULL is fine. Its picks stay valid until they are reported.
 *
 * # Safety
 * `picker` is NULL, or was given out by a call, was not freed before, and no other call uses it.
 */
void callsheet_picker_free(struct callsheet_picker_t *picker);

/**
 * Registers an instance and keeps it registered. Waits for the first try, at most the client's timeout: on return the
 * instance is registered, or `callsheet_registration_last_error` says why not yet, and it goes on trying.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`; `CALLSHEET_CONFLICT` when this client has a registration of this service and id;
 * `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`. Never because the registry is down or refuses.
 *
 * # Safety
 * `client` and `options` are NULL or valid; `made` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_register(struct callsheet_client_t *client,
                                  const struct callsheet_registration_options_t *options,
                                  struct callsheet_registration_t **made,
                                  struct callsheet_error_t **error);

/**
 * Begins `callsheet_register`; take its answer with `callsheet_call_take_registration`.
 *
 * # Safety
 * `client` and `options` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_register_begin(struct callsheet_client_t *client,
                                        const struct callsheet_registration_options_t *options,
                                        uint64_t tag,
                                        struct callsheet_call_t **call,
                                        struct callsheet_error_t **error);

/**
 * The registration of this client with this id.
 *
 * Errors: `CALLSHEET_NOT_FOUND`; `CALLSHEET_CONFLICT` when registrations of several services have it; `CALLSHEET_CLOSED`,
 * `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` and `id` are NULL or valid; `found` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_find(struct callsheet_client_t *client,
                                           const char *id,
                                           struct callsheet_registration_t **found,
                                           struct callsheet_error_t **error);

/**
 * Closes the registration of this client with this id.
 *
 * Errors: as of `callsheet_registration_find` and `callsheet_registration_close`.
 *
 * # Safety
 * `client` and `id` are NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_deregister(struct callsheet_client_t *client,
                                    const char *id,
                                    struct callsheet_error_t **error);

/**
 * Begins `callsheet_deregister`; see `callsheet_call_result`.
 *
 * # Safety
 * `client` and `id` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_deregister_begin(struct callsheet_client_t *client,
                                          const char *id,
                                          uint64_t tag,
                                          struct callsheet_call_t **call,
                                          struct callsheet_error_t **error);

/**
 * The id, which differs from the default one when that belongs to a live process of another machine. Lives as long as
 * `registration`; "" for NULL.
 *
 * # Safety
 * `registration` is NULL or valid.
 */
const char *callsheet_registration_id(struct callsheet_registration_t *registration);

/**
 * The instance as it is to be published now, to be freed with `callsheet_instance_free`; NULL for NULL.
 *
 * # Safety
 * `registration` is NULL or valid.
 */
struct callsheet_instance_t *callsheet_registration_instance(struct callsheet_registration_t *registration);

/**
 * Where it stands; closed for NULL and in a forked child.
 *
 * # Safety
 * `registration` is NULL or valid.
 */
callsheet_state callsheet_registration_state(struct callsheet_registration_t *registration);

/**
 * Why it is not registered, or why the last update did not reach the registry, to be freed; NULL when nothing is wrong.
 *
 * # Safety
 * `registration` is NULL or valid.
 */
struct callsheet_error_t *callsheet_registration_last_error(struct callsheet_registration_t *registration);

/**
 * A sign of life for a heartbeat check. Never waits.
 *
 * Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_beat(struct callsheet_registration_t *registration,
                                           struct callsheet_error_t **error);

/**
 * Publishes what `hold` held back, and waits until it is registered, at most `timeout_ms` milliseconds; a negative one has
 * no end. The timeout ends the wait, not the registration.
 *
 * Errors: `CALLSHEET_TIMEOUT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_ready(struct callsheet_registration_t *registration,
                                            int64_t timeout_ms,
                                            struct callsheet_error_t **error);

/**
 * Begins `callsheet_registration_ready`; see `callsheet_call_result`.
 *
 * # Safety
 * `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_ready_begin(struct callsheet_registration_t *registration,
                                                  int64_t timeout_ms,
                                                  uint64_t tag,
                                                  struct callsheet_call_t **call,
                                                  struct callsheet_error_t **error);

/**
 * Waits until `state`, one of `CALLSHEET_STATE_*`, is reached, at most `timeout_ms` milliseconds; a negative one has no end.
 * Already being in it is success.
 *
 * Errors: `CALLSHEET_TIMEOUT`, with the last error as its cause; `CALLSHEET_CLOSED` when it can never be reached;
 * `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_wait(struct callsheet_registration_t *registration,
                                           int32_t state,
                                           int64_t timeout_ms,
                                           struct callsheet_error_t **error);

/**
 * Begins `callsheet_registration_wait`; see `callsheet_call_result`.
 *
 * # Safety
 * `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_wait_begin(struct callsheet_registration_t *registration,
                                                 int32_t state,
                                                 int64_t timeout_ms,
                                                 uint64_t tag,
                                                 struct callsheet_call_t **call,
                                                 struct callsheet_error_t **error);

/**
 * Changes tags, metadata or weight without a gap. Returns when the registry has it, or after the first try that failed:
 * then `callsheet_registration_last_error` says why, and it goes on trying.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`, and nothing is changed; `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` and `changes` are NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_update(struct callsheet_registration_t *registration,
                                             const struct callsheet_update_options_t *changes,
                                             struct callsheet_error_t **error);

/**
 * Begins `callsheet_registration_update`; see `callsheet_call_result`.
 *
 * # Safety
 * `registration` and `changes` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_update_begin(struct callsheet_registration_t *registration,
                                                   const struct callsheet_update_options_t *changes,
                                                   uint64_t tag,
                                                   struct callsheet_call_t **call,
                                                   struct callsheet_error_t **error);

/**
 * Sets the status, one of `CALLSHEET_STATUS_*`, by hand; passing gives it back to the check. A failing check still wins
 * over a better one. `note` says why and may be NULL.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` and `note` are NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_set_status(struct callsheet_registration_t *registration,
                                                 int32_t status,
                                                 const char *note,
                                                 struct callsheet_error_t **error);

/**
 * Begins `callsheet_registration_set_status`; see `callsheet_call_result`.
 *
 * # Safety
 * `registration` and `note` are NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_set_status_begin(struct callsheet_registration_t *registration,
                                                       int32_t status,
                                                       const char *note,
                                                       uint64_t tag,
                                                       struct callsheet_call_t **call,
                                                       struct callsheet_error_t **error);

/**
 * Says draining: pickers, watches and lookups skip it from now on, while it finishes its calls.
 *
 * Errors: `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_drain(struct callsheet_registration_t *registration,
                                            struct callsheet_error_t **error);

/**
 * Begins `callsheet_registration_drain`; see `callsheet_call_result`.
 *
 * # Safety
 * `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_drain_begin(struct callsheet_registration_t *registration,
                                                  uint64_t tag,
                                                  struct callsheet_call_t **call,
                                                  struct callsheet_error_t **error);

/**
 * Withdraws the instance if it is still this registration's, then waits out the drain. Closing twice is fine.
 *
 * Errors: `CALLSHEET_TIMEOUT` when the registry could not be told within 5 s; the instance then goes with its TTL.
 * `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` is NULL or valid; `error` is NULL or may be written to.
 */
callsheet_code callsheet_registration_close(struct callsheet_registration_t *registration,
                                            struct callsheet_error_t **error);

/**
 * Begins `callsheet_registration_close`; see `callsheet_call_result`.
 *
 * # Safety
 * `registration` is NULL or valid; `call` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_registration_close_begin(struct callsheet_registration_t *registration,
                                                  uint64_t tag,
                                                  struct callsheet_call_t **call,
                                                  struct callsheet_error_t **error);

/**
 * Frees a registration without ending it. NULL is fine.
 *
 * # Safety
 * `registration` is NULL, or was given out by a call, was not freed before, and no other call uses it.
 */
void callsheet_registration_free(struct callsheet_registration_t *registration);

/**
 * How many instances there are; 0 for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
size_t callsheet_snapshot_len(const struct callsheet_snapshot_t *snapshot);

/**
 * The instance at `index`, in order of id. Lives as long as `snapshot`; NULL beyond the last.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
const struct callsheet_instance_t *callsheet_snapshot_get(const struct callsheet_snapshot_t *snapshot,
                                                          size_t index);

/**
 * The instance with this id. Lives as long as `snapshot`; NULL when there is none.
 *
 * # Safety
 * `snapshot` is NULL or valid; `id` is NULL or a text.
 */
const struct callsheet_instance_t *callsheet_snapshot_find(const struct callsheet_snapshot_t *snapshot,
                                                           const char *id);

/**
 * The service that was asked for. Lives as long as `snapshot`; "" for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
const char *callsheet_snapshot_service(const struct callsheet_snapshot_t *snapshot);

/**
 * callsheet's own counter of this watched service, which only grows. Equal revisions of one client, service and filter
 * mean the same list. 0 for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
uint64_t callsheet_snapshot_revision(const struct callsheet_snapshot_t *snapshot);

/**
 * How far to trust it; stale for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
callsheet_freshness callsheet_snapshot_freshness(const struct callsheet_snapshot_t *snapshot);

/**
 * The URL that it came from, without secrets. Lives as long as `snapshot`; "" for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
const char *callsheet_snapshot_source(const struct callsheet_snapshot_t *snapshot);

/**
 * Milliseconds since the registry last vouched for this list: 0 for a live snapshot, for others the time since contact
 * was lost. 0 for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
uint64_t callsheet_snapshot_age_ms(const struct callsheet_snapshot_t *snapshot);

/**
 * Why it is not live, or NULL. Lives as long as `snapshot` and is not freed.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
const struct callsheet_error_t *callsheet_snapshot_last_error(const struct callsheet_snapshot_t *snapshot);

/**
 * The same snapshot once more, to be freed on its own: for keeping one that a callback was called with. Copies no
 * instance. NULL for NULL.
 *
 * # Safety
 * `snapshot` is NULL or valid.
 */
struct callsheet_snapshot_t *callsheet_snapshot_clone(const struct callsheet_snapshot_t *snapshot);

/**
 * Frees a snapshot, and with it its instances and texts. NULL is fine.
 *
 * # Safety
 * `snapshot` is NULL, or was given out by a call and not freed before.
 */
void callsheet_snapshot_free(struct callsheet_snapshot_t *snapshot);

/**
 * The word that every language uses for a freshness, such as "live". Lives for ever; "" for an unknown number.
 */
const char *callsheet_freshness_name(int32_t freshness);

/**
 * Follows the states of `registration`. Does not wait.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `registration` is NULL or valid; `states` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_states_open(struct callsheet_registration_t *registration,
                                     struct callsheet_states_t **states,
                                     struct callsheet_error_t **error);

/**
 * The next state, the current one first; as `callsheet_watch_next`. `why` may be NULL; else it gets what led to a state
 * that is no good one, to be freed, or NULL.
 *
 * `CALLSHEET_TIMEOUT` without an error object when nothing new came in time. `CALLSHEET_CLOSED` after the state `closed`.
 *
 * # Safety
 * `states` is NULL or valid; `state`, `why` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_states_next(struct callsheet_states_t *states,
                                     int64_t timeout_ms,
                                     callsheet_state *state,
                                     struct callsheet_error_t **why,
                                     struct callsheet_error_t **error);

/**
 * A descriptor that is readable while a state waits; as `callsheet_watch_fd`.
 *
 * # Safety
 * `states` is NULL or valid.
 */
int32_t callsheet_states_fd(struct callsheet_states_t *states);

/**
 * Marks the states; as `callsheet_watch_set_tag`.
 *
 * # Safety
 * `states` is NULL or valid.
 */
void callsheet_states_set_tag(struct callsheet_states_t *states, uint64_t tag);

/**
 * Ends the subscription, not the registration; as `callsheet_watch_close`.
 *
 * # Safety
 * `states` is NULL or valid.
 */
void callsheet_states_close(struct callsheet_states_t *states);

/**
 * Frees the states, which closes them. NULL is fine. No thread may still wait for them.
 *
 * # Safety
 * `states` is NULL, or came from `callsheet_states_open`, was not freed before, and no other call uses it.
 */
void callsheet_states_free(struct callsheet_states_t *states);

/**
 * The word that every language uses for a state, such as "registered". Lives for ever; "" for an unknown number.
 */
const char *callsheet_state_name(int32_t state);

/**
 * Fills in `stats`, as far as the program's header knows it. Works on a closed client too.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_FORKED`.
 *
 * # Safety
 * `client` is NULL or valid; `stats` is NULL or begun with `CALLSHEET_STATS_INIT`; `error` is NULL or may be written to.
 */
callsheet_code callsheet_stats(struct callsheet_client_t *client,
                               struct callsheet_stats_t *stats,
                               struct callsheet_error_t **error);

/**
 * The number of the library's interface: compare it with `CALLSHEET_ABI_VERSION` when the library is loaded by hand.
 */
uint32_t callsheet_abi_version(void);

/**
 * The version of the library, such as "0.1.0". Lives for ever.
 */
const char *callsheet_version(void);

/**
 * Follows the instances of `service` that `filter` lets through; NULL for every healthy one. Does not wait.
 *
 * Errors: `CALLSHEET_INVALID_ARGUMENT`, `CALLSHEET_CLOSED`, `CALLSHEET_FORKED`; never because the registry is away.
 *
 * # Safety
 * `client`, `service` and `filter` are NULL or valid; `watch` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_watch_open(struct callsheet_client_t *client,
                                    const char *service,
                                    const struct callsheet_filter_options_t *filter,
                                    struct callsheet_watch_t **watch,
                                    struct callsheet_error_t **error);

/**
 * The next snapshot, the current one first. Waits at most `timeout_ms` milliseconds; 0 does not wait, a negative one has
 * no end. Any number of threads may wait; one of them gets it.
 *
 * `CALLSHEET_TIMEOUT` without an error object when nothing new came in time. Errors: `CALLSHEET_CLOSED` once the watch or
 * its client is closed; `CALLSHEET_FORKED`.
 *
 * # Safety
 * `watch` is NULL or valid; `snapshot` and `error` are NULL or may be written to.
 */
callsheet_code callsheet_watch_next(struct callsheet_watch_t *watch,
                                    int64_t timeout_ms,
                                    struct callsheet_snapshot_t **snapshot,
                                    struct callsheet_error_t **error);

/**
 * A descriptor that is readable (`POLLIN`) while a snapshot waits, or the watch is at its end. It belongs to the watch:
 * poll it, but do not read or close it. -1 for NULL, in a forked child, and when the process has no descriptors left.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
int32_t callsheet_watch_fd(struct callsheet_watch_t *watch);

/**
 * Marks the watch, for `callsheet_client_next_event`. What waits is announced again with the new mark, so a watch may be
 * marked while another thread waits for events.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
void callsheet_watch_set_tag(struct callsheet_watch_t *watch,
                             uint64_t tag);

/**
 * How many snapshots came and went without being read; 0 for NULL.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
uint64_t callsheet_watch_skipped(struct callsheet_watch_t *watch);

/**
 * Whether it was closed, by itself or with its client; true for NULL.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
bool callsheet_watch_is_closed(struct callsheet_watch_t *watch);

/**
 * Ends the watch: every thread that waits for it gets `CALLSHEET_CLOSED`. Closing twice is fine, and so is NULL.
 *
 * # Safety
 * `watch` is NULL or valid.
 */
void callsheet_watch_close(struct callsheet_watch_t *watch);

/**
 * Frees a watch, which closes it, and with it its descriptor. NULL is fine. No thread may still wait for it.
 *
 * # Safety
 * `watch` is NULL, or came from `callsheet_watch_open`, was not freed before, and no other call uses it.
 */
void callsheet_watch_free(struct callsheet_watch_t *watch);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CALLSHEET_H */

/* What options begin with: C11 and C++17. */

#define CALLSHEET_CONNECT_OPTIONS_INIT                                                                         \
    {                                                                                                          \
        sizeof(callsheet_connect_options_t), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
            NULL, 0, -1, -1, -1, -1, -1, -1, NULL, 0, false                                                           \
    }

#define CALLSHEET_FILTER_OPTIONS_INIT                                             \
    {                                                                             \
        sizeof(callsheet_filter_options_t), NULL, 0, NULL, NULL, NULL, 0, true    \
    }

#define CALLSHEET_CHECK_OPTIONS_INIT                                                                \
    {                                                                                               \
        sizeof(callsheet_check_options_t), (int32_t)CALLSHEET_CHECK_TTL, -1, -1, NULL, -1, NULL, -1 \
    }

#define CALLSHEET_REGISTRATION_OPTIONS_INIT                                                              \
    {                                                                                                    \
        sizeof(callsheet_registration_options_t), NULL, 0, NULL, NULL, NULL, NULL, 0, NULL, 0, 1, NULL,  \
            NULL, -1, -1, NULL, false, false                                                             \
    }

#define CALLSHEET_UPDATE_OPTIONS_INIT                             \
    {                                                             \
        sizeof(callsheet_update_options_t), NULL, 0, NULL, 0, -1  \
    }

#define CALLSHEET_EJECTION_OPTIONS_INIT                                        \
    {                                                                          \
        sizeof(callsheet_ejection_options_t), true, -1, -1, -1, -1, -1, -1, -1 \
    }

#define CALLSHEET_PICKER_OPTIONS_INIT                                                                              \
    {                                                                                                              \
        sizeof(callsheet_picker_options_t), (int32_t)CALLSHEET_POLICY_P2C, NULL, NULL, -1, NULL, NULL, -1, -1      \
    }

#define CALLSHEET_STATS_INIT                                                                                      \
    {                                                                                                             \
        sizeof(callsheet_stats_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0\
    }
