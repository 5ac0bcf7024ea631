/// <reference lib="esnext.disposable" />

/**
 * Service discovery: a program says who it is and where it can be reached; others find it, follow changes and pick an
 * instance to call. Which registry is behind it is chosen by the URL alone.
 *
 * All times are milliseconds. Whatever fails is a {@link CallsheetError}. Functions that return a promise never throw;
 * the others throw at once. An aborted signal rejects with `signal.reason`.
 *
 * @packageDocumentation
 */

/** What kind of failure a {@link CallsheetError} is: the same words in every language. */
export type Code =
  | 'invalid_argument'
  | 'config'
  | 'not_found'
  | 'no_instances'
  | 'unavailable'
  | 'timeout'
  | 'unauthenticated'
  | 'permission_denied'
  | 'conflict'
  | 'closed'
  | 'cancelled'
  | 'forked'
  | 'protocol'
  | 'internal'

/** Where a registration stands; see {@link Registration.state}. */
export type State = 'pending' | 'registered' | 'lost' | 'refused' | 'superseded' | 'closed'

/** Whether an instance should be called. Lookups, watches and pickers use `passing` ones only, unless told otherwise. */
export type Status = 'passing' | 'warning' | 'critical' | 'draining'

/**
 * How far to trust a snapshot: `live` (the registry vouches for it), `stale` (the registry is away; its last list),
 * `disk` (saved earlier) or `fallback` (from another registry).
 */
export type Freshness = 'live' | 'stale' | 'disk' | 'fallback'

/**
 * How a picker chooses: `p2c` is the better of two, by latency and calls under way; `least_outstanding` the one with the
 * fewest calls under way; `weighted` each in turn, as often as its weight says; `ring_hash` and `maglev` the same one for
 * the same key.
 */
export type Policy =
  | 'round_robin'
  | 'random'
  | 'p2c'
  | 'weighted'
  | 'least_outstanding'
  | 'ring_hash'
  | 'maglev'

/**
 * When an instance is not called for a while because calls to it fail: its circuit breaker. At most half of the instances
 * are out at once; one that returns is out again if its first call fails. Times are milliseconds.
 */
export interface EjectionOptions {
  /** Failures in a row after which an instance is out, at once. 0 to 1,000, 0 for never. Default: 5. */
  consecutiveFailures?: number | undefined
  /**
   * How far its success rate of an interval may be below the average, in standard deviations; it also has to be 10
   * percentage points below, of at least four instances with enough calls. 0 to 10. Default: 1.5.
   */
  stdevFactor?: number | undefined
  /** Calls of an interval that make its success rate count. At least 1. Default: 20. */
  requestVolume?: number | undefined
  /** Time over which success rates are taken. 100 to a day. Default: 10,000. */
  interval?: number | undefined
  /** How long it is out the first time; twice as long the second time, and so on. 100 to a day. Default: 30,000. */
  baseEjectionTime?: number | undefined
  /** How long it is out at most. Up to a day. Default: 300,000. */
  maxEjectionTime?: number | undefined
  /** Instances that are out at once at most, in percent, rounded down. 0 to 50. Default: 50. */
  maxEjectionPercent?: number | undefined
}

/** How a picker chooses, and from whom. */
export interface PickerOptions extends FilterOptions {
  /** How it chooses. Default: `p2c`. */
  policy?: Policy | undefined
  /** Prefers instances in this zone, as long as they can take their part. Default: none. */
  preferZone?: string | undefined
  /**
   * Picks only from so many of the instances, others in each client, so that not all clients keep connections to all
   * instances. At least 1. Default: all.
   */
  subset?: number | undefined
  /** Names this client, such as by its pod, for the same subset after a restart. Default: random. */
  clientId?: string | undefined
  /** When an instance is not called for a while because calls to it fail; false for never. Default: true. */
  ejection?: EjectionOptions | boolean | undefined
  /**
   * Healthy instances, in percent, below which those that are warning, critical or ejected are used too. 0 to 100, 0 for
   * never. Default: 50.
   */
  panicThreshold?: number | undefined
  /**
   * Milliseconds, up to an hour, in which an instance that comes when others are known gets more and more calls until it
   * has its whole share. Default: 0.
   */
  slowStart?: number | undefined
}

