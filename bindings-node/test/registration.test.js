'use strict'

const assert = require('node:assert')
const net = require('node:net')
const http = require('node:http')
const http2 = require('node:http2')
const test = require('node:test')
const { check, connect } = require('..')
const { client: connected, eventually, failure, local } = require('./helpers')

for (const kind of ['memory', 'local']) {
  test(`${kind}: from register to close`, async (t) => {
    const url = kind === 'local' ? local() : `memory:whole-${process.pid}`
    const [client, other] = [await connect(url), await connect(url)]
    t.after(() => Promise.all([client.close(), other.close()]))
    const states = []
    const registration = await client.register({
      service: 'billing',
      port: 8080,
      address: '10.0.0.1',
      scheme: 'https',
      tags: ['v2', 'canary'],
      metadata: { team: 'pay' },
      weight: 3,
      zone: 'eu-1',
      version: '1.2',
      onState: (state) => states.push(state),
    })
    assert.strictEqual(registration.state, 'registered')
    assert.strictEqual(registration.lastError, null)
    assert.strictEqual(registration.id, '10.0.0.1:8080')
    const [instance] = await other.waitFor('billing')
    assert.deepStrictEqual(
      { ...instance },
      {
        id: '10.0.0.1:8080',
        service: 'billing',
        address: '10.0.0.1',
        port: 8080,
        scheme: 'https',
        tags: ['v2', 'canary'],
        metadata: { team: 'pay' },
        weight: 3,
        zone: 'eu-1',
        version: '1.2',
        status: 'passing',
        url: 'https://10.0.0.1:8080',
      },
    )
    assert.deepStrictEqual(registration.instance, instance)
    assert.ok(
      Object.isFrozen(instance) && Object.isFrozen(instance.tags) && Object.isFrozen(instance.metadata),
    )
    await registration.update({ metadata: new Map([['team', 'ops']]), tags: ['v3'], weight: 5 })
    await eventually(async () => (await other.lookup('billing')).at(0).weight === 5)
    const [updated] = await other.lookup('billing')
    assert.deepStrictEqual([updated.metadata, updated.tags], [{ team: 'ops' }, ['v3']])
    await registration.setStatus('warning', { note: 'disk' })
    await eventually(async () => (await other.lookup('billing')).length === 0)
    assert.strictEqual((await other.lookup('billing', { healthy: false })).at(0).status, 'warning')
    await registration.setStatus('passing')
    await eventually(async () => (await other.lookup('billing')).length === 1)
    await registration.drain()
    await eventually(
      async () => (await other.lookup('billing', { healthy: false })).at(0).status === 'draining',
    )
    await registration.close()
    await registration.close()
    assert.strictEqual(registration.state, 'closed')
    assert.deepStrictEqual([states[0], states.at(-1)], ['registered', 'closed'])
    await eventually(async () => (await other.lookup('billing', { healthy: false })).length === 0)
    for (const call of [
      () => registration.update({ weight: 1 }),
      () => registration.beat(),
      () => registration.ready(),
    ]) {
      assert.strictEqual((await failure(call)).code, 'closed')
    }
  })
}

test('held back until ready, which need not be awaited', async (t) => {
  const { client } = await connected(t)
  const registration = await client.register({ service: 'billing', port: 80, ready: false })
  assert.strictEqual(registration.state, 'pending')
  assert.strictEqual((await client.lookup('billing')).length, 0)
  registration.ready()
  await registration.wait('registered', { timeout: 5000 })
  assert.strictEqual((await client.waitFor('billing', { timeout: 5000 })).length, 1)
})

test('a registry that is down does not fail a registration', async (t) => {
  const { memory, client } = await connected(t, { timeout: 200 })
  memory.unreachable()
  const registration = await client.register({ service: 'billing', port: 80 })
  assert.notStrictEqual(registration.state, 'registered')
  assert.strictEqual(registration.lastError.code, 'unavailable')
  const late = await failure(() => registration.wait('registered', { timeout: 20 }))
  assert.deepStrictEqual([late.code, late.retryable, late.cause.code], ['timeout', true, 'unavailable'])
  memory.unreachable(false)
  await registration.wait('registered', { timeout: 25_000 })
  assert.strictEqual(registration.lastError, null)
})

