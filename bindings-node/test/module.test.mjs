// One module, by `import` and by `require`.
import assert from 'node:assert'
import { createRequire } from 'node:module'
import test from 'node:test'
import callsheet, * as named from 'callsheet'

const required = createRequire(import.meta.url)('callsheet')

test('import gives out the very objects of require', () => {
  assert.strictEqual(callsheet, required)
  const { default: _, ...names } = named
  assert.deepStrictEqual(Object.keys(names).sort(), Object.keys(required).sort())
  for (const name of Object.keys(names)) assert.strictEqual(named[name], required[name])
})

test('the program of the guide, in modules', async () => {
  const client = await named.connect('memory:')
  await client.register({ service: 'billing', port: 8080 })
  for await (const snapshot of client.watch('billing')) {
    assert.strictEqual(snapshot.length, 1)
    break
  }
  await client.close()
})
