// The rows of `make bench` that are measured in Node, as JSON lines for `bench.py`.
'use strict'

const { spawn } = require('node:child_process')
const { mkdtempSync, rmSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')

const PACKAGE = path.join(__dirname, '..', '..', 'bindings-node')
const { Memory, connect } = require(PACKAGE)
const native = require(path.join(PACKAGE, 'lib', 'native'))
const { call, host, number } = require(path.join(PACKAGE, 'lib', 'host'))

const ROUNDS = 7
const CALLS = 1_000_000
const CHANGES = 500

const nanoseconds = () => Number(process.hrtime.bigint())

/** Minimum, median and maximum. */
function spread(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)]
}

/** One line of the table. */
function row(name, unit, figure, floor = '-', floorFigure = null, goal = '-') {
  console.log(JSON.stringify({ name, unit, figure, floor, floor_figure: floorFigure, goal }))
}

/** Nanoseconds per call, the loop's own cost included, over several rounds. */
function perCall(call) {
  const round = () => {
    const began = nanoseconds()
    for (let n = 0; n < CALLS; n++) call()
    return (nanoseconds() - began) / CALLS
  }
  // The first ones are compiled.
  for (let n = 0; n < 3; n++) round()
  return spread(Array.from({ length: ROUNDS }, round))
}

/** The hot path, beside two calls that do nothing but cross the boundary. */
async function picks() {
  const memory = new Memory('bench-picks')
  for (let port = 1; port <= 100; port++) memory.put({ service: 'billing', port, address: '10.0.0.1' })
  const client = await connect(memory.url)
  const empty = await emptyCall()
  for (const policy of ['round_robin', 'p2c']) {
    const picker = await client.picker('billing', { policy })
    const floor = perCall(() => {
      empty()
      empty()
    })
    const figure = perCall(() => picker.pick().done())
    row(`Node pick()+done(), ${policy}`, 'ns', figure, 'two empty calls', floor, '150 ns')
  }
  await client.close()
}

/** The report of a pick that there was not: the cheapest function that the module has. */
async function emptyCall() {
  const core = native.connect(host, number(), 'memory:', [])
  const loose = await call((id) => native.clientPicker(core, id, 'nobody', 'random', {}))
  const [, , done] = native.pickerOpen(loose, new Uint32Array(4))
  return done
}

/** Changes the metadata of one instance for each line that it reads, saying when it began to. */
const PUBLISHER = `
const { connect } = require(${JSON.stringify(PACKAGE)})
connect(process.argv[1]).then(async (client) => {
  const registration = await client.register({ service: 'billing', port: 80 })
  console.log('ready')
  let number = 0
  for await (const _ of require('readline').createInterface({ input: process.stdin })) {
    const began = process.hrtime.bigint()
    await registration.update({ metadata: { n: String(number++) } })
    console.log(began + ' ' + process.hrtime.bigint())
  }
})`

/** A change in one process until the callback in another. */
async function changes() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'callsheet-bench-'))
  const url = `local://${folder}/registry.db`
  const publisher = spawn(process.execPath, ['-e', PUBLISHER, url], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = readline.createInterface({ input: publisher.stdout })[Symbol.asyncIterator]()
  await lines.next()
  const client = await connect(url)
  let [told, wanted] = [() => {}, '']
  client.onChange('billing', (snapshot) => {
    const at = nanoseconds()
    if (snapshot.at(0)?.metadata.n === wanted) told(at)
  })
  await client.waitFor('billing')
  const [latencies, updates] = [[], []]
  for (let number = 0; number < CHANGES; number++) {
    wanted = String(number)
    const seen = new Promise((resolve) => {
      told = resolve
    })
    publisher.stdin.write('\n')
    const at = await seen
    const [began, ended] = (await lines.next()).value.split(' ').map(Number)
    latencies.push((at - began) / 1e6)
    updates.push((ended - began) / 1e6)
  }
  row('Node change -> callback, local:', 'ms', spread(latencies), 'the update itself', spread(updates))
  publisher.stdin.end()
  await client.close()
  rmSync(folder, { recursive: true, force: true })
}

/** The first list of ten thousand instances as objects, and what one change costs then. */
async function many() {
  const memory = new Memory('bench-many')
  for (let port = 1; port <= 10_000; port++) memory.put({ service: 'billing', port, metadata: { team: 'pay' } })
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
  row('Node 10,000 instances, to the first list', 'ms', spread(firsts), '-', null, '60 ms')
  row('Node 10,000 instances, one change', 'ms', spread(nexts))
}

/** Starting: what a program waits for before its first call. */
async function starting() {
  const code = `
    const began = process.hrtime.bigint()
    require(${JSON.stringify(PACKAGE)}).connect('local:').then(() => console.log(process.hrtime.bigint() - began))`
  const times = []
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    for await (const line of readline.createInterface({ input: child.stdout })) times.push(Number(line.replace('n', '')) / 1e6)
  }
  row('Node require and connect', 'ms', spread(times), '-', null, '50 ms')
}

picks().then(changes).then(many).then(starting)
