'use strict'

const assert = require('node:assert')
const net = require('node:net')
const { inspect } = require('node:util')
const test = require('node:test')
const { client: connected, eventually, failure, pause } = require('./helpers')

async function three(t, policy) {
  const { memory, client } = await connected(t, { timeout: 300 })
  for (const port of [1, 2, 3]) memory.put({ service: 'billing', port, address: '10.0.0.1' })
  return { memory, client, picker: await client.picker('billing', { policy }) }
}

/** Whom two attempts go to that can't connect. */
async function calledBy(picker, key) {
  const called = []
  const refused = (pick) => {
    called.push(pick.id)
    throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  }
  await assert.rejects(picker.call(refused, { attempts: 2, key }))
  return called
}

test('a key stays with its instance', async (t) => {
  const { memory, client } = await connected(t)
  for (let port = 1; port <= 10; port++) memory.put({ service: 'billing', port, address: '10.0.0.1' })
  for (const policy of ['ring_hash', 'maglev']) {
    const picker = await client.picker('billing', { policy, ejection: false })
    const homes = new Set()
    for (let key = 0; key < 100; key++) {
      const pick = picker.pickKey(`${key}`)
      homes.add(pick.id)
      pick.done()
      assert.strictEqual(picker.pickKey(Buffer.from(`${key}`)).id, pick.id)
      const waited = await picker.pickKey(`${key}`, { timeout: 1000 })
      assert.strictEqual(waited.id, pick.id)
    }
    assert.ok(homes.size > 5)
    const home = picker.pickKey('7').id
    assert.strictEqual(await picker.call((pick) => pick.id, { key: '7' }), home)
    const called = await calledBy(picker, '7')
    assert.strictEqual(called[0], home)
    assert.notStrictEqual(called[1], home)
    assert.deepStrictEqual(await calledBy(picker, '7'), called)
    failure(() => picker.pickKey(7), 'invalid_argument', /key must be a string, not 7/)
  }
})

test('who fails is ejected unless told otherwise', async (t) => {
  const { client, picker } = await three(t, 'round_robin')
  const strict = await client.picker('billing', {
    policy: 'round_robin',
    ejection: { consecutiveFailures: 2 },
  })
  const never = await client.picker('billing', { policy: 'round_robin', ejection: false })
  for (const one of [strict, picker, never]) {
    for (let n = 0; n < 30; n++) {
      const pick = one.pick()
      pick.done(pick.port !== 2)
    }
  }
  await eventually(() => strict.ejected[0] === '10.0.0.1:2' && picker.ejected[0] === '10.0.0.1:2')
  assert.deepStrictEqual([strict.length, picker.length, never.length, never.ejected], [2, 2, 3, []])
  assert.strictEqual(client.stats().ejections, 2)
})

test('options of pickers', async (t) => {
  const { memory, client } = await connected(t)
  for (const [port, zone] of ['a', 'a', 'b', 'b'].entries()) {
    const status = port === 3 ? 'critical' : 'passing'
    memory.put({ service: 'billing', port: port + 1, address: '10.0.0.1', zone, status })
  }
  const lengths = [
    [{ subset: 2, clientId: 'pod-1', slowStart: 5000 }, 2],
    [{ panicThreshold: 80 }, 4],
    [{ panicThreshold: 75 }, 3],
    [{ preferZone: 'a', ejection: true }, 2],
  ]
  for (const [given, length] of lengths) {
    assert.strictEqual((await client.picker('billing', given)).length, length, JSON.stringify(given))
  }
  const wrong = [
    [{ subset: 0 }, /subset 0/],
    [{ subset: -1 }, /subset -1/],
    [{ panicThreshold: 101 }, /panic_threshold 101/],
    [{ slowStart: 3_600_001 }, /slow_start/],
    [{ preferZone: 'z'.repeat(257) }, /prefer_zone/],
    [{ ejection: { maxEjectionPercent: 51 } }, /max_ejection_percent/],
    [{ ejection: { requestVolume: -1 } }, /requestVolume -1/],
    [{ ejection: { failures: 1 } }, /there is no option failures/],
    [{ ejection: 'strict' }, /ejection must be an object or a boolean, not string/],
    [{ policy: 'best' }, /round_robin, random, p2c, weighted/],
  ]
  for (const [given, message] of wrong) {
    await assert.rejects(client.picker('billing', given), { code: 'invalid_argument', message })
  }
})

