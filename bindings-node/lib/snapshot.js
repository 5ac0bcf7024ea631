// Snapshots. One is converted when somebody looks into it, once; what did not change keeps its objects.
'use strict'

const { inspect } = require('node:util')
const native = require('./native')
const { decode, invalid, native: checked } = require('./error')
const { instances } = require('./instance')

class Snapshot {
  #core
  #kept
  #list
  #ids

  /** `kept` is what the snapshots of one service and filter share: of those with objects, the newest. */
  constructor(core, kept) {
    this.#core = core
    this.#kept = kept
    const { service, revision, freshness, source, lastError, length } = native.snapshotDescribe(core)
    this.service = service
    this.revision = revision
    this.freshness = freshness
    this.source = source
    this.length = length
    this.lastError = lastError ? decode(lastError) : null
    Object.freeze(this)
  }

  get age() {
    return native.snapshotAge(this.#core)
  }

  get instances() {
    if (this.#list === undefined) {
      const kept = this.#kept
      const previous = kept.converted
      const { from, fresh } = checked(native.snapshotConvert, this.#core, previous?.#core)
      const made = instances(fresh)
      const list = new Array(from.length)
      for (let at = 0, next = 0; at < list.length; at++) {
        list[at] = from[at] < 0 ? made[next++] : previous.#list[from[at]]
      }
      this.#list = Object.freeze(list)
      this.#kept = undefined
      // One that is looked into late has not what came after it.
      if (previous === undefined || previous.revision <= this.revision) kept.converted = this
    }
    return this.#list
  }

  get(id) {
    this.#ids ??= new Map(this.instances.map((instance) => [instance.id, instance]))
    return this.#ids.get(id)
  }

  at(index) {
    return this.instances.at(index)
  }

  changesSince(previous) {
    if (!(previous instanceof Snapshot)) throw invalid('changesSince takes a snapshot')
    const { added, removed, changed } = checked(native.snapshotChanges, this.#core, previous.#core)
    const of = (snapshot, positions) => Object.freeze(positions.map((at) => snapshot.instances[at]))
    return Object.freeze({
      added: of(this, added),
      removed: of(previous, removed),
      changed: of(this, changed),
    })
  }

  [Symbol.iterator]() {
    return this.instances[Symbol.iterator]()
  }

  toJSON() {
    const { service, revision, freshness, source, instances } = this
    return { service, revision, freshness, source, instances }
  }

  [inspect.custom](_, options) {
    const { service, revision, freshness } = this
    const ids = this.instances.map(({ id }) => id)
    return `Snapshot ${inspect({ service, revision, freshness, ids }, options)}`
  }

  static isSame(snapshot, core) {
    return native.snapshotIsSame(snapshot.#core, core)
  }
}

/** Time after which a snapshot that nobody asked for again is let go, as the core does with the service. */
const IDLE = 300_000
/** Time between two looks for such. */
const SWEEP = 60_000

/** The latest snapshot of each service and filter that a client has given out. */
class Snapshots {
  #latest = new Map()
  #swept = performance.now()

  /** The object for `core`, which was asked for with the filter `key`. */
  object(key, core) {
    const now = performance.now()
    const entry = this.#latest.get(key)
    if (entry !== undefined) {
      entry.used = now
      if (Snapshot.isSame(entry.snapshot, core)) return entry.snapshot
    }
    const kept = entry?.kept ?? { converted: undefined }
    const snapshot = new Snapshot(core, kept)
    // The reader of a watch may be slower than a lookup was.
    if (entry === undefined) this.#latest.set(key, { snapshot, kept, used: now })
    else if (entry.snapshot.revision <= snapshot.revision) entry.snapshot = snapshot
    if (now - this.#swept >= SWEEP) this.#sweep(now)
    return snapshot
  }

  clear() {
    this.#latest.clear()
  }

  #sweep(now) {
    this.#swept = now
    for (const [key, { used }] of this.#latest) {
      if (now - used >= IDLE) this.#latest.delete(key)
    }
  }
}

module.exports = { Snapshots }