/** How a call to a picked instance went; `cancelled` says nothing about the instance. */
export type Outcome = 'ok' | 'failed' | 'cancelled'

/** Everything that this package throws and rejects with, but for `signal.reason`. */
export class CallsheetError extends Error {
  /**
   * Programs have no need to make one, but tests of theirs may.
   *
   * @param code What kind of failure it is.
   * @param message For people.
   * @param options The cause.
   */
  constructor(code: Code, message: string, options?: { cause?: unknown })
  /** What kind of failure it is. Stable. */
  readonly code: Code
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable: boolean
  /** What led to it, if anything did: a `CallsheetError` or another `Error`. */
  readonly cause?: unknown
}

/** What ends a wait early. */
export interface SignalOptions {
  /** Aborting it rejects with `signal.reason` and gives up on the work. */
  signal?: AbortSignal | undefined
}

/** How long to wait. */
export interface WaitOptions extends SignalOptions {
  /** Milliseconds. Default: as long as it takes. */
  timeout?: number | undefined
}

/** What keeps the process running. */
export interface RefOptions {
  /**
   * Whether this keeps the process running until it is closed. Default: false; a promise that is waited for does so
   * anyway.
   */
  ref?: boolean | undefined
}

/** Which instances of a service a caller wants; all conditions must hold. */
export interface FilterOptions {
  /** Only instances with all of these tags. */
  tags?: Iterable<string> | undefined
  /** Only instances in this zone. */
  zone?: string | undefined
  /** Only instances of this version. */
  version?: string | undefined
  /** Only instances with all of these pairs. */
  metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined
  /** `false` takes instances of every status. Default: true, only those that are `passing`. */
  healthy?: boolean | undefined
}

/** Options of {@link connect}. What is not given is read from the URL, then from the environment (`CALLSHEET_TTL`). */
export interface ConnectOptions extends RefOptions {
  /** Milliseconds that one request may take. Default: 5,000. */
  timeout?: number | undefined
  /** Milliseconds that the registry keeps registrations without hearing of them, 1,000 to a day. Default: 10,000. */
  ttl?: number | undefined
  /** Milliseconds that closing a registration waits for calls under way. Default: 0. */
  drain?: number | undefined
  /** Milliseconds that an empty list which nothing proves is held back. Default: 600,000. */
  emptyHold?: number | undefined
  /** Most services followed while unused ones can give way. Default: 1,000. */
  cacheSize?: number | undefined
  /** A folder for saved lists. Default: none. */
  cacheDir?: string | undefined
  /** Milliseconds after which a saved list is too old. Default: a day. */
  cacheMaxAge?: number | undefined
  /** URLs of registries to ask when this one can't be read. */
  fallback?: Iterable<string> | undefined
  /** A token, never shown. */
  token?: string | undefined
  /** A file that holds the token. */
  tokenFile?: string | undefined
  /** A user's name. */
  username?: string | undefined
  /** The user's password, never shown. */
  password?: string | undefined
  /** A file of certificates to trust. */
  ca?: string | undefined
  /** A file with this client's certificate. */
  cert?: string | undefined
  /** A file with its key. */
  key?: string | undefined
  /** The name to expect in the server's certificate. */
  serverName?: string | undefined
  /** Takes anybody for the registry: its certificate is not verified. For trials only; a warning says so. Default: false. */
  insecure?: boolean | undefined
  /** Where in the registry the services are. */
  prefix?: string | undefined
  /** The datacenter to ask. */
  datacenter?: string | undefined
}