for (const policy of [
  'round_robin',
  'random',
  'p2c',
  'weighted',
  'least_outstanding',
  'ring_hash',
  'maglev',
]) {
  test(`${policy} picks every instance`, async (t) => {
    const { client, picker } = await three(t, policy)
    assert.deepStrictEqual([picker.service, picker.policy, picker.length], ['billing', policy, 3])
    const snapshot = await client.lookup('billing')
    const counts = new Map()
    for (let n = 0; n < 300; n++) {
      const pick = picker.pick()
      const { id, address, port, url, instance } = pick
      assert.deepStrictEqual(
        { id, address, port, url },
        { ...instance, id, address, port, url } && {
          id: `10.0.0.1:${port}`,
          address: '10.0.0.1',
          port,
          url: `http://10.0.0.1:${port}`,
        },
      )
      assert.deepStrictEqual(instance, snapshot.get(id))
      counts.set(id, (counts.get(id) ?? 0) + 1)
      pick.done()
    }
    assert.strictEqual(counts.size, 3)
    if (policy === 'round_robin') assert.deepStrictEqual([...counts.values()], [100, 100, 100])
  })
}

test('the default is p2c, which spares who fails or is busy', async (t) => {
  const { picker } = await three(t)
  assert.strictEqual(picker.policy, 'p2c')
  const counts = {}
  for (let n = 0; n < 300; n++) {
    const pick = picker.pick()
    counts[pick.port] = (counts[pick.port] ?? 0) + 1
    pick.done(pick.port === 2 ? new Error('no') : undefined)
  }
  assert.ok(counts[2] < 30, JSON.stringify(counts))
  const held = []
  for (let n = 0; n < 3; n++) held.push(picker.pick())
  assert.ok(held.filter(({ port }) => port !== 2).length >= 2)
})

test('what a report says, and that only the first one counts', async (t) => {
  const abort = new DOMException('gave up', 'AbortError')
  const spared = async (outcome) => {
    const { memory, client } = await connected(t)
    for (const port of [1, 2]) memory.put({ service: 'billing', port, address: '10.0.0.1' })
    const picker = await client.picker('billing')
    // Both are known, then one call goes as told; a failure makes the other one better for a while.
    const seen = new Set()
    while (seen.size < 2) {
      const pick = picker.pick()
      seen.add(pick.port)
      pick.done()
    }
    const told = picker.pick()
    told.done(outcome)
    told.done(outcome === undefined ? new Error('too late') : undefined)
    const picks = Array.from({ length: 20 }, () => {
      const pick = picker.pick()
      pick.done('cancelled')
      return pick.port
    })
    return !picks.includes(told.port)
  }
  for (const failed of [new Error('x'), false, 'failed', 'a text that was thrown', 0]) {
    assert.ok(await spared(failed), `${failed} is a failure`)
  }
  for (const fine of ['cancelled', abort]) {
    assert.ok(!(await spared(fine)), `${fine} is none`)
  }
})

test('picks by the thousand, reported in any order or never', async (t) => {
  const { picker } = await three(t, 'round_robin')
  const picks = Array.from({ length: 70_000 }, () => picker.pick())
  for (const pick of picks.reverse()) pick.done()
  for (const pick of picks) pick.done()
  assert.strictEqual(picker.pick().instance.service, 'billing')
})

test('instances that come and go are told apart', async (t) => {
  const { memory, client, picker } = await three(t, 'round_robin')
  for (const port of [1, 2, 3]) memory.delete('billing', `10.0.0.1:${port}`)
  for (let port = 1000; port < 1300; port++) {
    memory.put({ service: 'billing', port, address: '10.0.0.1', metadata: { port: `${port}` } })
    await client.waitFor('billing', { metadata: { port: `${port}` }, timeout: 10_000 })
    const pick = await eventually(() => {
      const pick = picker.length === 1 ? picker.pick() : undefined
      return pick?.port === port && pick
    })
    assert.deepStrictEqual([pick.id, pick.instance.metadata.port], [`10.0.0.1:${port}`, `${port}`])
    memory.delete('billing', `10.0.0.1:${port}`)
  }
})

test('nothing to pick', async (t) => {
  const { memory, client } = await connected(t, { timeout: 200 })
  const picker = await client.picker('billing')
  assert.throws(() => picker.pick(), { name: 'CallsheetError', code: 'no_instances', retryable: true })
  const none = await failure(() => picker.pick({ timeout: 10 }))
  assert.deepStrictEqual([none.code, none.retryable], ['no_instances', true])
  assert.strictEqual((await failure(() => picker.call(() => 1))).code, 'no_instances')
  const waiting = picker.pick({ timeout: 10_000 })
  memory.put({ service: 'billing', port: 1 })
  const pick = await waiting
  assert.strictEqual(pick.port, 1)
  pick.done()
  await client.close()
  assert.throws(() => picker.pick(), { code: 'closed' })
})

test('call picks, calls and reports', async (t) => {
  const { picker } = await three(t)
  assert.strictEqual(await picker.call(({ port }) => port > 0), true)
  assert.strictEqual(await picker.call(async ({ url }) => url.startsWith('http://10.0.0.1:')), true)
  await assert.rejects(
    picker.call(() => {
      throw new TypeError('mine')
    }),
    { name: 'TypeError', message: 'mine' },
  )
})

