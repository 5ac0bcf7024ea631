'use strict'

const assert = require('node:assert')
const { inspect } = require('node:util')
const test = require('node:test')
const { client: connected, eventually, failure } = require('./helpers')

const put = (memory, port, more) => memory.put({ service: 'billing', port, address: '10.0.0.1', ...more })

test('a snapshot is a list that does not change', async (t) => {
  const { memory, client } = await connected(t)
  for (const port of [82, 80, 81]) put(memory, port)
  const snapshot = await client.lookup('billing')
  assert.deepStrictEqual(
    [...snapshot].map(({ port }) => port),
    [80, 81, 82],
  )
  assert.strictEqual(snapshot.length, 3)
  assert.strictEqual(snapshot.instances.length, 3)
  assert.strictEqual(snapshot.get('10.0.0.1:81'), snapshot.at(1))
  assert.strictEqual(snapshot.at(-1).port, 82)
  assert.strictEqual(snapshot.get('x'), undefined)
  assert.strictEqual(snapshot.at(3), undefined)
  const { service, freshness, source, age, lastError } = snapshot
  const said = { service: 'billing', freshness: 'live', source: memory.url, age: 0, lastError: null }
  assert.deepStrictEqual({ service, freshness, source, age, lastError }, said)
  assert.ok(Object.isFrozen(snapshot) && Object.isFrozen(snapshot.instances))
  assert.match(inspect(snapshot), /Snapshot.*billing.*live.*10\.0\.0\.1:80/s)
  const json = JSON.parse(JSON.stringify(snapshot))
  assert.deepStrictEqual([json.service, json.instances[0].id], ['billing', '10.0.0.1:80'])
  assert.deepStrictEqual(structuredClone({ ...snapshot.at(0) }), { ...snapshot.at(0) })
})

test('converted once for each revision; what did not change is the same object', async (t) => {
  const { memory, client } = await connected(t)
  for (let port = 1; port <= 1000; port++) put(memory, port)
  const before = await client.lookup('billing')
  assert.strictEqual(await client.lookup('billing'), before)
  const old = before.instances
  put(memory, 500, { weight: 9 })
  memory.delete('billing', '10.0.0.1:7')
  put(memory, 2000)
  const after = await eventually(async () => {
    const snapshot = await client.lookup('billing')
    return snapshot.get('10.0.0.1:2000') && snapshot
  })
  const kept = after.instances.filter((instance) => old.includes(instance))
  assert.strictEqual(kept.length, 998)
  const changes = after.changesSince(before)
  const ids = (list) => list.map(({ id }) => id)
  assert.deepStrictEqual(ids(changes.added), ['10.0.0.1:2000'])
  assert.deepStrictEqual(ids(changes.removed), ['10.0.0.1:7'])
  assert.deepStrictEqual(ids(changes.changed), ['10.0.0.1:500'])
  assert.strictEqual(changes.removed[0], before.get('10.0.0.1:7'))
  assert.ok(after.revision > before.revision)
  assert.throws(() => after.changesSince({}), { code: 'invalid_argument' })
})

test('a watch gives the same objects as a lookup, also past snapshots that nobody looked into', async (t) => {
  const { memory, client } = await connected(t)
  put(memory, 1)
  const watch = client.watch('billing')
  const first = (await watch.next()).value
  const [instance] = first
  for (let port = 2; port < 6; port++) {
    put(memory, port)
    await watch.next()
  }
  put(memory, 6)
  const last = (await watch.next()).value
  assert.strictEqual(last.length, 6)
  assert.strictEqual(last.at(0), instance)
  assert.strictEqual(await client.lookup('billing'), last)
  await watch.return()
})

test('an instance that did not change is one object, in whatever order snapshots are looked into', async (t) => {
  const { memory, client } = await connected(t)
  put(memory, 1)
  const watch = client.watch('billing')
  const snapshots = [(await watch.next()).value]
  for (let port = 2; port < 6; port++) {
    put(memory, port)
    snapshots.push((await watch.next()).value)
  }
  const [last] = snapshots.slice(-1)
  for (const at of [1, 4, 0, 3, 2]) assert.strictEqual(snapshots[at].at(0), snapshots[1].at(0), `${at}`)
  assert.strictEqual(snapshots[3].at(3), last.at(3))
  put(memory, 6)
  assert.strictEqual((await watch.next()).value.at(4), last.at(4), 'an older one came between')
  await watch.return()
})

test('filters: all conditions must hold', async (t) => {
  const { memory, client } = await connected(t)
  put(memory, 1, { tags: ['v2', 'eu'], zone: 'a', version: '1', metadata: { team: 'pay' } })
  put(memory, 2, { tags: ['v2'], status: 'critical' })
  const ports = async (options) => [...(await client.lookup('billing', options))].map(({ port }) => port)
  assert.deepStrictEqual(await ports({ tags: ['v2', 'eu'] }), [1])
  assert.deepStrictEqual(await ports({ tags: new Set(['v3']) }), [])
  assert.deepStrictEqual(await ports({ zone: 'a', version: '1', metadata: { team: 'pay' } }), [1])
  assert.deepStrictEqual(await ports({ zone: 'b' }), [])
  assert.deepStrictEqual(await ports({ healthy: false }), [1, 2])
  assert.deepStrictEqual(await ports({ tags: undefined }), [1])
})

