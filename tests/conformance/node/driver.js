// The driver of the Node.js package: each request of the engine as the call that it stands for.
'use strict'

const readline = require('node:readline')
const callsheet = require('../../../bindings-node')

const { CallsheetError, Memory, check } = callsheet

const now = () => Number(process.hrtime.bigint())
const code = (error) => error?.code ?? null
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())

/** Arguments as this API spells them: other names, and milliseconds. */
const TIMES = ['timeout', 'ttl', 'drain', 'emptyHold', 'cacheMaxAge', 'interval', 'deregisterCriticalAfter', 'slowStart']
function spelled(given = {}) {
  const named = Object.entries(given).map(([name, value]) => [camel(name), value])
  const timed = (name, value) => (TIMES.includes(name) && typeof value === 'number' ? value * 1000 : value)
  return Object.fromEntries(named.map(([name, value]) => [name, timed(name, value)]))
}

/** A snapshot, and what changed since the one before it. */
function snapshot(seen, previous) {
  const { revision, freshness, source, lastError, age, instances } = seen
  const ids = (list) => list.map(({ id }) => id)
  const changed = previous && Object.entries(seen.changesSince(previous))
  return {
    revision,
    freshness,
    source,
    last_error: code(lastError),
    age: age / 1000,
    instances,
    changes: changed ? Object.fromEntries(changed.map(([kind, list]) => [kind, ids(list)])) : null,
  }
}

function checkOf({ kind, interval, target, ...rest }) {
  if (kind === 'heartbeat') return check.heartbeat(interval * 1000, spelled(rest))
  const timed = spelled(interval === undefined ? rest : { interval, ...rest })
  return kind === 'http' || kind === 'grpc' ? check[kind](target, timed) : check[kind](timed)
}

/** A watch, and the promise of its next value, which outlasts a wait. */
class Reader {
  constructor(watch) {
    this.watch = watch
  }

  async read(timeout) {
    this.pending ??= this.watch.next()
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeout * 1000)
    })
    const next = await Promise.race([this.pending, late])
    clearTimeout(timer)
    if (next === undefined) return { timeout: true }
    this.pending = undefined
    if (next.done) return { ok: { ended: true } }
    if (Array.isArray(next.value)) return { ok: { names: next.value } }
    const previous = this.last
    this.last = next.value
    return { ok: { ...snapshot(next.value, previous), skipped: this.watch.skipped > 0 } }
  }

  close() {
    this.watch.close()
  }
}

/** A callback that records its calls. */
class Callback {
  calls = []
  closed = null

  constructor(client, service, filter, raises, closes) {
    this.closing = { callback: () => this.close(), client: () => client.close() }[closes]
    this.raises = raises
    this.stop = client.onChange(service, (seen) => this.call(seen), filter)
  }

  call(seen) {
    const call = { began: now(), ended: null, snapshot: snapshot(seen, this.last) }
    this.last = seen
    this.calls.push(call)
    const closed = this.calls.length === 1 ? this.closing?.() : undefined
    return closed ? closed.then(() => this.end(call)) : this.end(call)
  }

  end(call) {
    call.ended = now()
    if (this.raises) throw new Error('on purpose')
  }

  close() {
    this.stop()
    this.closed ??= now()
  }
}

/** What is open, by name. */
const things = new Map()
const held = []
let memory

