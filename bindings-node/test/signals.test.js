// closeOnSignals: closes beside the program's own handlers, and without any the signal still ends the process.
'use strict'

const assert = require('node:assert')
const test = require('node:test')
const { connect } = require('..')
const { eventually, local, start } = require('./helpers')

const PRELUDE = `
const { connect } = require('.')
const main = async () => {
  const client = await connect()
  const states = (state) => console.log('state', state)
  await client.register({ service: 'billing', port: 80, onState: states, drain: Number(process.env.DRAIN ?? 0) })
  process.stdin.resume()
`

async function signalled(t, body, signals, env = {}) {
  const url = local()
  const client = await connect(url)
  t.after(() => client.close())
  const told = start(`${PRELUDE}${body}\n  console.log('up')\n}\nmain()`, {
    env: { CALLSHEET_URL: url, ...env },
  })
  await eventually(() => told.out.includes('up'))
  await client.waitFor('billing', { timeout: 10_000 })
  for (const [signal, condition] of signals) {
    await eventually(() => told.out.includes(condition))
    told.child.kill(signal)
  }
  const ended = await told.ended
  await eventually(async () => (await client.lookup('billing')).length === 0)
  return { ...told, ...ended }
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} closes, then ends the process as it would have`, async (t) => {
    const told = await signalled(t, 'client.closeOnSignals(); client.closeOnSignals()', [[signal, 'up']])
    assert.deepStrictEqual([told.signal, told.err], [signal, ''])
    assert.match(told.out, /state closed/)
  })

  test(`${signal} without being asked withdraws nothing, and ends the process`, async (t) => {
    const told = await signalled(t, '', [[signal, 'up']])
    assert.strictEqual(told.signal, signal)
    assert.doesNotMatch(told.out, /state closed/)
  })

  test(`a handler of the program’s own for ${signal} runs, and decides`, async (t) => {
    const body = `
      process.on('${signal}', async () => {
        console.log('mine')
        await client.close()
        console.log('closed')
        process.exit(7)
      })
      client.closeOnSignals()`
    const told = await signalled(t, body, [[signal, 'up']])
    assert.deepStrictEqual([told.code, told.err], [7, ''])
    assert.match(told.out, /mine.*closed/s)
  })
}

test('a second signal does not wait', async (t) => {
  const told = await signalled(
    t,
    'client.closeOnSignals()',
    [
      ['SIGTERM', 'up'],
      ['SIGTERM', 'state closed'],
    ],
    { DRAIN: '60000' },
  )
  assert.strictEqual(told.signal, 'SIGTERM')
  assert.ok(told.took < 20_000)
})

test('a client that was closed leaves no handler', async () => {
  const client = await connect('memory:')
  const before = process.listenerCount('SIGTERM')
  client.closeOnSignals()
  assert.strictEqual(process.listenerCount('SIGTERM'), before + 1)
  await client.close()
  assert.strictEqual(process.listenerCount('SIGTERM'), before)
})
