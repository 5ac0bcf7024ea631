// Watches: async iterators over what the core follows. The core keeps the latest value; nothing is queued here.
'use strict'

const native = require('./native')
const { feeds, hold, listened, release } = require('./host')

class Watch {
  #id
  #feed
  #convert
  #signal
  #readers = []
  #ended = false
  #failure
  #ref
  #gone

  /** `convert` makes of what the feed gives what the reader gets; `gone` is called at the end. */
  constructor(id, feed, convert, { signal, ref = false }, gone) {
    this.#id = id
    this.#feed = feed
    this.#convert = convert
    this.#signal = signal
    this.#ref = ref
    this.#gone = gone
    if (ref) hold()
    if (signal !== undefined) listened(signal).addEventListener('abort', this.#abort, { once: true })
  }

  get closed() {
    return this.#ended
  }

  get skipped() {
    return native.feedSkipped(this.#feed)
  }

  next() {
    if (this.#failure !== undefined) {
      const { reason } = this.#failure
      this.#failure = undefined
      return Promise.reject(reason)
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject })
      hold()
      this.#look()
    })
  }

  async return(value) {
    this.close()
    return { done: true, value }
  }

  close() {
    if (this.#ended) return
    this.#ended = true
    this.#signal?.removeEventListener('abort', this.#abort)
    feeds.delete(this.#id)
    native.feedClose(this.#feed)
    if (this.#ref) release()
    this.#gone(this)
    for (const { resolve } of this.#readers.splice(0)) {
      release()
      resolve({ done: true, value: undefined })
    }
  }

  /** There may be news. */
  #look = () => {
    while (this.#readers.length > 0) {
      const value = native.feedNext(this.#feed)
      if (value === undefined) {
        feeds.set(this.#id, this.#look)
        return
      }
      if (value === null) return this.close()
      const { resolve, reject } = this.#readers.shift()
      release()
      try {
        resolve({ done: false, value: this.#convert(value) })
      } catch (error) {
        reject(error)
      }
    }
    feeds.delete(this.#id)
  }

  // The reason is told once, then the watch is at its end.
  #abort = () => {
    const { reason } = this.#signal
    const reader = this.#readers.shift()
    if (reader === undefined) {
      this.#failure = { reason }
    } else {
      release()
      reader.reject(reason)
    }
    this.close()
  };

  [Symbol.asyncIterator]() {
    return this
  }
}

/** Watches from which they are pruned the first time, when this many are known. */
const MANY = 64

/** The watches of a client that nobody has ended. They may be collected all the same. */
class Watches {
  #known = new Set()
  #limit = MANY

  /** What `delete` takes when the watch has ended. */
  add(watch) {
    if (this.#known.size >= this.#limit) this.#prune()
    const known = new WeakRef(watch)
    this.#known.add(known)
    return known
  }

  delete(known) {
    this.#known.delete(known)
  }

  close() {
    for (const known of [...this.#known]) known.deref()?.close()
    this.#known.clear()
  }

  /** Forgets those that were collected, and does so again when there are twice as many as are left. */
  #prune() {
    for (const known of this.#known) {
      if (known.deref() === undefined) this.#known.delete(known)
    }
    this.#limit = Math.max(MANY, 2 * this.#known.size)
  }
}

if (Symbol.asyncDispose) {
  Watch.prototype[Symbol.asyncDispose] = async function () {
    this.close()
  }
}

module.exports = { Watch, Watches }
