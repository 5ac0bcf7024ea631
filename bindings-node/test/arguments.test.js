// What is wrong in a call is said by the call: at once by those that answer at once, as a rejection by the others.
'use strict'

const assert = require('node:assert')
const test = require('node:test')
const { CallsheetError, check, connect, Memory, onLog } = require('..')
const { client: connected, failure, fresh } = require('./helpers')

const REGISTRATION = { service: 'billing', port: 80 }

test('connect rejects with config, and names the nearest option', async () => {
  for (const [args, words] of [
    [['memroy:'], 'memory'],
    [['memory:', { tll: 5000 }], 'did you mean ttl?'],
    [['memory:', { cacheSze: 5 }], 'did you mean cacheSize?'],
    [['memory:', { timeout: '5 parsecs' }], 'duration'],
    [['memory:', { timeout: 0 }], 'timeout'],
    [['memory:', { timeout: -1 }], '-1'],
    [['memory:', { timeout: Number.NaN }], 'NaN'],
    [['memory:', { ttl: 1 }], 'ttl'],
    [['memory:', { cacheSize: 1.5 }], 'whole number'],
    [['memory:', { token: 5 }], 'token'],
    [['memory:', { token: {} }], 'token'],
    [['memory:', { fallback: [5] }], 'fallback'],
    [['memory:', { ref: 1 }], 'ref'],
    [['memory:', { insecure: 'perhaps' }], 'true or false'],
    [['etcd://127.0.0.1:1', { insecure: true }], 'insecure is for TLS'],
    [['memory:', 5], 'options'],
    [[5], 'url'],
    [['memory:\ud800'], 'Unicode'],
    [['memory:?tll=5s'], 'did you mean ttl?'],
  ]) {
    const error = await failure(() => connect(...args))
    assert.ok(error instanceof CallsheetError, `${args}: ${error}`)
    assert.strictEqual(error.code, 'config', `${args}: ${error}`)
    assert.ok(error.message.includes(words), `${args}: ${error.message} has ${words}`)
  }
})

test('durations are milliseconds, and texts as in URLs', async (t) => {
  for (const timeout of [60, '60ms', '0.06s']) {
    const { memory, client } = await connected(t, { timeout })
    memory.slow(60_000)
    const error = await failure(() => client.ping())
    assert.match(error.message, /60ms/)
    memory.slow(0)
  }
})

test('connect takes a URL object, null and nothing', async (t) => {
  for (const url of [new URL('memory:a'), 'memory:a']) {
    const client = await connect(url)
    t.after(() => client.close())
    assert.strictEqual(client.source, 'memory:a')
  }
  process.env.CALLSHEET_URL = 'memory:from-the-environment'
  t.after(() => delete process.env.CALLSHEET_URL)
  for (const args of [[], [null], [undefined, {}], [undefined, undefined]]) {
    const client = await connect(...args)
    t.after(() => client.close())
    assert.strictEqual(client.source, 'memory:from-the-environment')
  }
})

const BAD = {
  'port 0': { ...REGISTRATION, port: 0 },
  'port 65536': { ...REGISTRATION, port: 65_536 },
  'port -1': { ...REGISTRATION, port: -1 },
  'port NaN': { ...REGISTRATION, port: Number.NaN },
  'port 1e300': { ...REGISTRATION, port: 1e300 },
  'port 80.5': { ...REGISTRATION, port: 80.5 },
  'port "80"': { ...REGISTRATION, port: '80' },
  'port 80n': { ...REGISTRATION, port: 80n },
  'port null': { ...REGISTRATION, port: null },
  'no port': { service: 'billing' },
  'no service': { port: 80 },
  nothing: undefined,
  'an array': [],
  'a service that is no text': { ...REGISTRATION, service: 5 },
  'a service with a NUL': { ...REGISTRATION, service: 'bil\0ling' },
  'a service with a lone surrogate': { ...REGISTRATION, service: 'a\ud800' },
  'an id with a NUL': { ...REGISTRATION, id: 'a\0b' },
  'an id of 257 bytes': { ...REGISTRATION, id: 'x'.repeat(257) },
  'an address with a NUL': { ...REGISTRATION, address: '10.0.0.1\0' },
  'metadata with a NUL': { ...REGISTRATION, metadata: { key: 'a\0b' } },
  'metadata of 1 MB': { ...REGISTRATION, metadata: { key: 'x'.repeat(1 << 20) } },
  '57 pairs': {
    ...REGISTRATION,
    metadata: Object.fromEntries([...Array(57).keys()].map((n) => [`k${n}`, ''])),
  },
  'metadata that is a list': { ...REGISTRATION, metadata: ['a'] },
  'metadata that is no text': { ...REGISTRATION, metadata: { a: 1 } },
  'tags that are a text': { ...REGISTRATION, tags: 'v2' },
  'tags without an end': {
    ...REGISTRATION,
    tags: (function* () {
      for (;;) yield 'x'
    })(),
  },
  'weight 0': { ...REGISTRATION, weight: 0 },
  'ttl 1 ms': { ...REGISTRATION, ttl: 1 },
  'ttl Infinity': { ...REGISTRATION, ttl: Number.POSITIVE_INFINITY },
  'a check that is none': { ...REGISTRATION, check: { kind: 'ttl' } },
  'ready that is no boolean': { ...REGISTRATION, ready: 'no' },
  'onState that is no function': { ...REGISTRATION, onState: 5 },
  'a signal that is none': { ...REGISTRATION, signal: {} },
  'a misspelt option': { ...REGISTRATION, waitforport: true },
}