/** What to register. */
export interface RegisterOptions extends SignalOptions, RefOptions {
  /** The service: 1 to 127 ASCII letters, digits, `.`, `_` and `-`, beginning with a letter or digit. */
  service: string
  /** The port that it listens on, 1 to 65535. */
  port: number
  /** The address that others reach it at. Default: `$CALLSHEET_ADDRESS`, else what the registry suggests. */
  address?: string | undefined
  /** An id of its own. Default: `{address}:{port}`, so that a restarted instance replaces itself. */
  id?: string | undefined
  /** How to speak to it. Default: `http`. */
  scheme?: string | undefined
  /** Labels, at most 64 of 256 bytes. */
  tags?: Iterable<string> | undefined
  /** Free pairs of text: at most 56, keys of 128 and values of 512 bytes. */
  metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined
  /** Its share of calls for weighted policies, 1 to 65535. Default: 1. */
  weight?: number | undefined
  /** Where it runs, such as an availability zone. */
  zone?: string | undefined
  /** What it runs. */
  version?: string | undefined
  /** Milliseconds that the registry keeps it without hearing of it, 1,000 to a day. Default: the client's. */
  ttl?: number | undefined
  /** How its health is decided. Default: `check.ttl()`. */
  check?: Check | undefined
  /** `false` publishes nothing until {@link Registration.ready} is called. Default: true. */
  ready?: boolean | undefined
  /** Publish only once the port accepts a connection. Default: false. */
  waitForPort?: boolean | undefined
  /** Milliseconds that closing waits for calls under way. Default: the client's. */
  drain?: number | undefined
  /** Called with each state that it enters, the current one first, in order and one at a time. */
  onState?: ((state: State) => unknown) | undefined
}

/** One reachable process of a service. Frozen; one that did not change is the same object in the next snapshot. */
export interface Instance {
  /** Unique within the service. */
  readonly id: string
  /** The service it belongs to. */
  readonly service: string
  /** An IP address or host name. */
  readonly address: string
  /** The port that it listens on. */
  readonly port: number
  /** How to speak to it: `http` unless chosen. */
  readonly scheme: string
  /** Labels, in the order they were given. */
  readonly tags: readonly string[]
  /** Free pairs of text. */
  readonly metadata: Readonly<Record<string, string>>
  /** Its share of calls relative to others, for weighted policies. */
  readonly weight: number
  /** Where it runs; empty when unknown. */
  readonly zone: string
  /** What it runs; empty when unknown. */
  readonly version: string
  /** Whether to call it. */
  readonly status: Status
  /** `scheme://address:port`, without a trailing slash. */
  readonly url: string
}

/** What became of the instances of an earlier snapshot, each list sorted by id. */
export interface Changes {
  /** Instances whose ids are new. */
  readonly added: readonly Instance[]
  /** Instances whose ids are gone, as they were. */
  readonly removed: readonly Instance[]
  /** Instances that stayed but say something else now, as they are. */
  readonly changed: readonly Instance[]
}

/** An immutable list of a service's instances, sorted by id, as it was at one moment. Iterable. */
export interface Snapshot extends Iterable<Instance> {
  /** The service that was asked for. */
  readonly service: string
  /** A counter of callsheet's own for this watched service. It only grows, whatever the registry's index does. */
  readonly revision: number
  /** How far to trust it. */
  readonly freshness: Freshness
  /** The URL that it came from, without secrets. */
  readonly source: string
  /** How many instances there are. */
  readonly length: number
  /** The instances, as a frozen array. */
  readonly instances: readonly Instance[]
  /** Milliseconds since the registry last vouched for this list: 0 while live. */
  readonly age: number
  /** Why it is not live; null when it is. */
  readonly lastError: CallsheetError | null
  /**
   * The instance with this id.
   *
   * @param id Its id.
   */
  get(id: string): Instance | undefined
  /**
   * The instance at this position; a negative one counts from the end.
   *
   * @param index Its position.
   */
  at(index: number): Instance | undefined
  /**
   * What was added, removed and changed since `previous`, whatever came between.
   *
   * @param previous An earlier snapshot of the same service.
   * @throws `invalid_argument` when it is no snapshot.
   */
  changesSince(previous: Snapshot): Changes
  /** What `JSON.stringify` writes. */
  toJSON(): Pick_<Snapshot, 'service' | 'revision' | 'freshness' | 'source' | 'instances'>
}

