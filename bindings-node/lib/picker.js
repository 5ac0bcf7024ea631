// Pickers and picks. A pick is two calls and one small object: what the native module and this one tell each other of
// it stands in four words of memory that both see (`src/picker.rs`).
'use strict'

const { inspect } = require('node:util')
const native = require('./native')
const { native: checked } = require('./error')
const { SIGNAL, TIMEOUT, callback, integer, options, wrong } = require('./argument')
const { key } = require('./balance')
const { call, listened } = require('./host')
const { instance } = require('./instance')

const OK = 0
const FAILED = 1
const CANCELLED = 2

/** No connection came about, so that the call had no effect. A connection that broke is not here. */
const UNCONNECTED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
])

class Pick {
  #picker
  #index
  #generation
  #instance

  constructor(picker, index, generation, instance) {
    this.#picker = picker
    this.#index = index
    this.#generation = generation
    this.#instance = instance
  }

  get id() {
    return this.#instance.id
  }

  get address() {
    return this.#instance.address
  }

  get port() {
    return this.#instance.port
  }

  get url() {
    return this.#instance.url
  }

  get instance() {
    return this.#instance
  }

  done(outcome) {
    const picker = this.#picker
    if (picker === null) return
    this.#picker = null
    Picker.report(picker, this.#index, this.#generation, outcome === undefined ? OK : judged(outcome))
  }

  [inspect.custom](_, options) {
    const { id, url } = this
    return `Pick ${inspect({ id, url, done: this.#picker === null }, options)}`
  }
}

if (Symbol.dispose) {
  Pick.prototype[Symbol.dispose] = function () {
    this.done()
  }
}

/** What a report says. Who gave up on a call says nothing about the instance. */
function judged(outcome) {
  if (outcome === null || outcome === true || outcome === 'ok') return OK
  return outcome === 'cancelled' || outcome?.name === 'AbortError' ? CANCELLED : FAILED
}

class Picker {
  #core
  #client
  #timeout
  #pick
  #done
  #words = new Uint32Array(4)
  #instances = []
  #edition = 0

  constructor(loose, client, service, policy) {
    const [core, pick, done] = native.pickerOpen(loose, this.#words)
    this.#core = core
    this.#client = client
    this.#timeout = native.clientTimeout(client)
    this.#pick = pick
    this.#done = done
    this.service = service
    this.policy = policy
  }

  get length() {
    return native.pickerLength(this.#core)
  }

  pick(given) {
    if (given !== undefined) return this.#wait(given)
    try {
      this.#pick()
    } catch (error) {
      checked(() => {
        throw error
      })
    }
    return this.#picked()
  }

  pickKey(chosen, given) {
    key('key', chosen)
    if (given !== undefined) return this.#wait(given, chosen)
    checked(native.pickerKey, this.#core, chosen)
    return this.#picked()
  }

  get ejected() {
    return checked(native.pickerEjected, this.#core)
  }

  async #wait(given, chosen) {
    const { timeout = this.#timeout, signal } = options(given, { ...TIMEOUT, ...SIGNAL })
    const loose = await call((id) => native.pickerWait(this.#client, id, this.#core, timeout, chosen), signal)
    checked(native.pickerAdopt, this.#core, loose)
    return this.#picked()
  }

  async call(f, given) {
    callback('f', f)
    const known = { attempts: integer, retryOn: callback, key, ...SIGNAL }
    const { attempts = 1, retryOn = () => false, key: chosen, signal } = options(given, known)
    if (attempts < 1) throw wrong('attempts', 'at least 1', attempts)
    let pick = await this.#wait({ signal }, chosen)
    for (const tried = [pick.id]; ; tried.push(pick.id)) {
      try {
        return await attempt(f, pick, signal)
      } catch (error) {
        const last = tried.length >= attempts || signal?.aborted
        if (last || !(unconnected(error) || retryOn(error)) || !this.#other(tried, chosen)) throw error
      }
      pick = this.#picked()
    }
  }

  /** Picks one that was not tried. False when all have gone, of which the call's own error says more. */
  #other(tried, chosen) {
    try {
      checked(native.pickerOther, this.#core, tried, chosen)
      return true
    } catch (gone) {
      if (gone.code === 'no_instances') return false
      throw gone
    }
  }

  /** The pick that the words tell of. */
  #picked() {
    const words = this.#words
    if (words[3] !== this.#edition) {
      this.#edition = words[3]
      this.#instances = []
    }
    const known = this.#instances[words[2]]
    return new Pick(this, words[0], words[1], known === undefined ? this.#learn(words[2]) : known)
  }

  #learn(number) {
    const learnt = instance(checked(native.pickerInstance, this.#core, number))
    this.#instances[number] = learnt
    return learnt
  }

  static report(picker, index, generation, outcome) {
    const words = picker.#words
    words[0] = index
    words[1] = generation
    words[2] = outcome
    picker.#done()
  }

  [inspect.custom](_, options) {
    const { service, policy, length } = this
    return `Picker ${inspect({ service, policy, length }, options)}`
  }
}

/** Calls `f` with a pick and reports how it went, once. An abort does not wait for what `f` says later. */
function attempt(f, pick, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      pick.done('cancelled')
      reject(signal.reason)
    }
    if (signal?.aborted) return abort()
    if (signal !== undefined) listened(signal).addEventListener('abort', abort, { once: true })
    const told = (outcome, settle) => (value) => {
      pick.done(outcome(value))
      settle(value)
      signal?.removeEventListener('abort', abort)
    }
    const called = new Promise((settle) => settle(f(pick)))
    called
      .then(
        told(() => 'ok', resolve),
        told(failure, reject),
      )
      .catch(reject)
  })
}

/** What a report says of a call that threw, whatever it threw. */
function failure(thrown) {
  try {
    return thrown?.name === 'AbortError' ? 'cancelled' : 'failed'
  } catch {
    return 'failed'
  }
}

/** Whether an error, or what it wraps, says that no connection was made. */
function unconnected(error) {
  for (let depth = 0; error instanceof Error && depth < 16; depth++) {
    if (UNCONNECTED.has(error.code) || error.syscall === 'connect') return true
    // One for each address of a host name.
    if (Array.isArray(error.errors) && error.errors.length > 0 && error.errors.every(unconnected)) return true
    error = error.cause
  }
  return false
}

module.exports = { Picker }
