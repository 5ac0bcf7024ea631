// The client: every verb with its arguments read, begun in the native module, and its answer converted.
'use strict'

const { inspect } = require('node:util')
const native = require('./native')
const { CallsheetError, native: checked } = require('./error')
const argument = require('./argument')
const { FILTER, FOREVER, SIGNAL, TIMEOUT, filter, flag, options, text } = require('./argument')
const { Subscription } = require('./callbacks')
const { isCheck } = require('./check')
const { call, closeOnExit, hold, host, number, release } = require('./host')
const { warn } = require('./log')
const { picking } = require('./balance')
const { Picker } = require('./picker')
const { Registration } = require('./registration')
const { closeOnSignals, closed } = require('./signals')
const { Snapshots } = require('./snapshot')
const { Watch, Watches } = require('./watch')

const REF = { ref: flag }

/** The options of `connect`, by the names that the core has for them. */
const CONNECT = {
  ca: 'text',
  cacheDir: 'text',
  cacheMaxAge: 'duration',
  cacheSize: 'number',
  cert: 'text',
  datacenter: 'text',
  drain: 'duration',
  emptyHold: 'duration',
  fallback: 'list',
  insecure: 'flag',
  key: 'text',
  password: 'text',
  prefix: 'text',
  serverName: 'text',
  timeout: 'duration',
  token: 'text',
  tokenFile: 'text',
  ttl: 'duration',
  username: 'text',
}

const REGISTER = {
  service: text,
  port: argument.integer,
  address: text,
  id: text,
  scheme: text,
  tags: argument.texts,
  metadata: argument.pairs,
  weight: argument.integer,
  zone: text,
  version: text,
  ttl: argument.milliseconds,
  check: isCheck,
  ready: flag,
  waitForPort: flag,
  drain: argument.milliseconds,
  onState: argument.callback,
  ...REF,
  ...SIGNAL,
}

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())

class Client {
  #core
  #ref
  #snapshots = new Snapshots()
  /** What ends when the client is about to close, because it would hold the process or call back. */
  #open = new Set()
  /** What ends then too, but is not kept for it. */
  #watches = new Watches()
  /** Who is told the states of registrations, which is not over before the client is closed. */
  #told = new Set()
  #closing = false

  constructor(core, ref) {
    this.#core = core
    this.#ref = ref
    if (ref) hold()
    this.source = native.clientSource(core)
  }