/** `Pick` of TypeScript's own; {@link Pick} here is a picked instance. */
type Pick_<T, K extends keyof T> = { [P in K]: T[P] }

/**
 * What follows something: the current value first, then one per change. A slow reader sees the latest only. It does
 * not fail when the registry does. Leaving a `for await` closes it; it also ends when its client is closed.
 */
export interface Follow<T> extends AsyncIterableIterator<T> {
  /** How many values came and went without being read. */
  readonly skipped: number
  /** Whether it has ended. */
  readonly closed: boolean
  /** The next value. While somebody waits for it the process stays. Rejects with `signal.reason`, once. */
  next(): Promise<IteratorResult<T, undefined>>
  /** Ends it, as `break` does. */
  return(value?: unknown): Promise<IteratorResult<T, undefined>>
  /** Itself. */
  [Symbol.asyncIterator](): this
  /** Ends it; whoever waits is told that it is done. Twice is fine. */
  close(): void
  /** Ends it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A subscription to one service. */
export type Watch = Follow<Snapshot>

/** A subscription to the sorted names of all services. */
export type NamesWatch = Follow<readonly string[]>

/** Ends a subscription: then its callback is not called any more. */
export interface Stop {
  /** Ends it. Twice is fine. */
  (): void
  /** The same. */
  close(): void
  /** The same, for `using`. */
  [Symbol.dispose](): void
}

/** How the health of an instance is decided: made by one of {@link check}. */
export interface Check {
  /** Which of them made it. */
  readonly kind: 'ttl' | 'heartbeat' | 'tcp' | 'http' | 'grpc'
}

/** What every check can say. */
export interface StayOptions {
  /**
   * Milliseconds, at least 60,000, that the instance may be critical before the registry removes it. Only Consul does.
   * Default: 60,000 with `ttl`, else 600,000.
   */
  deregisterCriticalAfter?: number | undefined
}

/** How often a check runs. */
export interface CheckOptions extends StayOptions {
  /** Milliseconds between two runs, at least 100. Default: 5,000. */
  interval?: number | undefined
  /** Milliseconds that one run may take. Default: 2,000. */
  timeout?: number | undefined
}

/** The ways to decide the health of an instance. Each throws `invalid_argument`. */
export const check: {
  /** Healthy while this process lives and renews. The default. */
  readonly ttl: (options?: StayOptions) => Check
  /**
   * Healthy while the program calls {@link Registration.beat} often enough: a program that hangs goes critical.
   *
   * @param interval Milliseconds that may pass between two beats.
   */
  readonly heartbeat: (interval: number, options?: StayOptions) => Check
  /**
   * Healthy while a port accepts connections: the instance's own, or another address and port.
   *
   * @param options How often, and where.
   */
  readonly tcp: (
    options?: CheckOptions & { address?: string | undefined; port?: number | undefined },
  ) => Check
  /**
   * Healthy while a GET is answered with a status of 200 to 299.
   *
   * @param target A path on the instance, such as `/health`, or a whole `http://` URL.
   * @param options How often.
   */
  readonly http: (target: string, options?: CheckOptions) => Check
  /**
   * Healthy while a gRPC server says of itself that it is `SERVING`, in the gRPC health protocol and without TLS.
   *
   * @param target `host:port`, `host:port/service`, or `/service` on the instance itself. Default: the instance's own
   *   server as a whole.
   * @param options How often.
   */
  readonly grpc: (target?: string, options?: CheckOptions) => Check
}

/** A running registration: it renews, and comes back after every loss, until it is closed. */
export interface Registration {
  /** The instance's id. */
  readonly id: string
  /** The instance as it is published. */
  readonly instance: Instance
  /**
   * Where it stands: `pending` (not published yet), `registered`, `lost` (being published again), `refused` (no
   * permission; tried every 30 s), `superseded` (another live process holds the id) or `closed`.
   */
  readonly state: State
  /** Why it is not registered, or why the last update did not reach the registry; null when all is well. */
  readonly lastError: CallsheetError | null
  /**
   * Publishes what `register({ ready: false })` held back, and waits until it is registered. May be called without
   * being awaited.
   *
   * @param options How long to wait. The end of the wait ends nothing else.
   * @throws `timeout` when it was not registered by then; it goes on trying. `closed`.
   */
  ready(options?: WaitOptions): Promise<void>
  /**
   * Waits until a state is reached; being in it already is success.
   *
   * @param state The state.
   * @param options How long to wait.
   * @throws `timeout`, whose cause says why; `closed` when it can't be reached any more; `invalid_argument`.
   */
  wait(state: State, options?: WaitOptions): Promise<void>
  /**
   * Replaces metadata, tags or weight without a gap in the registration; what is not given stays. Resolves when the
   * registry has it, or after the first try that failed: then `lastError` says why, and it goes on trying.
   *
   * @param changes What to change. An abort ends the wait only.
   * @throws `invalid_argument`, and nothing is changed; `closed`.
   */
  update(
    changes: SignalOptions & {
      metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined
      tags?: Iterable<string> | undefined
      weight?: number | undefined
    },
  ): Promise<void>
  /**
   * The sign of life that `check.heartbeat` waits for.
   *
   * @throws `closed`.
   */
  beat(): void
  /**
   * Sets the status by hand; `passing` gives it back to the check, and a failing check wins over a better one.
   *
   * @param status The status.
   * @param options `note` says why, for people; at most 512 bytes.
   * @throws `invalid_argument`, `closed`.
   */
  setStatus(status: Status, options?: SignalOptions & { note?: string | undefined }): Promise<void>
  /**
   * Says `draining`: pickers, watches and lookups skip it from now on, while it finishes its calls.
   *
   * @param options What ends the wait.
   * @throws `closed`.
   */
  drain(options?: SignalOptions): Promise<void>
  /**
   * Withdraws the instance if it is still this registration's, then waits out the drain. Twice is fine.
   *
   * @param options What ends the wait; the withdrawal goes on.
   * @throws `timeout` when the registry could not be told within 5 s, so that the instance goes with its TTL.
   */
  close(options?: SignalOptions): Promise<void>
  /** Closes it, for `await using`; a `timeout` is logged instead. */
  [Symbol.asyncDispose](): Promise<void>
}

/** One picked instance, from the choice until the report. */
export interface Pick {
  /** The instance's id. */
  readonly id: string
  /** An IP address or host name. */
  readonly address: string
  /** The port that it listens on. */
  readonly port: number
  /** `scheme://address:port`, without a trailing slash. */
  readonly url: string
  /** The instance. */
  readonly instance: Instance
  /**
   * Reports how the call went; only the first report counts. A pick that is not reported stops counting after a
   * minute. With `using` a pick that was not reported counts as a call that went well.
   *
   * @param outcome Nothing, null, true or `ok` for a call that went well; the error that it failed with, false or
   *   `failed`; an `AbortError` or `cancelled` for a call that somebody gave up on. Default: `ok`.
   */
  done(outcome?: unknown): void
  /** Reports a call that went well, unless it was reported, for `using`. */
  [Symbol.dispose](): void
}

/** A load balancer over the current snapshot of a service. Make one and keep it: it learns which instances are fast. */
export interface Picker {
  /** The service. */
  readonly service: string
  /** How it chooses. */
  readonly policy: Policy
  /** How many instances it picks from now. */
  readonly length: number
  /**
   * Picks one instance to call. Never waits and does no I/O. Report how the call went with {@link Pick.done}.
   *
   * @throws `no_instances`, `closed`.
   */
  pick(): Pick
  /**
   * Picks one instance, and waits for one to come if there is none.
   *
   * @param options How long to wait. Default: as long as one request may take.
   * @throws `no_instances` when none came; `closed`; `invalid_argument`.
   */
  pick(options: WaitOptions): Promise<Pick>
  /**
   * Picks for a key, such as a user or a file: `ring_hash` and `maglev` give the same instance for the same key, in every
   * process and language that sees the same instances; without a key they pick any. Means nothing to the other policies.
   *
   * @param key A text or bytes.
   * @throws As {@link Picker.pick}; `invalid_argument`.
   */
  pickKey(key: string | Uint8Array): Pick
  /**
   * Picks for a key, and waits for an instance to come if there is none.
   *
   * @param key A text or bytes.
   * @param options How long to wait. Default: as long as one request may take.
   * @throws `no_instances` when none came; `closed`; `invalid_argument`.
   */
  pickKey(key: string | Uint8Array, options: WaitOptions): Promise<Pick>
  /** The ids of the instances that are ejected now, because calls to them failed. */
  readonly ejected: string[]
  /**
   * Picks an instance, calls `f` with the pick, reports how that went, and gives back what `f` gave. After a failure to
   * connect it tries another instance; any other failure may have had an effect and is thrown. Waits for a first
   * instance as long as one request may take.
   *
   * @param f Called with a pick, which has url, address, port and id.
   * @param options `attempts`: how many calls in all, at least 1 (default: 1). `retryOn`: says of an error whether
   *   another instance may mend it, for calls that can be repeated safely. `key`: as of {@link Picker.pickKey}; another
   *   attempt goes to the next instance of the same key.
   *   An abort ends the wait, also for `f`, whose result is then dropped; give `f` the signal to end its work too.
   * @throws What `f` threw last; the signal's reason; `no_instances`, `closed`, `invalid_argument`.
   */
  call<T>(
    f: (pick: Pick) => T | PromiseLike<T>,
    options?: SignalOptions & {
      attempts?: number | undefined
      retryOn?: ((error: unknown) => boolean) | undefined
      key?: string | Uint8Array | undefined
    },
  ): Promise<T>
}

/** What a client has done and holds. Counts only grow; the first ten are as of the call. */
export interface Stats {
  /** The registry's URL, without secrets. */
  readonly registry: string
  /** Registrations that are not closed. */
  readonly registrations: number
  /** Of these, how many the registry holds now. */
  readonly registered: number
  /** Services being followed for watches, pickers and recent lookups. */
  readonly watchedServices: number
  /** Of these, how many are live. */
  readonly liveServices: number
  /** Of these, how many show the registry's last list, as it is away or refuses. */
  readonly staleServices: number
  /** Of these, how many show a list that was saved on disk. */
  readonly diskServices: number
  /** Of these, how many show what a fallback registry says. */
  readonly fallbackServices: number
  /** Watches, pickers and callbacks that are open. */
  readonly subscribers: number
  /** 1 while the circuit breaker is open: all requests but one in a while fail at once. */
  readonly breakerOpen: number
  /** Requests that failed and may be made again now, while others succeed: at most 100. */
  readonly retryBudget: number
  /** Times that a registration was written to the registry. */
  readonly publishes: number
  /** Tries of that which failed. */
  readonly publishFailures: number
  /** Registrations that the registry lost or somebody deleted. */
  readonly losses: number
  /** Registrations that another live process took over. */
  readonly superseded: number
  /** Whole reads of a service. */
  readonly loads: number
  /** Reads that failed, and follows that broke. */
  readonly loadFailures: number
  /** Times that a service was read again and compared. */
  readonly reloads: number
  /** Snapshots made. */
  readonly snapshots: number
  /** Snapshots that a slow subscriber did not take before the next one came. */
  readonly skipped: number
  /** Empty lists held back because nothing proved them. */
  readonly emptyHeld: number
  /** Values under a service's name that are no instance. */
  readonly undecodable: number
  /** Times that a saved list was shown, as the registry could not be read. */
  readonly diskLoads: number
  /** Times that a fallback registry's list was shown, as the registry could not be read. */
  readonly fallbackLoads: number
  /** Times that the circuit breaker opened, after failures in a row. */
  readonly breakerOpened: number
  /** Requests that were not made, as the circuit breaker was open or the retry budget spent. */
  readonly heldBack: number
  /** Times that a picker ejected an instance, because calls to it failed. */
  readonly ejections: number
  /** Watched services dropped because nobody used them. */
  readonly idleDropped: number
  /** Callbacks that threw. */
  readonly callbackFailures: number
  /** Log lines that nobody took in time. */
  readonly logDropped: number
}

/**
 * A connection to one registry. The process does not stay for it, for its registrations, watches or callbacks, unless
 * one was made with `ref: true`; when the process ends, registrations are withdrawn, for at most a second.
 */
export interface Client {
  /** The registry's URL, without secrets. */
  readonly source: string
  /** Whether the client was closed. */
  readonly closed: boolean
  /**
   * Registers an instance and keeps it registered. Waits for the first try, at most the client's timeout: then it is
   * registered, or {@link Registration.lastError} says why not yet, and it goes on trying.
   *
   * @param options What to register. An abort before it resolves ends the registration.
   * @throws `invalid_argument`; `conflict` when this client has a registration of this service and id; `closed`.
   */
  register(options: RegisterOptions): Promise<Registration>
  /**
   * The registration of this client with this id.
   *
   * @param id Its id.
   * @throws `not_found`; `conflict` when registrations of several services have this id; `closed`.
   */
  registration(id: string): Registration
  /**
   * Closes the registration of this client with this id.
   *
   * @param id Its id.
   * @param options What ends the wait.
   * @throws As {@link Client.registration} and {@link Registration.close}.
   */
  deregister(id: string, options?: SignalOptions): Promise<void>
  /**
   * The instances of a service now. Waits for the first load, then answers from memory.
   *
   * @param service Its name. One that nobody registered has an empty list.
   * @param options Which instances.
   * @throws `unavailable` when the registry can't be read and nothing was read before; `invalid_argument`; `closed`.
   */
  lookup(service: string, options?: FilterOptions & SignalOptions): Promise<Snapshot>
  /**
   * Waits until a service has enough instances, and gives them back.
   *
   * @param service Its name.
   * @param options `count`: how many. Default: 1. The rest says which, and how long to wait.
   * @throws `timeout`, `invalid_argument`, `closed`.
   */
  waitFor(
    service: string,
    options?: FilterOptions & WaitOptions & { count?: number | undefined },
  ): Promise<Snapshot>
  /**
   * Follows the instances of a service.
   *
   * @param service Its name.
   * @param options Which instances. Aborting the signal ends it: its reason is told once.
   * @throws `invalid_argument`, `closed`; the reason of a signal that is aborted already; at once.
   */
  watch(service: string, options?: FilterOptions & SignalOptions & RefOptions): Watch
  /**
   * Calls `callback` with the current snapshot of a service, then with each new one: on this thread, in order and one
   * at a time; the next one waits for a promise that the callback returned. One that throws is logged, and called
   * again for the next change. None is called once `close` was.
   *
   * @param service Its name.
   * @param callback Called with a snapshot.
   * @param options Which instances.
   * @returns What ends it.
   * @throws `invalid_argument`, `closed`; at once.
   */
  onChange(
    service: string,
    callback: (snapshot: Snapshot) => unknown,
    options?: FilterOptions & RefOptions,
  ): Stop
  /**
   * The names of all services that have an instance, sorted.
   *
   * @param options What ends the wait.
   * @throws `unavailable`, `closed`.
   */
  services(options?: SignalOptions): Promise<readonly string[]>
  /**
   * Follows the names of all services.
   *
   * @param options What ends it.
   * @throws `invalid_argument`, `closed`; the reason of a signal that is aborted already; at once.
   */
  watchServices(options?: SignalOptions & RefOptions): NamesWatch
  /**
   * Makes a load balancer over the instances of a service. Waits for the first load, at most the client's timeout; a
   * registry that is down leaves the picker empty until it is back.
   *
   * @param service Its name.
   * @param options How it chooses, and from whom.
   * @throws `invalid_argument`, `closed`.
   */
  picker(service: string, options?: PickerOptions & SignalOptions): Promise<Picker>
  /**
   * Asks the registry something cheap now.
   *
   * @param options What ends the wait.
   * @throws What is wrong with it: `unavailable`, `timeout`, `unauthenticated`, `permission_denied`; `closed`.
   */
  ping(options?: SignalOptions): Promise<void>
  /** What this client has done and holds. Works on a closed client too. */
  stats(): Stats
  /**
   * Closes this client on SIGTERM and SIGINT. Handlers of the program's own run as before; without one the signal then
   * ends the process. A second signal does not wait.
   *
   * @throws `closed`; `invalid_argument` in a worker, where no signals come.
   */
  closeOnSignals(): void
  /**
   * Withdraws every registration, and ends every watch and callback. Twice is fine. With `await using`, what goes
   * wrong is logged instead.
   *
   * @param options What ends the wait; the withdrawal goes on.
   * @throws `timeout` when a registration could not be withdrawn within 5 s and its drain.
   */
  close(options?: SignalOptions): Promise<void>
  /** Closes it, for `await using`; a `timeout` is logged instead. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A client of a registry. Does no I/O towards it, so that a program starts while its registry is down.
 *
 * @example
 * ```js
 * const client = await connect('etcd://127.0.0.1:2379', { timeout: 2000 })
 * try {
 *   console.log([...(await client.lookup('billing'))])
 * } finally {
 *   await client.close()
 * }
 * ```
 *
 * @param url Which registry. Default: `$CALLSHEET_URL`, else `local:`, the processes of this machine.
 * @param options What the URL and the environment do not say.
 * @throws `config`, which names the nearest known option.
 */
export function connect(url?: string | URL | null, options?: ConnectOptions): Promise<Client>

/** One line of the log. */
export interface LogLine {
  /** How much it matters. */
  readonly level: LogLevel
  /** What was said. */
  readonly message: string
}

/** How much a line of the log matters. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace'

/**
 * Hands the log of this process to a callback, one per process; without one nothing is written, except that a callback
 * of the program's own which threw becomes a process warning. `NODE_DEBUG=callsheet` writes it to the standard error,
 * all but the level `trace`, until a callback takes it. At most 100 lines a second.
 *
 * @param callback Called with each line.
 * @param options The least `level`. Default: `warn`.
 * @returns Ends it.
 * @throws `invalid_argument`.
 */
export function onLog(
  callback: (line: LogLine) => void,
  options?: { level?: LogLevel | undefined },
): () => void

/**
 * The registry that clients of `memory:name` in this process share, from outside, for tests: the faults that real
 * registries have. It is made if there is none yet, and kept while anyone holds it.
 */
export class Memory {
  /**
   * @param name As in `memory:name`.
   * @throws `invalid_argument` when no URL could have this name.
   */
  constructor(name: string)
  /** The URL of its clients. */
  readonly url: string
  /** Every request fails with `unavailable` and every watch breaks, until switched off. */
  unreachable(on?: boolean): void
  /** Every request fails with `permission_denied`, until switched off. */
  refuse(on?: boolean): void
  /** Every request takes this many milliseconds; 0 switches it off. */
  slow(delay: number): void
  /** Reads succeed and are empty, as from a cluster without a leader, until switched off. */
  answerEmpty(on?: boolean): void
  /** Watches get whole lists, as from Consul, instead of changes, as from etcd. */
  answerWithLists(on?: boolean): void
  /** Every lease runs out now. */
  loseLeases(): void
  /** The history up to now is forgotten: a watch that has not followed to its end must load again. */
  compact(): void
  /** The same data under another cluster identity, with a revision that begins anew. */
  changeIdentity(): void
  /** Everything is gone, and the identity is another: a cluster restarted on an empty disk. */
  wipe(): void
  /**
   * Writes an instance as another tool would: without an owner, and without a lease.
   *
   * @param instance Its fields; the address is 127.0.0.1 and the id `{address}:{port}` unless given.
   * @throws `invalid_argument`.
   */
  put(
    instance: Pick_<
      RegisterOptions,
      'service' | 'port' | 'address' | 'id' | 'scheme' | 'tags' | 'metadata' | 'weight' | 'zone' | 'version'
    > & { status?: Status | undefined },
  ): void
  /**
   * Deletes an instance behind its owner's back.
   *
   * @param service Its service.
   * @param id Its id.
   */
  delete(service: string, id: string): void
}
