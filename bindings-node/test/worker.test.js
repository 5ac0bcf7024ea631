// Worker threads: each is an environment of its own, may end or be ended at any moment, and leaves nothing behind.
'use strict'

const assert = require('node:assert')
const { once } = require('node:events')
const path = require('node:path')
const test = require('node:test')
const { Worker } = require('node:worker_threads')
const { CallsheetError, connect } = require('..')
const { client: connected, eventually, fresh, run } = require('./helpers')

const ROOT = JSON.stringify(path.join(__dirname, '..'))

const LIVE = `
const { parentPort, workerData } = require('node:worker_threads')
const { connect } = require(${ROOT})
const main = async () => {
  const client = await connect(workerData)
  await client.register({ service: 'billing', port: 80, onState: () => {} })
  let seen = 0
  client.onChange('storm', () => seen++)
  client.onChange('billing', (snapshot) => { if (snapshot.length) parentPort.postMessage('up') })
  client.waitFor('nobody')
  const picker = await client.picker('billing')
  picker.pick()
  for await (const _ of client.watch('storm')) seen++
}
main()
`

function worker(code, workerData) {
  const made = new Worker(code, { eval: true, workerData })
  made.on('error', (error) => assert.fail(error))
  return made
}

test('terminated with everything live, in a storm of changes', async (t) => {
  const { memory, client } = await connected(t)
  let port = 1
  const storm = setInterval(() => memory.put({ service: 'storm', port: port++ % 1000 || 1 }), 1)
  t.after(() => clearInterval(storm))
  for (let round = 0; round < 10; round++) {
    const running = worker(LIVE, memory.url)
    await once(running, 'message')
    const began = performance.now()
    assert.strictEqual(await running.terminate(), 1)
    assert.ok(performance.now() - began < 5000)
    await eventually(async () => (await client.lookup('billing')).length === 0)
  }
})

test('terminated in the middle of starting', async () => {
  const memory = fresh()
  for (let delay = 0; delay < 60; delay += 5) {
    const running = worker(LIVE, memory.url)
    await new Promise((resolve) => setTimeout(resolve, delay))
    await running.terminate()
  }
})

test('a worker that ends by itself withdraws', async (t) => {
  const { memory, client } = await connected(t)
  const running = worker(
    `const { workerData } = require('node:worker_threads')
     require(${ROOT}).connect(workerData).then(async (client) => {
       await client.register({ service: 'billing', port: 80 })
       client.watch('billing').next().then(() => process.exit(0))
     })`,
    memory.url,
  )
  await client.waitFor('billing', { timeout: 10_000 })
  assert.deepStrictEqual(await once(running, 'exit'), [0])
  await eventually(async () => (await client.lookup('billing')).length === 0)
})

test('loaded by a worker only, and ended: the module stays for its threads', async () => {
  const { status, err } = await run(
    `const { Worker } = require('node:worker_threads')
     const code = ${JSON.stringify(LIVE)}
     const main = async () => {
       for (let round = 0; round < 5; round++) {
         const running = new Worker(code, { eval: true, workerData: 'memory:only' })
         await new Promise((resolve) => running.once('message', resolve))
         await running.terminate()
       }
     }
     main()`,
  )
  assert.deepStrictEqual([status, err], [0, ''])
})

test('process.exit with workers live', async () => {
  const { status, err, took } = await run(
    `const { Worker } = require('node:worker_threads')
     const code = ${JSON.stringify(LIVE)}
     const up = [1, 2, 3].map(() => new Promise((resolve) => {
       new Worker(code, { eval: true, workerData: 'memory:only' }).once('message', resolve)
     }))
     Promise.all([up[0]]).then(() => process.exit(5))`,
  )
  assert.deepStrictEqual([status, err], [5, ''])
  assert.ok(took < 10_000)
})

test('callbacks run on the thread that asked for them', async (t) => {
  const { memory, client } = await connected(t)
  const code = `
    const { parentPort, threadId, workerData } = require('node:worker_threads')
    require(${ROOT}).connect(workerData).then((client) => {
      client.onChange('billing', () => parentPort.postMessage(threadId), { ref: true })
      parentPort.once('message', () => client.close().then(() => parentPort.close()))
    })`
  const workers = [worker(code, memory.url), worker(code, memory.url)]
  const told = await Promise.all(
    workers.map((one) => once(one, 'message').then(([id]) => id === one.threadId)),
  )
  assert.deepStrictEqual(told, [true, true])
  let here = 0
  client.onChange('billing', () => here++)
  await eventually(() => here === 1)
  for (const one of workers) one.postMessage('close')
  await Promise.all(workers.map((one) => once(one, 'exit')))
})

test('signals are the main thread’s', async () => {
  const running = worker(
    `const { parentPort } = require('node:worker_threads')
     require(${ROOT}).connect('memory:').then((client) => {
       try { client.closeOnSignals() } catch (error) { parentPort.postMessage(error.code) }
     })`,
  )
  assert.deepStrictEqual(await once(running, 'message'), ['invalid_argument'])
})

test('an error keeps its class in its own environment', async () => {
  const error = await connect('memroy:').catch((error) => error)
  assert.ok(error instanceof CallsheetError && error instanceof Error)
})