test('ids: found, taken, closed by id', async (t) => {
  const { client } = await connected(t)
  const registration = await client.register({ service: 'billing', port: 80, id: 'one' })
  assert.strictEqual(client.registration('one').state, registration.state)
  const taken = await failure(() => client.register({ service: 'billing', port: 81, id: 'one' }))
  assert.deepStrictEqual([taken.code, taken.retryable], ['conflict', false])
  await client.deregister('one')
  assert.strictEqual(registration.state, 'closed')
  assert.throws(() => client.registration('one'), { code: 'not_found' })
  assert.strictEqual((await failure(() => client.deregister('one'))).code, 'not_found')
})

test('checks decide the status', async (t) => {
  const { client } = await connected(t)
  const healthy = { status: 503 }
  const server = http.createServer((_, response) => response.writeHead(healthy.status).end())
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address()
  const grpc = http2.createServer()
  grpc.on('stream', (stream, headers) => {
    stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    const serving = healthy.status === 200 && headers[':path'] === '/grpc.health.v1.Health/Check'
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, serving ? 1 : 2]))
  })
  await new Promise((resolve) => grpc.listen(0, '127.0.0.1', resolve))
  t.after(() => grpc.close())
  const target = `127.0.0.1:${grpc.address().port}`
  const interval = 100
  const status = async (service) => (await client.lookup(service, { healthy: false })).at(0)?.status
  await client.register({ service: 'http', port, check: check.http('/health', { interval, timeout: 5000 }) })
  await client.register({ service: 'grpc', port: 1, check: check.grpc(target, { interval, timeout: 5000 }) })
  await client.register({ service: 'tcp', port, check: check.tcp({ interval }) })
  await client.register({
    service: 'aside',
    port: 1,
    check: check.tcp({ interval, address: '127.0.0.1', port }),
  })
  await client.register({ service: 'ttl', port: 1, check: check.ttl() })
  const beating = await client.register({ service: 'beat', port: 1, check: check.heartbeat(interval) })
  await eventually(async () => (await status('http')) === 'critical')
  await eventually(async () => (await status('grpc')) === 'critical')
  await eventually(async () => (await status('beat')) === 'critical')
  assert.deepStrictEqual(
    [await status('tcp'), await status('aside'), await status('ttl')],
    Array(3).fill('passing'),
  )
  healthy.status = 200
  await eventually(async () => (await status('http')) === 'passing')
  await eventually(async () => (await status('grpc')) === 'passing')
  await eventually(async () => {
    beating.beat()
    return (await status('beat')) === 'passing'
  })
})

test('published once the port listens', async (t) => {
  const { client } = await connected(t, { timeout: 100 })
  const server = net.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  const registration = await client.register({
    service: 'billing',
    port,
    address: '127.0.0.1',
    waitForPort: true,
  })
  assert.strictEqual(registration.state, 'pending')
  server.listen(port, '127.0.0.1')
  t.after(() => server.close())
  await registration.wait('registered', { timeout: 10_000 })
})

test('close waits out the drain', async (t) => {
  const { client } = await connected(t)
  const registration = await client.register({ service: 'billing', port: 80, drain: 100 })
  const began = performance.now()
  await registration.close()
  assert.ok(performance.now() - began >= 99)
})

test('disposal closes, and does not throw what close would', {
  skip: !Symbol.asyncDispose && 'no such symbol',
}, async (t) => {
  const { client } = await connected(t)
  const registration = await client.register({ service: 'billing', port: 80 })
  await registration[Symbol.asyncDispose]()
  assert.strictEqual(registration.state, 'closed')
  await client[Symbol.asyncDispose]()
  assert.ok(client.closed)
})
