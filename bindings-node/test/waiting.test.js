// An aborted signal rejects every call that waits with `signal.reason`, and gives up on the work.
'use strict'

const assert = require('node:assert')
const { getEventListeners } = require('node:events')
const test = require('node:test')
const { check, connect } = require('..')
const { client: connected, eventually, failure, fresh, run } = require('./helpers')

/** Every call that waits, made to wait for long, but for less than closing may take. */
async function waiting(t) {
  const { memory, client } = await connected(t, { timeout: 600_000 })
  const held = await client.register({ service: 'held', port: 1, ready: false })
  const registered = await client.register({ service: 'there', port: 2, drain: 3_000 })
  const picker = await client.picker('nobody')
  memory.slow(3_000)
  return {
    memory,
    client,
    calls: {
      lookup: (signal) => client.lookup('billing', { signal }),
      waitFor: (signal) => client.waitFor('nobody', { signal }),
      services: (signal) => client.services({ signal }),
      picker: (signal) => client.picker('billing', { signal }),
      ping: (signal) => client.ping({ signal }),
      register: (signal) => client.register({ service: 'new', port: 3, signal }),
      wait: (signal) => held.wait('lost', { signal }),
      update: (signal) => registered.update({ weight: 2, signal }),
      setStatus: (signal) => registered.setStatus('warning', { signal }),
      drain: (signal) => registered.drain({ signal }),
      pick: (signal) => picker.pick({ timeout: 600_000, signal }),
      call: (signal) => picker.call(() => {}, { signal }),
      next: (signal) => client.watch('billing', { signal }).next(),
      nextNames: (signal) => client.watchServices({ signal }).next(),
      ready: (signal) => held.ready({ signal }),
      deregister: (signal) => client.deregister('127.0.0.1:2', { signal }),
      close: (signal) => held.close({ signal }),
      closeClient: (signal) => client.close({ signal }),
    },
  }
}

test('aborted while it waits', async (t) => {
  const { memory, calls } = await waiting(t)
  for (const [name, call] of Object.entries(calls)) {
    const controller = new AbortController()
    const reason = new Error(name)
    const promise = call(controller.signal)
    queueMicrotask(() => queueMicrotask(() => controller.abort(reason)))
    assert.strictEqual(await failure(() => promise), reason, name)
  }
  memory.slow(0) // what is under way ends, and closing can withdraw
})

test('aborted before', async (t) => {
  const { memory, client, calls } = await waiting(t)
  const reason = { not: 'an error' }
  const before = client.stats()
  for (const [name, call] of Object.entries(calls)) {
    assert.strictEqual(await failure(() => call(AbortSignal.abort(reason))), reason, name)
  }
  assert.strictEqual(client.stats().registrations, before.registrations)
  assert.ok(!client.closed)
  memory.slow(0) // or closing could not withdraw
})

test('a timeout signal rejects with its TimeoutError', async (t) => {
  const { client } = await connected(t)
  const error = await failure(() => client.waitFor('nobody', { signal: AbortSignal.timeout(20) }))
  assert.strictEqual(error.name, 'TimeoutError')
  const loop = async () => {
    for await (const _ of client.watch('nobody', { signal: AbortSignal.timeout(20) }));
  }
  assert.strictEqual((await failure(loop)).name, 'TimeoutError')
})

test('a watch tells the reason once, then it is at its end', async (t) => {
  const { client } = await connected(t)
  const controller = new AbortController()
  const watch = client.watch('billing', { signal: controller.signal })
  await watch.next()
  controller.abort('enough')
  assert.ok(watch.closed)
  await assert.rejects(watch.next(), (reason) => reason === 'enough')
  assert.deepStrictEqual(await watch.next(), { done: true, value: undefined })
})

test('an aborted registration does not come about', async (t) => {
  const memory = fresh()
  const client = await connect(memory.url, { timeout: 600_000 })
  const other = await connect(memory.url)
  t.after(() => Promise.all([client.close(), other.close()]))
  for (let delay = 0; delay < 20; delay++) {
    memory.slow(5)
    const controller = new AbortController()
    const registering = client.register({ service: 'billing', port: 80, signal: controller.signal })
    setTimeout(() => controller.abort('no'), delay)
    const outcome = await registering.catch((reason) => reason)
    memory.slow(0)
    if (outcome !== 'no') await outcome.close()
    await eventually(() => client.stats().registrations === 0)
    await eventually(async () => (await other.lookup('billing')).length === 0)
  }
})

test('closing the client ends every watch, also for its signal', async (t) => {
  const { client } = await connected(t)
  const controller = new AbortController()
  const { signal } = controller
  const watches = [client.watch('billing', { signal }), client.watchServices({ signal, ref: true })]
  for (let n = 0; n < 200; n++) watches.push(client.watch('billing', { signal }))
  await watches[0].next()
  await client.close()
  assert.ok(watches.every(({ closed }) => closed))
  assert.strictEqual(getEventListeners(signal, 'abort').length, 0)
  controller.abort('late')
  for (const watch of watches) {
    assert.deepStrictEqual(await watch.next(), { done: true, value: undefined })
  }
})

test('many waits on one signal are no warning', async () => {
  const { status, out, err } = await run(`
    const { connect, Memory } = require('.')
    const main = async () => {
      const memory = new Memory('many')
      memory.put({ service: 'billing', port: 1 })
      const client = await connect('memory:many')
      const picker = await client.picker('billing')
      for (const wait of [
        (signal) => client.waitFor('nobody', { signal }),
        (signal) => picker.call(() => new Promise(() => {}), { signal }),
        (signal) => client.watch('nobody', { signal }),
      ]) {
        const controller = new AbortController()
        const all = Array.from({ length: 50 }, () => wait(controller.signal))
        for (let n = 0; n < 5; n++) await client.ping()
        controller.abort('done')
        await Promise.allSettled(all)
      }
      await client.close()
      console.log('fine')
    }
    main()
  `)
  assert.deepStrictEqual([status, out, err], [0, 'fine\n', ''])
})

test('a signal keeps no listener', async (t) => {
  const { memory, client } = await connected(t)
  memory.put({ service: 'billing', port: 1 })
  const controller = new AbortController()
  const { signal } = controller
  let listeners = 0
  const [add, remove] = [signal.addEventListener, signal.removeEventListener]
  signal.addEventListener = (...args) => {
    listeners++
    add.apply(signal, args)
  }
  signal.removeEventListener = (...args) => {
    listeners--
    remove.apply(signal, args)
  }
  await client.lookup('billing', { signal })
  await client.waitFor('billing', { signal })
  await failure(() => client.waitFor('nobody', { timeout: 1, signal }))
  await (await client.picker('billing', { signal })).call(() => {}, { signal })
  for await (const _ of client.watch('billing', { signal })) break
  const registration = await client.register({ service: 'x', port: 1, check: check.ttl(), signal })
  await registration.close({ signal })
  assert.strictEqual(listeners, 0)
  controller.abort()
})

test('an answer comes with the stack of who waits for it', async (t) => {
  const { client } = await connected(t)
  async function theProgram() {
    await client.waitFor('nobody', { timeout: 1 })
  }
  const { stack } = await failure(theProgram)
  assert.match(stack, /^CallsheetError: "nobody"/)
  assert.match(stack, /theProgram/)
})