  get closed() {
    return native.clientIsClosed(this.#core)
  }

  async register(given) {
    const { onState, ref, signal, ...specification } = options(given, REGISTER)
    text('service', specification.service)
    argument.integer('port', specification.port)
    closeOnExit()
    let core
    try {
      core = await call((id) => native.clientRegister(this.#core, id, specification), signal)
    } catch (error) {
      this.#letGo()
      throw error
    }
    const followers = []
    if (ref) followers.push(this.#follow(core, () => {}, { ref }))
    if (onState !== undefined) followers.push(this.#follow(core, onState, {}))
    return new Registration(core, this.#core, () => {
      for (const follower of followers) follower.close()
      this.#letGo()
    })
  }

  registration(id) {
    const core = checked(native.clientRegistration, this.#core, text('id', id))
    return new Registration(core, this.#core, () => this.#letGo())
  }

  async deregister(id, given) {
    await this.registration(id).close(given)
  }

  async lookup(service, given) {
    const read = options(given, { ...FILTER, ...SIGNAL })
    const { filter: wanted, key } = filter(read)
    text('service', service)
    const core = await call((id) => native.clientLookup(this.#core, id, service, wanted), read.signal)
    return this.#snapshot(service, key)(core)
  }

  async waitFor(service, given) {
    const read = options(given, { count: argument.integer, ...TIMEOUT, ...FILTER, ...SIGNAL })
    const { count = 1, timeout = FOREVER, signal } = read
    const { filter: wanted, key } = filter(read)
    text('service', service)
    const core = await call(
      (id) => native.clientWaitFor(this.#core, id, service, count, timeout, wanted),
      signal,
    )
    return this.#snapshot(service, key)(core)
  }

  watch(service, given) {
    const read = options(given, { ...FILTER, ...REF, ...SIGNAL })
    read.signal?.throwIfAborted()
    const { filter: wanted, key } = filter(read)
    const id = number()
    const feed = checked(native.clientWatch, this.#core, id, text('service', service), wanted)
    return this.#iterator(id, feed, this.#snapshot(service, key), read)
  }

  watchServices(given) {
    const read = options(given, { ...REF, ...SIGNAL })
    read.signal?.throwIfAborted()
    const id = number()
    const feed = checked(native.clientWatchServices, this.#core, id)
    return this.#iterator(id, feed, Object.freeze, read)
  }

  onChange(service, callback, given) {
    argument.callback('callback', callback)
    const read = options(given, { ...FILTER, ...REF })
    const { filter: wanted, key } = filter(read)
    const id = number()
    const feed = checked(native.clientWatch, this.#core, id, text('service', service), wanted)
    const subscription = this.#subscribe(id, feed, this.#snapshot(service, key), callback, read, this.#open)
    const stop = () => subscription.close()
    stop.close = stop
    if (Symbol.dispose) stop[Symbol.dispose] = stop
    return stop
  }

  async services(given) {
    const { signal } = options(given, SIGNAL)
    return Object.freeze(await call((id) => native.clientServices(this.#core, id), signal))
  }

  async picker(service, given) {
    const { native: wanted, policy, signal } = picking(given)
    text('service', service)
    const loose = await call((id) => native.clientPicker(this.#core, id, service, wanted), signal)
    return new Picker(loose, this.#core, service, policy)
  }

  async ping(given) {
    const { signal } = options(given, SIGNAL)
    await call((id) => native.clientPing(this.#core, id), signal)
  }

  stats() {
    const stats = JSON.parse(checked(native.clientStats, this.#core))
    return Object.fromEntries(Object.entries(stats).map(([name, value]) => [camel(name), value]))
  }

  closeOnSignals() {
    if (this.closed) throw new CallsheetError('closed', 'this client is closed; open a new one')
    closeOnSignals(this)
  }

  async close(given) {
    const { signal } = options(given, SIGNAL)
    signal?.throwIfAborted()
    if (!this.#closing) {
      this.#closing = true
      if (this.#ref) release()
      for (const open of [...this.#open]) open.close()
      this.#watches.close()
    }
    try {
      await call((id) => native.clientClose(this.#core, id), signal)
    } finally {
      this.#letGo()
      this.#snapshots.clear()
      closed(this)
      // After an abort there may still be states to tell.
      if (!signal?.aborted) for (const told of [...this.#told]) told.close()
    }
  }

  /** How the snapshots of a service and filter become objects. */
  #snapshot(service, key) {
    const whole = `${service}\n${key}`
    return (core) => this.#snapshots.object(whole, core)
  }

  #iterator(id, feed, convert, read) {
    const watch = new Watch(id, feed, convert, read, (gone) => {
      this.#open.delete(gone)
      this.#watches.delete(known)
    })
    const known = this.#watches.add(watch)
    // One that holds the process stays although nobody reads it.
    if (read.ref) this.#open.add(watch)
    return watch
  }

  #subscribe(id, feed, convert, callback, { ref }, among) {
    const failed = () => native.clientCountCallbackFailure(this.#core)
    const gone = (subscription) => among.delete(subscription)
    const subscription = new Subscription(id, feed, convert, callback, { ref, failed, gone })
    among.add(subscription)
    return subscription
  }

  /** Calls `callback` with the states of a registration, to the last. */
  #follow(registration, callback, read) {
    const id = number()
    const feed = checked(native.clientStates, this.#core, id, registration)
    return this.#subscribe(id, feed, (state) => state, callback, read, this.#told)
  }

  #letGo() {
    native.clientLetGo(this.#core)
  }

  [inspect.custom](_, options) {
    const { source, closed } = this
    return `Client ${inspect({ source, closed }, options)}`
  }
}

if (Symbol.asyncDispose) {
  Client.prototype[Symbol.asyncDispose] = async function () {
    await this.close().catch((late) => warn(`closing ${this.source}: ${late.message}`))
  }
}

async function connect(url, given) {
  const { ref, ...rest } = connectOptions(given)
  const set = Object.entries(rest).map(([name, value]) => [snake(name), value])
  try {
    return new Client(checked(native.connect, host, number(), address(url), set), ref)
  } catch (error) {
    // The core spells the name that was meant its own way.
    const message = error.message.replace(/did you mean \w+\?/, camel)
    throw message === error.message ? error : new CallsheetError(error.code, message)
  }
}

function address(url) {
  if (url === undefined || url === null) return undefined
  return asConfig(() => text('url', url instanceof URL ? url.href : url))
}

/** Whatever is wrong in the arguments of `connect` is `config`. */
function connectOptions(given) {
  return asConfig(() => {
    const { ref = false, ...rest } =
      given === undefined || given === null ? {} : options(given, anything(given))
    flag('ref', ref)
    const read = { ref }
    for (const [name, value] of Object.entries(rest)) {
      if (value !== undefined) read[name] = optionValue(name, value)
    }
    return read
  })
}

/** Which options there are is for the core to say. */
function anything(given) {
  return Object.fromEntries(Object.keys(Object(given)).map((name) => [name, (_, value) => value]))
}

function optionValue(name, value) {
  if (CONNECT[name] === 'duration' && typeof value !== 'string') {
    return argument.milliseconds(name, value) / 1000
  }
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'string' ? text(name, value) : argument.texts(name, value)
}

function asConfig(read) {
  try {
    return read()
  } catch (error) {
    if (error.code !== 'invalid_argument') throw error
    throw new CallsheetError('config', error.message)
  }
}

module.exports = { connect }
