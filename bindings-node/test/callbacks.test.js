// Callbacks: on the thread of JavaScript, in order, one at a time, none after the end, whatever they do.
'use strict'

const assert = require('node:assert')
const { AsyncLocalStorage } = require('node:async_hooks')
const { once } = require('node:events')
const test = require('node:test')
const { threadId } = require('node:worker_threads')
const { connect, onLog } = require('..')
const { client: connected, eventually, fresh, pause, run } = require('./helpers')

const put = (memory, port) => memory.put({ service: 'billing', port })

test('in order, one at a time, the current snapshot first, on this thread', async (t) => {
  const { memory, client } = await connected(t)
  const seen = []
  let inside = 0
  let synchronous = true
  client.onChange('billing', (snapshot) => {
    assert.ok(!synchronous, 'not before onChange has returned')
    assert.strictEqual(inside++, 0)
    assert.strictEqual(threadId, 0)
    seen.push(snapshot)
    inside--
  })
  synchronous = false
  await eventually(() => seen.length === 1)
  for (let port = 1; port <= 50; port++) {
    put(memory, port)
    await eventually(() => seen.at(-1)?.length === port)
  }
  assert.strictEqual(seen[0].length, 0)
  const revisions = seen.map(({ revision }) => revision)
  assert.deepStrictEqual(
    revisions,
    [...revisions].sort((a, b) => a - b),
  )
})

test('the next call waits for the promise of the one before', async (t) => {
  const { memory, client } = await connected(t)
  const gate = { open: undefined }
  const calls = []
  client.onChange('billing', async (snapshot) => {
    calls.push(`begin ${snapshot.length}`)
    await new Promise((resolve) => {
      gate.open = resolve
    })
    calls.push(`end ${snapshot.length}`)
  })
  let others = 0
  client.onChange('billing', () => void others++)
  await eventually(() => calls.length === 1)
  put(memory, 1)
  put(memory, 2)
  await client.waitFor('billing', { count: 2 })
  await eventually(() => others >= 2)
  assert.deepStrictEqual(calls, ['begin 0'], 'others do not wait for it')
  gate.open()
  await eventually(() => calls.length === 3)
  assert.deepStrictEqual(calls, ['begin 0', 'end 0', 'begin 2'])
  gate.open()
})

test('one that throws or rejects is logged, counted, and called again', async (t) => {
  const { memory, client } = await connected(t)
  const lines = []
  t.after(onLog((line) => lines.push(line)))
  let calls = 0
  client.onChange('billing', () => {
    calls++
    throw new Error('on purpose')
  })
  client.onChange('billing', async () => {
    calls++
    throw new Error('as a promise')
  })
  await eventually(() => calls === 2)
  put(memory, 1)
  await eventually(() => calls === 4)
  await eventually(() => client.stats().callbackFailures === 4)
  assert.strictEqual(lines.filter(({ message }) => message.includes('on purpose')).length, 2)
  assert.strictEqual(lines.filter(({ message }) => message.includes('as a promise')).length, 2)
  assert.strictEqual(lines[0].level, 'error')
})

test('without a log a callback that throws is a warning of the process', async (t) => {
  const { client } = await connected(t)
  const warned = once(process, 'warning')
  const fail = () => {
    throw new Error('nobody listens')
  }
  client.onChange('billing', fail, { ref: true })
  assert.match((await warned)[0].message, /nobody listens/)
})

test('whatever a callback throws is told, and is no end of anything', async () => {
  const { status, out, err } = await run(`
    const { connect, Memory, onLog } = require('.')
    const unprintable = new Proxy({}, { getPrototypeOf() { throw new Error('trap') }, get() { throw new Error('trap') } })
    const stackless = new Error('stackless')
    Object.defineProperty(stackless, 'stack', { value: Object.create(null) })
    const thrown = [42, undefined, null, Symbol('s'), Object.create(null), unprintable]
    process.on('uncaughtException', (error) => console.log('escaped', error))
    process.on('unhandledRejection', (error) => console.log('unhandled', error))
    let [warnings, calls] = [0, 0]
    process.on('warning', () => warnings++)
    const until = async (condition) => { while (!condition()) await new Promise(setImmediate) }
    const main = async () => {
      const memory = new Memory('thrown')
      const client = await connect('memory:thrown')
      const round = async (port, warned) => {
        memory.put({ service: 'a', port })
        await until(() => calls === 2 * thrown.length * port && warnings === warned)
      }
      calls = -2 * thrown.length
      for (const value of thrown) {
        client.onChange('a', () => { calls++; throw value })
        client.onChange('a', async () => { calls++; throw value })
      }
      const each = 2 * thrown.length
      await until(() => calls === 0 && warnings === each)
      await round(1, 2 * each)
      let lines = 0
      const stop = onLog(({ message }) => { lines += message.includes('a callback threw') })
      await round(2, 2 * each)
      stop()
      client.onChange('b', () => { throw stackless })
      onLog(() => { lines++; throw undefined })
      await until(() => lines === each + 1 && warnings === 2 * each + 1)
      onLog(async () => { lines++; throw 42 })
      client.onChange('b', () => { throw stackless })
      await until(() => lines === each + 2 && warnings === 2 * each + 2)
      await client.close()
      console.log('fine')
    }
    main()
  `)
  assert.deepStrictEqual([status, out], [0, 'fine\n'], err)
})

