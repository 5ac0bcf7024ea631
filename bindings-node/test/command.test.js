// The command `callsheet` as the package brings it.
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const test = require('node:test')
const { connect } = require('..')
const { bin, version } = require('../package.json')
const { eventually, local, program } = require('./helpers')

const COMMAND = path.join(__dirname, '..', bin.callsheet)

async function command(args, env) {
  const told = program([COMMAND, ...args], env)
  return { ...told, ...(await told.ended), out: told.out, err: told.err }
}

test('lists, picks and says its version', async (t) => {
  const url = local()
  const client = await connect(url)
  t.after(() => client.close())
  await client.register({ service: 'billing', port: 8080, address: '10.0.0.1' })
  const env = { CALLSHEET_URL: url }
  assert.match((await command(['list'], env)).out, /billing/)
  const listed = JSON.parse((await command(['list', 'billing', '--json'], env)).out)
  assert.match(JSON.stringify(listed), /10\.0\.0\.1/)
  assert.strictEqual(
    (await command(['pick', 'billing', '--format', '{address}:{port}'], env)).out.trim(),
    '10.0.0.1:8080',
  )
  assert.ok((await command(['--version'])).out.includes(version))
  const wrong = await command(['lists'])
  assert.strictEqual(wrong.code, 2)
  assert.strictEqual((await command(['pick', 'nobody'], env)).code, 1)
})

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`run forwards ${signal} to its program, and withdraws`, async (t) => {
    const url = local()
    const client = await connect(url)
    t.after(() => client.close())
    const child =
      "process.on(process.argv[1], () => process.exit(9)); console.log('up'); process.stdin.on('end', () => process.exit(1)).resume()"
    const args = ['run', 'billing', '--port', '8080', '--', process.execPath, '-e', child, signal]
    const told = program([COMMAND, ...args], { CALLSHEET_URL: url })
    // Its program goes when its input does.
    t.after(() => told.child.kill('SIGKILL'))
    await eventually(() => told.out.includes('up'))
    told.child.kill(signal)
    const { code } = await told.ended
    assert.strictEqual(code, 9, told.err)
    assert.strictEqual((await client.lookup('billing')).length, 0)
  })
}
