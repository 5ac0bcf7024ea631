// The error class, and each code: reached, or how it would be.
'use strict'

const assert = require('node:assert')
const { readFileSync } = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const native = require('../lib/native')
const { decode, native: checked } = require('../lib/error')
const { CallsheetError, connect } = require('..')
const { client: connected, failure, local } = require('./helpers')

const CODES = native.codes().map((line) => line.split(' '))

test('codes and whether they are retryable are the core’s, and so are the types', () => {
  for (const [code, retryable] of CODES) {
    const error = new CallsheetError(code, 'message')
    assert.deepStrictEqual([error.code, String(error.retryable)], [code, retryable])
  }
  const types = readFileSync(path.join(__dirname, '..', 'index.d.ts'), 'utf8')
  const union = types.slice(types.indexOf('type Code ='), types.indexOf('/** Where a registration'))
  assert.deepStrictEqual(
    [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code),
    CODES.map(([code]) => code),
  )
})

test('an error is an Error that says what it is', () => {
  const error = new CallsheetError('timeout', 'late', { cause: new Error('slow') })
  assert.ok(error instanceof Error)
  assert.strictEqual(String(error), 'CallsheetError: late')
  assert.strictEqual(error.cause.message, 'slow')
  assert.deepStrictEqual(Object.keys(error), ['code', 'retryable'])
  assert.ok(!('cause' in new CallsheetError('closed', 'x')))
})

// What no registry of this version gives: credentials (`unauthenticated`), a fork (`forked`: Node never forks) and, where
// an aborted signal rejects with its own reason, `cancelled`. They come by the same way as every other.
for (const code of ['unauthenticated', 'permission_denied', 'forked', 'cancelled', 'internal']) {
  test(`${code} keeps its name on the way from the core`, () => {
    const cause = { message: 'Connection refused', errno: 111, cause: null }
    const error = decode(JSON.stringify({ code, message: 'no', retryable: false, cause }))
    assert.ok(error instanceof CallsheetError)
    assert.deepStrictEqual([error.code, error.message, error.retryable], [code, 'no', false])
    assert.deepStrictEqual([error.cause.code, error.cause.errno], ['ECONNREFUSED', -111])
  })
}

test('a panic in the core is internal, and nothing else', async (t) => {
  assert.throws(() => checked(native.panicOnPurpose), {
    name: 'CallsheetError',
    code: 'internal',
    message: /on purpose/,
  })
  const { client } = await connected(t)
  await client.ping()
})

test('a value that the native module does not take is internal, never a crash', () => {
  assert.throws(() => checked(native.clientPing, {}, 1), { code: 'internal' })
  assert.throws(() => checked(native.feedNext, 5), { code: 'internal' })
  assert.throws(() => checked(native.pickerOpen, {}, new Uint32Array(4)), { code: 'internal' })
})

test('protocol: a registry that answers nonsense', async (t) => {
  const url = local()
  require('node:fs').writeFileSync(
    url.replace('local://', ''),
    'this is no database, whatever its name says. '.repeat(100),
  )
  const client = await connect(url, { timeout: 2000 })
  t.after(() => client.close())
  const error = await failure(() => client.ping())
  assert.ok(['protocol', 'unavailable'].includes(error.code), error.code)
})

test('a cause of the system is an Error with its code', async () => {
  const error = await failure(async () => {
    const client = await connect('local:///proc/no-such-folder/registry.db', { timeout: 2000 })
    try {
      await client.ping()
    } finally {
      await client.close()
    }
  })
  assert.ok(error instanceof CallsheetError, error?.stack)
  const chain = []
  for (let cause = error; cause; cause = cause.cause) chain.push(cause.code)
  assert.ok(chain.length > 1, `${chain}`)
})

test('no secret is shown', async () => {
  for (const args of [
    ['memory:?token=hush&x=1'],
    ['etcd://user:hush@127.0.0.1:0/', { password: 'hush' }],
    ['memory:', { token: 'hush', tll: 1 }],
  ]) {
    const error = await failure(() => connect(...args))
    assert.ok(!`${error.stack}${error.message}`.includes('hush'), error.message)
  }
})