test('an exception while an answer is told does not take the others with it', async () => {
  const { status, out, err } = await run(`
    const { connect, Memory } = require('.')
    process.on('uncaughtException', (error) => console.log(error.message))
    const main = async () => {
      new Memory('batch')
      const client = await connect('memory:batch', { ref: true })
      const { signal } = new AbortController()
      signal.removeEventListener = () => { throw new Error('mine') }
      const all = [client.ping({ signal })]
      for (let n = 0; n < 20; n++) all.push(client.ping())
      // So that they come together.
      const end = performance.now() + 200
      while (performance.now() < end);
      await Promise.all(all)
      await client.close()
      console.log('fine')
    }
    main()
  `)
  assert.deepStrictEqual([status, out], [0, 'mine\nfine\n'], err)
})

test('one may close its own subscription', async (t) => {
  const { memory, client } = await connected(t)
  let calls = 0
  const stop = client.onChange('billing', () => {
    calls++
    stop()
    stop.close()
  })
  await eventually(() => calls === 1)
  put(memory, 1)
  await client.waitFor('billing')
  await client.ping()
  assert.strictEqual(calls, 1)
  assert.strictEqual(client.stats().subscribers, 0)
})

test('one may close the client, and nothing is called after that', async (t) => {
  const { memory, client } = await connected(t)
  let [calls, others, closed] = [0, 0, 0]
  client.onChange('billing', async () => {
    calls++
    await client.close()
    closed++
  })
  client.onChange('billing', () => void others++)
  await eventually(() => closed === 1)
  const before = others
  put(memory, 1)
  const again = await connect(memory.url)
  t.after(() => again.close())
  await again.waitFor('billing')
  assert.deepStrictEqual([calls, others], [1, before])
})

test('none is called once close was, in a storm of changes', async (t) => {
  for (let round = 0; round < 30; round++) {
    const memory = fresh()
    const client = await connect(memory.url)
    let [calls, late, after] = [0, 0, false]
    for (let n = 0; n < 5; n++) {
      client.onChange('billing', () => {
        // Counted, since what a callback throws is no failure of the test.
        if (after) late++
        calls++
      })
    }
    let port = 1
    const storm = setInterval(() => put(memory, port++), 0)
    t.after(() => clearInterval(storm))
    await eventually(() => calls > 5)
    const closing = client.close()
    after = true
    await closing
    put(memory, port++)
    await pause(0)
    clearInterval(storm)
    assert.strictEqual(late, 0)
  }
})

test('one may subscribe and unsubscribe others', async (t) => {
  const { memory, client } = await connected(t)
  let inner = 0
  client.onChange('billing', () => {
    const stop = client.onChange('billing', () => {
      inner++
      stop()
    })
  })
  await eventually(() => inner === 1)
  put(memory, 1)
  await eventually(() => inner === 2)
})

test('states are told to the last, and none after close', async (t) => {
  const { memory, client } = await connected(t)
  const [states, slow] = [[], []]
  const onState = (state) => void states.push(state)
  const registration = await client.register({ service: 'a', port: 1, onState })
  await client.register({
    service: 'b',
    port: 1,
    onState: async (state) => {
      slow.push(state)
      await new Promise(() => {})
    },
  })
  memory.loseLeases()
  await eventually(() => states.includes('lost') && states.at(-1) === 'registered')
  await registration.close()
  assert.deepStrictEqual([states[0], states.at(-1)], ['registered', 'closed'])
  const told = states.length
  await eventually(() => slow.length === 1)
  await client.close()
  assert.deepStrictEqual([states.length, slow], [told, ['registered']])
})

test('called in the context in which it was given', async (t) => {
  const { client } = await connected(t)
  const storage = new AsyncLocalStorage()
  const seen = new Promise((resolve) => {
    storage.run('mine', () => client.onChange('billing', () => resolve(storage.getStore()), { ref: true }))
  })
  assert.strictEqual(await seen, 'mine')
})

test('a storm does not keep the event loop from all else', async (t) => {
  const { memory, client } = await connected(t)
  let calls = 0
  client.onChange('billing', () => {
    // Each call brings the next one.
    put(memory, 1 + (calls++ % 1000))
    const end = performance.now() + 1
    while (performance.now() < end);
  })
  await eventually(() => calls > 200)
})