const verbs = {
  async reset() {
    const clients = [...things.values()].filter((thing) => 'closeOnSignals' in thing)
    await Promise.allSettled(clients.map((client) => client.close()))
    things.clear()
    held.length = 0
    memory = undefined
  },
  async connect({ as, url, options }) {
    things.set(as, await callsheet.connect(...(url === null ? [undefined] : [url]), spelled(options)))
  },
  ping: ({ it }) => it.ping(),
  stats: ({ it }) => it.stats(),
  close_on_signals: ({ it }) => it.closeOnSignals(),
  async register({ it, as, with: { check: checked, ...given } }) {
    const states = []
    const health = checked === undefined ? {} : { check: checkOf(checked) }
    const onState = (state) => states.push(state)
    const registration = await it.register({ ...spelled(given), ...health, onState })
    things.set(as, Object.assign(registration, { states }))
  },
  deregister: ({ it, id }) => it.deregister(id),
  ready: ({ it, timeout }) => it.ready(spelled({ timeout })),
  wait: ({ it, state, timeout }) => it.wait(state, spelled({ timeout })),
  update: ({ it, with: changes }) => it.update(changes),
  set_status: ({ it, status, note }) => it.setStatus(status, { note }),
  drain: ({ it }) => it.drain(),
  beat: ({ it }) => it.beat(),
  state: ({ it }) => ({ state: it.state, id: it.id, last_error: code(it.lastError), states: it.states }),
  lookup: async ({ it, service, filter }) => snapshot(await it.lookup(service, filter)),
  wait_for: async ({ it, service, timeout, filter, count }) =>
    snapshot(await it.waitFor(service, { ...filter, count, ...spelled({ timeout }) })),
  services: async ({ it }) => ({ names: await it.services() }),
  watch: ({ it, as, service, filter }) => void things.set(as, new Reader(it.watch(service, filter))),
  watch_services: ({ it, as }) => void things.set(as, new Reader(it.watchServices())),
  on_change: ({ it, as, service, raises, closes, filter }) =>
    void things.set(as, new Callback(it, service, filter, raises, closes)),
  called: ({ it }) => ({ calls: it.calls, closed: it.closed }),
  async picker({ it, as, service, policy, filter, options: { ejection, ...options } = {} }) {
    const ejects = typeof ejection === 'object' ? spelled(ejection) : ejection
    things.set(as, await it.picker(service, { ...filter, policy, ...spelled(options), ejection: ejects }))
  },
  ejected: ({ it }) => ({ ids: it.ejected }),
  async pick({ it, as, timeout, key }) {
    const limit = timeout === undefined ? undefined : spelled({ timeout })
    const pick = await (key === undefined ? it.pick(limit) : it.pickKey(key, limit))
    things.set(as, pick)
    const { id, address, port, url } = pick
    return { id, address, port, url }
  },
  done: ({ it, outcome }) => it.done(outcome),
  spread({ it, picks, failed, hold }) {
    const picked = Array.from({ length: picks }, () => {
      const pick = it.pick()
      if (hold) held.push(pick)
      else pick.done(!failed.includes(pick.id))
      return pick.id
    })
    return { picked }
  },
  async call({ it, attempts, fails }) {
    let calls = 0
    const function_ = async ({ id }) => {
      calls++
      if (id in fails) throw Object.assign(new Error(`on purpose: ${fails[id]}`), { code: fails[id] })
      return id
    }
    try {
      return { id: await it.call(function_, { attempts }), calls }
    } catch (error) {
      if (error instanceof CallsheetError) throw error
      return { failed: error.code, calls }
    }
  },
  close: ({ it }) => it.close(),
  fault({ url, kind, on, seconds, service, id }) {
    // Kept, since a registry in memory lives as long as something knows it.
    memory ??= new Memory(url.replace('memory:', ''))
    const faults = {
      unreachable: () => memory.unreachable(on),
      refuse: () => memory.refuse(on),
      slow: () => memory.slow(seconds * 1000),
      empty: () => memory.answerEmpty(on),
      lists: () => memory.answerWithLists(on),
      lose_leases: () => memory.loseLeases(),
      compact: () => memory.compact(),
      identity: () => memory.changeIdentity(),
      wipe: () => memory.wipe(),
      put: () => memory.put({ service, id, address: '10.9.9.9', port: 9999 }),
      delete: () => memory.delete(service, id),
    }
    faults[kind]()
  },
}

/** Does what is asked. */
async function answer(request) {
  try {
    const it = things.get(request.of)
    if (request.do === 'next') return await it.read(request.timeout)
    return { ok: (await verbs[request.do]({ ...request, it })) ?? {} }
  } catch (error) {
    if (!(error instanceof CallsheetError)) return { broken: `${error?.stack}` }
    const { code, message, retryable } = error
    return { error: { code, message, retryable } }
  }
}

/** One request per line in, one answer per line out, until the input ends. */
async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
  }
}

main()
