// A running registration.
'use strict'

const { inspect } = require('node:util')
const native = require('./native')
const { decode, native: checked } = require('./error')
const { FOREVER, SIGNAL, TIMEOUT, integer, options, pairs, text, texts } = require('./argument')
const { call } = require('./host')
const { instance } = require('./instance')
const { warn } = require('./log')

class Registration {
  #core
  #client
  #ended

  /** `client` is the native one; `ended` is called when the registration has ended, or never came to its end. */
  constructor(core, client, ended) {
    this.#core = core
    this.#client = client
    this.#ended = ended
  }

  get id() {
    return native.registrationId(this.#core)
  }

  get instance() {
    return instance(native.registrationInstance(this.#core))
  }

  get state() {
    return native.registrationState(this.#core)
  }

  get lastError() {
    const error = native.registrationLastError(this.#core)
    return error ? decode(error) : null
  }

  ready(given) {
    const ready = this.#ready(given)
    // Often nobody waits for this one: a program says that it listens and goes on. It fails only with its registration.
    ready.catch(() => {})
    return ready
  }

  async #ready(given) {
    const { timeout = FOREVER, signal } = options(given, { ...TIMEOUT, ...SIGNAL })
    await this.#ask({ verb: 'ready', timeout }, signal)
  }

  async wait(state, given) {
    const { timeout = FOREVER, signal } = options(given, { ...TIMEOUT, ...SIGNAL })
    await this.#ask({ verb: 'wait', state: text('state', state), timeout }, signal)
  }

  async update(given) {
    const known = { metadata: pairs, tags: texts, weight: integer, ...SIGNAL }
    const { signal, ...changes } = options(given, known)
    await this.#ask({ verb: 'update', ...changes }, signal)
  }

  beat() {
    checked(native.registrationBeat, this.#core)
  }

  async setStatus(status, given) {
    const { note = '', signal } = options(given, { note: text, ...SIGNAL })
    await this.#ask({ verb: 'setStatus', status: text('status', status), note }, signal)
  }

  async drain(given) {
    const { signal } = options(given, SIGNAL)
    await this.#ask({ verb: 'drain' }, signal)
  }

  async close(given) {
    const { signal } = options(given, SIGNAL)
    try {
      await this.#ask({ verb: 'close' }, signal)
    } finally {
      // After an abort it goes on, and may still have something to tell.
      if (!signal?.aborted) this.#ended()
    }
  }

  #ask(request, signal) {
    return call((id) => native.registrationCall(this.#client, id, this.#core, request), signal)
  }

  [inspect.custom](_, options) {
    const { id, state } = this
    return `Registration ${inspect({ service: this.instance.service, id, state }, options)}`
  }
}

if (Symbol.asyncDispose) {
  Registration.prototype[Symbol.asyncDispose] = async function () {
    await this.close().catch((late) => warn(`closing a registration: ${late.message}`))
  }
}

module.exports = { Registration }
