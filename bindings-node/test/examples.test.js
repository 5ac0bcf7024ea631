// The examples, as they are written: a provider and a consumer that find each other.
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const test = require('node:test')
const { eventually, local, program } = require('./helpers')

const example = (name) => path.join(__dirname, '..', 'examples', `${name}.mjs`)

test('the consumer finds the provider, and sees it go', async (t) => {
  const env = { CALLSHEET_URL: local() }
  const provider = program([example('provider')], env)
  t.after(() => provider.child.kill('SIGKILL'))
  const consumer = program([example('consumer')], env)
  t.after(() => consumer.child.kill('SIGKILL'))
  await eventually(() => consumer.out.includes('live'), 30_000)
  provider.child.kill('SIGTERM')
  assert.strictEqual((await provider.ended).signal, 'SIGTERM')
  const { code } = await consumer.ended
  assert.deepStrictEqual([code, consumer.err, provider.err], [0, '', ''])
  assert.match(provider.out, /^serving http:\/\/127\.0\.0\.1:\d+\n$/)
  assert.match(consumer.out, /127\.0\.0\.1:\d+ 127\.0\.0\.1 \d+ \{ team: 'pay' \}\npaid\npaid\n/)
  assert.match(consumer.out, /\[\]\n/)
})
