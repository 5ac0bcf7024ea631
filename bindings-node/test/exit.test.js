// The end of the process: what holds it open, and that registrations are withdrawn within a second, whatever runs.
'use strict'

const assert = require('node:assert')
const test = require('node:test')
const { connect } = require('..')
const { eventually, local, run, start } = require('./helpers')

/** One second is promised; starting Node counts too. */
const LIMIT = 6000

const PRELUDE = `
const { connect, Memory } = require('.')
const main = async () => {
  const client = await connect(process.env.CALLSHEET_URL ?? 'memory:exit')
`
const program = (body) => `${PRELUDE}${body}\n}\nmain()`

const ENDS = {
  nothing: '',
  'an open client': 'await client.ping()',
  'a registration': "await client.register({ service: 'billing', port: 80 })",
  'a watch that nobody reads':
    "const watch = client.watch('billing'); await watch.next(); global.kept = watch",
  'a watch of names': 'global.kept = client.watchServices(); await global.kept.next()',
  'a callback': "client.onChange('billing', () => {}); await client.lookup('billing')",
  'a picker': "global.kept = await client.picker('billing')",
  'picks without report': `
    new Memory('exit').put({ service: 'billing', port: 1 })
    const picker = await client.picker('billing')
    for (let n = 0; n < 100; n++) picker.pick()`,
  'a log': "require('.').onLog(() => {}, { level: 'trace' })",
  'signals that were asked for': 'client.closeOnSignals()',
  'a callback of states': "await client.register({ service: 'billing', port: 80, onState: () => {} })",
  'a closed client that held it': `
    const other = await connect('memory:exit', { ref: true })
    other.watch('billing', { ref: true })
    other.onChange('billing', () => {}, { ref: true })
    await other.register({ service: 'billing', port: 80, ref: true })
    await other.close()`,
  'closed things that held it': `
    client.watch('billing', { ref: true }).close()
    client.watchServices({ ref: true }).close()
    client.onChange('billing', () => {}, { ref: true })()
    await (await client.register({ service: 'billing', port: 80, ref: true })).close()`,
}

for (const [what, body] of Object.entries(ENDS)) {
  test(`the process does not stay for ${what}`, async () => {
    const { status, took, err } = await run(program(body))
    assert.deepStrictEqual([status, err], [0, ''])
    assert.ok(took < LIMIT, `${took} ms`)
  })
}

const STAYS = {
  'the next of a loop': "for await (const _ of client.watch('billing')) console.log('up')",
  'the next of the names': "for await (const _ of client.watchServices()) console.log('up')",
  'a call': "console.log('up'); await client.waitFor('nobody')",
  'a pick that waits':
    "const picker = await client.picker('nobody'); console.log('up'); await picker.pick({ timeout: 1e6 })",
  'a client with ref': "await connect('memory:', { ref: true }); console.log('up')",
  'a watch with ref': "client.watch('billing', { ref: true }); console.log('up')",
  'names with ref': "client.watchServices({ ref: true }); console.log('up')",
  'a callback with ref': "client.onChange('billing', () => {}, { ref: true }); console.log('up')",
  'a registration with ref': "await client.register({ service: 'x', port: 1, ref: true }); console.log('up')",
}

for (const [what, body] of Object.entries(STAYS)) {
  test(`the process stays for ${what}`, async () => {
    const told = start(program(body))
    await eventually(() => told.out.includes('up'))
    let ended = false
    told.ended.then(() => {
      ended = true
    })
    // Nothing is to happen: as long as it takes a process that does not stay to end.
    await run(program(''))
    assert.ok(!ended, told.err)
    told.child.kill('SIGKILL')
    await told.ended
  })
}

const EVERYTHING = `
  const registration = await client.register({ service: 'billing', port: 80, onState: () => {} })
  process.on('exit', () => console.log('at the end', registration.state))
  const watch = client.watch('billing')
  await watch.next()
  watch.next().catch(() => {})
  client.onChange('billing', () => {})
  client.waitFor('nobody').catch(() => {})
  const picker = await client.picker('billing')
  picker.pick()
  console.log('up')
`

const ENDINGS = {
  'process.exit': ['process.exit(3)', 3],
  'process.exit in a callback': [
    "client.onChange('billing', () => process.exit(3)); await new Promise(() => {})",
    3,
  ],
  'an exception that nobody catches': ["setImmediate(() => { throw new Error('on purpose') })", 1],
  'a rejection that nobody handles': ["Promise.reject(new Error('on purpose'))", 1],
}

for (const [what, [ending, wanted]] of Object.entries(ENDINGS)) {
  test(`${what} withdraws, with everything live`, async (t) => {
    const url = local()
    const client = await connect(url)
    t.after(() => client.close())
    const told = start(program(EVERYTHING + ending), { env: { CALLSHEET_URL: url } })
    const { code, signal, took } = await told.ended
    assert.deepStrictEqual([code, signal], [wanted, null], told.err)
    assert.ok(took < LIMIT, `${took} ms`)
    assert.match(told.out, /up.*at the end closed/s)
    assert.strictEqual((await client.lookup('billing')).length, 0)
  })
}

test('the end waits for what does not end for a second at most', async () => {
  const { status, took } = await run(
    program("await client.register({ service: 'billing', port: 80, drain: 60_000 })"),
  )
  assert.strictEqual(status, 0)
  assert.ok(took >= 1000 && took < LIMIT, `${took} ms`)
})

test('a registration outlives the last mention of its client', async (t) => {
  const url = local()
  const client = await connect(url)
  t.after(() => client.close())
  const told = start(
    program(`
      await client.register({ service: 'billing', port: 80 })
      setImmediate(() => {
        for (let n = 0; n < 5; n++) global.gc()
        console.log('up')
        process.stdin.resume()
      })`),
    { args: ['--expose-gc'], env: { CALLSHEET_URL: url } },
  )
  await eventually(() => told.out.includes('up'))
  assert.strictEqual((await client.waitFor('billing', { timeout: 10_000 })).length, 1)
  told.child.stdin.end()
  assert.strictEqual((await told.ended).code, 0)
  await eventually(async () => (await client.lookup('billing')).length === 0)
})

test('no rejection is left to nobody when everything is closed', async () => {
  const { status, err } = await run(
    program(`
      const memory = new Memory('exit')
      const registration = await client.register({ service: 'billing', port: 80, ready: false })
      registration.ready()
      client.watch('billing').next()
      client.onChange('billing', () => {})
      for await (const _ of client.watch('billing', { signal: AbortSignal.timeout(1e6) })) break
      await registration.close()
      memory.unreachable()
      client.watch('other').next()
      const held = await client.register({ service: 'held', port: 80, ready: false })
      held.ready()
      await client.close()`),
  )
  assert.deepStrictEqual([status, err], [0, ''])
})