test('names of services', async (t) => {
  const { memory, client } = await connected(t)
  const watch = client.watchServices()
  assert.deepStrictEqual((await watch.next()).value, [])
  put(memory, 1)
  assert.deepStrictEqual((await watch.next()).value, ['billing'])
  assert.deepStrictEqual(await client.services(), ['billing'])
  watch.close()
  assert.deepStrictEqual(await watch.next(), { done: true, value: undefined })
})

test('a registry that goes away makes a list stale, and one that was never read unavailable', async (t) => {
  const { memory, client } = await connected(t, { timeout: 500 })
  put(memory, 1)
  await client.lookup('billing')
  memory.unreachable()
  const stale = await eventually(async () => {
    const snapshot = await client.lookup('billing')
    return snapshot.freshness === 'stale' && snapshot
  })
  assert.strictEqual(stale.length, 1)
  assert.strictEqual(stale.lastError.code, 'unavailable')
  assert.ok(stale.lastError.retryable)
  await eventually(() => stale.age > 0)
  const error = await failure(() => client.lookup('other'))
  assert.deepStrictEqual([error.code, error.retryable], ['unavailable', true])
  assert.strictEqual((await failure(() => client.ping())).code, 'unavailable')
  memory.unreachable(false)
  memory.refuse()
  assert.strictEqual((await failure(() => client.ping())).code, 'permission_denied')
  memory.refuse(false)
  memory.slow(10_000)
  const late = await failure(() => client.ping())
  assert.strictEqual(late.code, 'timeout')
  memory.slow(0)
})

test('several readers of one watch get one value each, in order', async (t) => {
  const { memory, client } = await connected(t)
  const watch = client.watch('billing')
  const reads = [watch.next(), watch.next(), watch.next()]
  await reads[0]
  put(memory, 1)
  await reads[1]
  watch.close()
  const [first, second, third] = await Promise.all(reads)
  assert.deepStrictEqual([first.value.length, second.value.length, third.done], [0, 1, true])
})

test('a slow reader sees the latest only', async (t) => {
  const { memory, client } = await connected(t)
  const watch = client.watch('billing')
  await watch.next()
  for (let port = 1; port <= 20; port++) put(memory, port)
  await client.waitFor('billing', { count: 20 })
  const { value } = await watch.next()
  assert.strictEqual(value.length, 20)
  assert.strictEqual(watch.skipped, client.stats().skipped)
  assert.ok(watch.skipped > 0)
})

test('leaving the loop closes the watch; closing the client ends it', async (t) => {
  const { client } = await connected(t)
  const left = client.watch('billing')
  for await (const _ of left) break
  assert.ok(left.closed)
  const ended = client.watch('billing')
  await ended.next()
  const waiting = ended.next()
  await client.close()
  assert.deepStrictEqual(await waiting, { done: true, value: undefined })
  assert.throws(() => client.watch('billing'), { code: 'closed' })
  for (const call of ['lookup', 'picker', 'waitFor']) {
    assert.strictEqual((await failure(() => client[call]('billing'))).code, 'closed')
  }
  for (const call of ['ping', 'services'])
    assert.strictEqual((await failure(() => client[call]())).code, 'closed')
  await client.close()
  assert.strictEqual(client.stats().subscribers, 0)
  assert.throws(() => client.closeOnSignals(), { code: 'closed' })
})

test('closing ends whatever waits', async (t) => {
  const { client } = await connected(t)
  const registration = await client.register({ service: 'x', port: 1, ready: false })
  const picker = await client.picker('nobody')
  const calls = [
    client.waitFor('nobody'),
    picker.pick({ timeout: 60_000 }),
    picker.call(() => {}),
    registration.wait('registered'),
  ].map((promise) =>
    promise.then(
      () => 'nothing',
      (error) => error.code,
    ),
  )
  await client.close()
  assert.deepStrictEqual(await Promise.all(calls), Array(4).fill('closed'))
})

test('ten thousand instances, and one change makes one object', async (t) => {
  const { memory, client } = await connected(t)
  for (let port = 1; port <= 10_000; port++) put(memory, port)
  const before = await client.waitFor('billing', { count: 10_000 })
  const known = new Set(before)
  put(memory, 77, { weight: 2 })
  const after = await eventually(async () => {
    const snapshot = await client.lookup('billing')
    return snapshot !== before && snapshot
  })
  assert.strictEqual([...after].filter((instance) => !known.has(instance)).length, 1)
})