test('an abort does not wait for what was called', async (t) => {
  const { memory, client } = await connected(t)
  for (const port of [1, 2]) memory.put({ service: 'billing', port, address: '10.0.0.1' })
  const picker = await client.picker('billing')
  const controller = new AbortController()
  const reason = new Error('enough')
  let [picked, fail] = []
  const calling = picker.call(
    (pick) => {
      picked = pick
      return new Promise((_, reject) => {
        fail = reject
      })
    },
    { attempts: 2, signal: controller.signal },
  )
  await eventually(() => picked)
  controller.abort(reason)
  assert.strictEqual(await failure(() => calling), reason)
  assert.match(inspect(picked), /done: true/)
  // Neither a failure nor an unhandled rejection.
  fail(Object.assign(new Error('late'), { code: 'ECONNREFUSED' }))
  await pause(0)
  const ports = new Set(Array.from({ length: 20 }, () => picker.pick().port))
  assert.strictEqual(ports.size, 2)
  let calls = 0
  const late = new AbortController()
  const retryOn = () => {
    late.abort(reason)
    return true
  }
  const again = picker.call(
    () => {
      calls++
      throw new Error('500')
    },
    { attempts: 2, retryOn, signal: late.signal },
  )
  assert.strictEqual(await failure(() => again), reason)
  assert.strictEqual(calls, 1)
})

test('call reports whatever was thrown as a failure, but for an abort', async (t) => {
  const { picker } = await three(t)
  // How fast an instance was counts too, so that picks alone do not show it.
  const { Picker } = require('../lib/picker')
  const report = t.mock.method(Picker, 'report')
  const abort = new DOMException('gave up', 'AbortError')
  const [ok, failed, cancelled] = ['ok', new Error('x'), 'cancelled'].map((outcome) => {
    picker.pick().done(outcome)
    return report.mock.calls.at(-1).arguments[3]
  })
  assert.strictEqual(new Set([ok, failed, cancelled]).size, 3)
  for (const thrown of [undefined, null, true, 'ok', new Error('x'), abort]) {
    const calls = report.mock.callCount()
    const throwing = picker.call(() => {
      throw thrown
    })
    assert.strictEqual(await failure(() => throwing), thrown)
    assert.strictEqual(report.mock.callCount(), calls + 1)
    const said = report.mock.calls.at(-1).arguments[3]
    assert.strictEqual(said, thrown === abort ? cancelled : failed, String(thrown))
  }
  await picker.call(() => undefined)
  assert.strictEqual(report.mock.calls.at(-1).arguments[3], ok)
})

test('call tries another instance after a failure to connect only', async (t) => {
  const { picker } = await three(t)
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const wrapped = new TypeError('fetch failed', { cause: new AggregateError([refused, refused]) })
  const mixed = new AggregateError([refused, Object.assign(new Error('read'), { code: 'ECONNRESET' })])
  const calls = async (error, options) => {
    const called = []
    const failed = await failure(() =>
      picker.call(({ id }) => {
        called.push(id)
        throw error
      }, options),
    )
    assert.strictEqual(failed, error)
    for (let at = 1; at < called.length; at++) assert.notStrictEqual(called[at], called[at - 1])
    return called.length
  }
  assert.strictEqual(await calls(refused), 1)
  assert.strictEqual(await calls(refused, { attempts: 2 }), 2)
  assert.strictEqual(await calls(wrapped, { attempts: 3 }), 3)
  assert.strictEqual(await calls(mixed, { attempts: 3 }), 1)
  assert.strictEqual(await calls(new Error('500'), { attempts: 3 }), 1)
  assert.strictEqual(
    await calls(new Error('500'), { attempts: 3, retryOn: ({ message }) => message === '500' }),
    3,
  )
})

test('what fetch and net say of a closed port is a failure to connect', async (t) => {
  const { memory, client } = await connected(t)
  const listen = (server) =>
    new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
  const hi = (socket) => socket.on('error', () => {}).end('HTTP/1.0 200 OK\r\n\r\nhi')
  const [server, gone] = [net.createServer(hi), net.createServer()]
  t.after(() => server.close())
  const ports = [await listen(server), await listen(gone)]
  await new Promise((resolve) => gone.close(resolve))
  for (const port of ports) memory.put({ service: 'billing', port, address: '127.0.0.1' })
  const picker = await client.picker('billing', { policy: 'round_robin' })
  for (let n = 0; n < 4; n++) {
    const text = await picker.call(async ({ url }) => (await fetch(url)).text(), { attempts: 2 })
    assert.strictEqual(text, 'hi')
  }
  const connect = ({ port, address }) =>
    new Promise((resolve, reject) => {
      const socket = net.connect(port, address, () => resolve(socket.destroy()))
      socket.on('error', reject)
    })
  for (let n = 0; n < 4; n++) await picker.call(connect, { attempts: 2 })
})

test('using reports a call that went well', { skip: !Symbol.dispose && 'no such symbol' }, async (t) => {
  const { picker } = await three(t)
  const pick = picker.pick()
  pick[Symbol.dispose]()
  pick.done(new Error('too late'))
  assert.strictEqual(picker.length, 3)
})