for (const [what, given] of Object.entries(BAD)) {
  test(`register refuses ${what}`, async (t) => {
    const { client } = await connected(t)
    let returned
    assert.doesNotThrow(() => {
      returned = client.register(given)
    })
    const error = await failure(() => returned)
    assert.ok(error instanceof CallsheetError, `${error?.stack}`)
    assert.strictEqual(error.code, 'invalid_argument', error.message)
    assert.ok(error.message.length < 400, 'a message does not repeat a megabyte')
    assert.strictEqual(client.stats().registrations, 0)
  })
}

test('metadata and tags that are allowed come back as they were', async (t) => {
  const { client } = await connected(t)
  const metadata = { empty: '', words: 'für €𝄞', constructor: 'x', ['__proto__']: 'y' }
  await client.register({ ...REGISTRATION, metadata, tags: new Set(['ä', 'b']) })
  const [instance] = await client.lookup('billing')
  assert.deepStrictEqual(Object.entries(instance.metadata).sort(), Object.entries(metadata).sort())
  assert.deepStrictEqual(instance.tags, ['ä', 'b'])
})

test('what answers at once throws at once', async (t) => {
  const { client } = await connected(t)
  for (const call of [
    () => client.watch(5),
    () => client.watch('a/b'),
    () => client.watch('a', { tags: 5 }),
    () => client.watch('a', { zones: 'x' }),
    () => client.watchServices({ tags: [] }),
    () => client.onChange('a', 5),
    () => client.onChange('a/b', () => {}),
    () => client.registration(5),
    () => check.heartbeat(),
    () => check.heartbeat(-1),
    () => check.tcp({ address: 'h', ports: 1 }),
    () => check.http(),
    () => check.grpc(5),
    () => check.grpc({ interval: 100 }),
    () => check.ttl({ interval: 100 }),
    () => check.ttl({ deregisterCriticalAfter: -1 }),
    () => new Memory('a b'),
    () => new Memory(),
    () => fresh().put({ service: 'a', port: 0 }),
    () => fresh().unreachable('yes'),
    () => onLog(),
    () => onLog(() => {}, { level: 'loud' }),
  ]) {
    assert.throws(call, { name: 'CallsheetError', code: 'invalid_argument' }, `${call}`)
  }
})

test('what takes time rejects, and never throws', async (t) => {
  const { client } = await connected(t)
  const registration = await client.register(REGISTRATION)
  const picker = await client.picker('billing')
  for (const call of [
    () => client.lookup(5),
    () => client.lookup('a', { healthy: 'yes' }),
    () => client.waitFor('a', { count: -1 }),
    () => client.waitFor('a', { count: '2' }),
    () => client.waitFor('a', { timeout: -5 }),
    () => client.waitFor('a', { timeout: Number.NaN }),
    () => client.services({ x: 1 }),
    () => client.picker('a', { policy: 'best' }),
    () => client.picker('a', { policy: 5 }),
    () => client.ping(5),
    () => client.deregister(5),
    () => client.register({ ...REGISTRATION, port: 81, check: check.tcp({ address: 'h' }) }),
    () => client.register({ ...REGISTRATION, port: 81, check: check.http('health') }),
    () => client.register({ ...REGISTRATION, port: 81, check: check.grpc('billing') }),
    () =>
      client.register({ ...REGISTRATION, port: 81, check: check.ttl({ deregisterCriticalAfter: 59_999 }) }),
    () => registration.ready({ timeout: 'soon' }),
    () => registration.wait('ready'),
    () => registration.wait(),
    () => registration.update({ weight: 0 }),
    () => registration.update({ port: 1 }),
    () => registration.setStatus('good'),
    () => registration.setStatus('warning', { note: 'x'.repeat(513) }),
    () => picker.pick({ timeout: -1 }),
    () => picker.pick({ within: 1 }),
    () => picker.call(5),
    () => picker.call(() => {}, { attempts: 0 }),
  ]) {
    let returned
    assert.doesNotThrow(() => {
      returned = call()
    }, `${call}`)
    const error = await failure(() => returned)
    assert.strictEqual(error.code, 'invalid_argument', `${call}: ${error?.stack}`)
  }
})
