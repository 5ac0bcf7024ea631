// The rows of `make bench` that are measured in Node, as JSON lines for `bench.py`; with a mode, a URL and mostly a
// service, the process that `bench.py` follows, weighs and counts.
'use strict'

const { spawn } = require('node:child_process')
const path = require('node:path')
const readline = require('node:readline')

const PACKAGE = path.join(__dirname, '..', '..', 'bindings-node')
const { Memory, connect } = require(PACKAGE)
const native = require(path.join(PACKAGE, 'lib', 'native'))
const { call, host, number } = require(path.join(PACKAGE, 'lib', 'host'))

const ROUNDS = 7
const CALLS = 1_000_000
const WATCHES = 300

/** The instance that changes while arrivals are noted. */
const CHANGED = '10.0.0.25:8080'

const nanoseconds = () => Number(process.hrtime.bigint())

const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Minimum, median and maximum. */
function spread(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)]
}

/** One line of the table. */
function row(name, unit, figure, floor = '-', floorFigure = null, goal = '-') {
  console.log(JSON.stringify({ name, unit, figure, floor, floor_figure: floorFigure, goal }))
}

/** Says for each line nanoseconds of one of many calls, the loop's own cost included. */
async function perCall(call) {
  while (!(await input.next()).done) {
    const began = nanoseconds()
    for (let n = 0; n < CALLS; n++) call()
    console.log((nanoseconds() - began) / CALLS)
  }
}

/** The hot path. */
async function pick(policy) {
  const memory = new Memory('bench-picks')
  for (let port = 1; port <= 100; port++) memory.put({ service: 'billing', port, address: '10.0.0.1' })
  const client = await connect(memory.url)
  const picker = await client.picker('billing', { policy })
  await perCall(() => picker.pick().done())
  await client.close()
}

/** Two calls that do nothing but cross the boundary. */
async function floor() {
  const empty = await emptyCall()
  await perCall(() => {
    empty()
    empty()
  })
}

/** The report of a pick that there was not: the cheapest function that the module has. */
async function emptyCall() {
  const core = native.connect(host, number(), 'memory:', [])
  const loose = await call((id) => native.clientPicker(core, id, 'nobody', 'random', {}))
  const [, , done] = native.pickerOpen(loose, new Uint32Array(4))
  return done
}

/** The first list of ten thousand instances as objects, and what one change costs then. */
async function many() {
  const memory = new Memory('bench-many')
  for (let port = 1; port <= 10_000; port++)
    memory.put({ service: 'billing', port, metadata: { team: 'pay' } })
  const [firsts, nexts] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    const client = await connect(memory.url)
    const began = performance.now()
    const watch = client.watch('billing')
    const first = (await watch.next()).value
    if (first.instances.length !== 10_000) throw new Error('not all are there')
    firsts.push(performance.now() - began)
    const changing = performance.now()
    memory.put({ service: 'billing', port: 77, metadata: { round: String(round) } })
    const next = (await watch.next()).value
    const fresh = next.instances.filter((instance, at) => instance !== first.instances[at])
    nexts.push(performance.now() - changing)
    if (fresh.length !== 1) throw new Error(`${fresh.length} new objects`)
    await client.close()
  }
  row('Node watch to first list of 10,000 instances, memory:', 'ms', spread(firsts), '-', null, '60 ms')
  row('Node one change to the next list of 10,000 instances, memory:', 'ms', spread(nexts))
}

/** Starting: what a program waits for before its first call. */
async function starting() {
  const code = `
    const began = process.hrtime.bigint()
    require(${JSON.stringify(PACKAGE)}).connect('local:').then(() => console.log(process.hrtime.bigint() - began))`
  const times = []
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    for await (const line of readline.createInterface({ input: child.stdout }))
      times.push(Number(line.replace('n', '')) / 1e6)
  }
  row('Node require and connect', 'ms', spread(times), '-', null, '50 ms')
}

/** Says that something is done, and waits until the other process has looked. */
async function step(...said) {
  console.log(...said)
  await input.next()
}

/** Says when each change was there. */
async function follow(client, service) {
  await client.waitFor(service, { timeout: 10_000 })
  client.onChange(service, (snapshot) => {
    const at = process.hrtime.bigint()
    for (const instance of snapshot) console.log(String(at), instance.metadata.n)
  })
  await step('ready')
}

/** What many instances weigh, and what a change of one makes anew. */
async function hold(client, service) {
  await client.lookup('nobody')
  global.gc()
  await step('empty')
  const held = [...(await client.lookup(service))]
  global.gc()
  await step(held.length)
  const watch = client.watch(service)
  const before = [...(await watch.next()).value]
  console.log('watching')
  let fresh = 0
  while (fresh === 0) {
    const after = (await watch.next()).value
    fresh = after.instances.filter((instance, at) => instance !== before[at]).length
  }
  await step(fresh)
}

/** Many services followed at once. */
async function watches(client) {
  await client.lookup('nobody')
  await step('before')
  for (let number = 0; number < WATCHES; number++) await client.watch(`service-${number}`).next()
  await step('after')
}

/** Notes when each change was there, and says for each line what it noted since the last one. */
async function arrive(client, service) {
  const noted = []
  await client.waitFor(service, { timeout: 10_000 })
  await new Promise((resolve) => {
    client.onChange(service, (snapshot) => {
      const at = process.hrtime.bigint()
      noted.push([snapshot.get(CHANGED).metadata.n, at])
      resolve()
    })
  })
  console.log('ready')
  while (!(await input.next()).done)
    console.log(
      noted
        .splice(0)
        .map(([n, at]) => `${n}:${at}`)
        .join(' '),
    )
}

/** Says how long each way from nothing to the first list took. */
async function first(url, service) {
  while (!(await input.next()).done) {
    const began = performance.now()
    const client = await connect(url)
    let read = 0
    for (const instance of await client.lookup(service)) read += instance.id.length
    console.log(performance.now() - began, read)
    await client.close()
  }
}

const MODES = { follow, hold, watches, arrive }

/** Those that connect themselves. */
const ALONE = { first, floor, pick }

async function main() {
  const [mode, url, service] = process.argv.slice(2)
  if (mode in ALONE) {
    await ALONE[mode](url, service)
    return
  }
  if (mode) {
    const client = await connect(url)
    await MODES[mode](client, service)
    await client.close()
    process.stdin.destroy()
    return
  }
  await many()
  await starting()
}

main()
