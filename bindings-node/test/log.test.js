// The log: nothing by default, a callback, or NODE_DEBUG.
'use strict'

const assert = require('node:assert')
const test = require('node:test')
const { run } = require('./helpers')

const program = (before, after = '') => `
const { connect, Memory, onLog } = require('.')
const main = async () => {
  ${before}
  const memory = new Memory('log')
  memory.refuse()
  const client = await connect('memory:log', { timeout: 500 })
  await client.register({ service: 'billing', port: 80 })
  ${after}
  await client.close()
}
main()
`

test('silent unless asked', async () => {
  const { status, out, err } = await run(program(''))
  assert.deepStrictEqual([status, out, err], [0, '', ''])
})

test('a callback gets the lines, of its level and above, until it is stopped', async () => {
  const before = `
    const lines = []
    const stop = onLog((line) => lines.push(line))`
  const after = `
    while (lines.length === 0) await new Promise(setImmediate)
    stop()
    console.log(JSON.stringify(lines))`
  const { status, out, err } = await run(program(before, after))
  assert.deepStrictEqual([status, err], [0, ''])
  const lines = JSON.parse(out)
  assert.ok(
    lines.every(({ level }) => ['warn', 'error'].includes(level)),
    out,
  )
  assert.ok(
    lines.some(({ message }) => message.includes('billing')),
    out,
  )
})

test('what was said while nobody listened is for nobody', async () => {
  const before = `
    const lines = []
    const until = async (condition) => { while (!condition()) await new Promise(setImmediate) }
    onLog((line) => lines.push(line))()`
  const after = `
    const heard = new Promise((resolve) => onLog(({ message }) => resolve(lines.push({ message }))))
    const other = await connect('memory:later', { timeout: 500 })
    new Memory('later').refuse()
    await other.register({ service: 'later', port: 80 })
    await heard
    await other.close()
    console.log(JSON.stringify(lines))`
  const { status, out, err } = await run(program(before, after))
  assert.deepStrictEqual([status, err], [0, ''])
  const lines = JSON.parse(out)
  assert.ok(
    lines.every(({ message }) => !message.includes('billing')),
    out,
  )
})

test('a callback that throws is a warning, and goes on', async () => {
  const before = "let calls = 0; onLog(() => { calls++; throw new Error('mine') }, { level: 'trace' })"
  const { status, err } = await run(program(before, 'while (calls < 1) await new Promise(setImmediate)'))
  assert.strictEqual(status, 0)
  assert.match(err, /mine/)
})

test('an async callback that rejects is a warning too', async () => {
  const before = "let calls = 0; onLog(async () => { calls++; throw new Error('mine') }, { level: 'trace' })"
  const { status, err } = await run(program(before, 'while (calls < 1) await new Promise(setImmediate)'))
  assert.strictEqual(status, 0)
  assert.match(err, /mine/)
})

test('NODE_DEBUG=callsheet writes to the standard error', async () => {
  const { status, out, err } = await run(
    program(
      '',
      'for (let n = 0; n < 50; n++) await new Promise(setImmediate); await client.ping().catch(() => {})',
    ),
    { env: { NODE_DEBUG: 'callsheet' } },
  )
  assert.deepStrictEqual([status, out], [0, ''])
  assert.match(err, /CALLSHEET \d+: warn /)
})
