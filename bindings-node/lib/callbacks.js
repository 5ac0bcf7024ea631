// Callbacks: called on this thread, for each subscription in order and one at a time, never after its end.
'use strict'

const { AsyncResource } = require('node:async_hooks')
const native = require('./native')
const { feeds, hold, release } = require('./host')
const { callbackFailed } = require('./log')

/** Calls in one turn of the event loop: as many states as the core keeps. */
const TURN = 64

class Subscription {
  #id
  #feed
  #convert
  #callback
  #failed
  #ref
  #gone
  #busy = false
  #ended = false

  /** `failed` counts a callback that throws; `gone` is called at the end. */
  constructor(id, feed, convert, callback, { ref = false, failed, gone }) {
    this.#id = id
    this.#feed = feed
    this.#convert = convert
    // Called in the context in which it was given, as timers and events are.
    this.#callback = AsyncResource.bind(callback)
    this.#failed = failed
    this.#ref = ref
    this.#gone = gone
    if (ref) hold()
    feeds.set(id, this.#look)
    // The present state is told first, but not before the caller has this.
    queueMicrotask(this.#look)
  }

  close() {
    if (this.#ended) return
    this.#ended = true
    feeds.delete(this.#id)
    native.feedClose(this.#feed)
    if (this.#ref) release()
    this.#gone(this)
  }

  /** There may be news. */
  #look = () => {
    for (let calls = 0; !this.#busy && !this.#ended; calls++) {
      // Changes that come faster than they are told must not keep the event loop from all else.
      if (calls === TURN) {
        setImmediate(this.#look)
        return
      }
      const value = native.feedNext(this.#feed)
      if (value === undefined) return
      if (value === null) return this.close()
      this.#call(this.#convert(value))
    }
  }

  #call(value) {
    let begun = false
    this.#busy = true
    try {
      const returned = this.#callback(value)
      if (typeof returned?.then === 'function') {
        // The next one waits for what this one has begun.
        Promise.resolve(returned).then(this.#done, this.#fail)
        begun = true
      }
    } catch (error) {
      this.#failed()
      callbackFailed(error)
    } finally {
      this.#busy = begun
    }
  }

  #done = () => {
    this.#busy = false
    this.#look()
  }

  #fail = (error) => {
    try {
      this.#failed()
      callbackFailed(error)
    } finally {
      this.#done()
    }
  }
}

module.exports = { Subscription }
