// What is opened and closed ten thousand times leaves nothing behind: no memory, no thread, no descriptor.
'use strict'

const assert = require('node:assert')
const test = require('node:test')
const { run } = require('./helpers')

const PRELUDE = `
const assert = require('node:assert')
const { readdirSync } = require('node:fs')
const { connect, Memory } = require('.')
// What V8 has set aside for its heap follows its own rules; what lives in it counts, and all that is not its heap.
const resident = () => {
  for (let n = 0; n < 3; n++) global.gc()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return { native: (rss - heapTotal) / 1e6, heap: heapUsed / 1e6 }
}
const counts = () => [readdirSync('/proc/self/task').length, readdirSync('/proc/self/fd').length]
const cycles = async (times, abreast, cycle) => {
  for (let n = 0; n < times; n += abreast) {
    await Promise.all(Array.from({ length: abreast }, (_, at) => cycle(n + at)))
  }
  // Finalizers run in turns of the loop of their own.
  for (let n = 0; n < 5; n++) { global.gc(); await new Promise(setImmediate) }
}
// The first rounds fill caches, the allocator's among them, and what is resident jumps about; but what leaks grows in
// every round.
const flat = async (times, abreast, cycle) => {
  const seen = []
  for (let round = 0; round < 10; round++) {
    await cycles(times / 2, abreast, cycle)
    seen.push({ ...resident(), counts: String(counts()) })
    const [before, after] = seen.slice(-2)
    const steady = round >= 2 && before.counts === after.counts
    if (steady && after.native - before.native < 2 && after.heap - before.heap < 0.5) return
  }
  assert.fail(JSON.stringify(seen))
}
const main = async () => {
`

const CYCLES = {
  'ten thousand clients with everything': [
    10_000,
    20,
    `async (n) => {
      const client = await connect('memory:cycles')
      const registration = await client.register({ service: 'billing', port: 1 + n % 20, onState: () => {} })
      const watch = client.watch('billing')
      await watch.next()
      const stop = client.onChange('billing', () => {})
      ;(await client.picker('billing')).pick().done()
      ;[...(await client.lookup('billing'))]
      stop()
      watch.close()
      await registration.close()
      await client.close()
    }`,
  ],
  'ten thousand clients that are only closed': [
    10_000,
    20,
    `async (n) => {
      const client = await connect('memory:cycles')
      client.watch('billing').next()
      client.onChange('billing', () => {})
      await client.register({ service: 'billing', port: 1 + n % 20 })
      await client.close()
    }`,
  ],
  'ten thousand watches, picks and aborted calls of one client': [
    10_000,
    1,
    `async () => {
      global.client ??= await connect('memory:one')
      global.memory ??= new Memory('one')
      global.memory.put({ service: 'billing', port: 1 })
      global.picker ??= await global.client.picker('billing')
      for await (const snapshot of global.client.watch('billing')) { [...snapshot]; break }
      global.client.watch('billing')
      for (let n = 0; n < 20; n++) global.picker.pick().done()
      const controller = new AbortController()
      const waiting = global.client.waitFor('nobody', { signal: controller.signal })
      controller.abort()
      await waiting.catch(() => {})
    }`,
  ],
  'ten thousand changes of a thousand instances, each looked into': [
    10_000,
    1,
    `async (n) => {
      global.client ??= await connect('memory:changes')
      global.memory ??= new Memory('changes')
      if (n === 0) for (let port = 1; port <= 1000; port++) global.memory.put({ service: 'billing', port })
      global.watch ??= global.client.watch('billing')
      global.memory.put({ service: 'billing', port: 1 + (n % 1000), metadata: { n: String(n) } })
      ;(await global.watch.next()).value.at(0)
    }`,
  ],
}

for (const [what, [times, abreast, cycle]] of Object.entries(CYCLES)) {
  test(what, { skip: process.platform !== 'linux' && 'reads /proc' }, async () => {
    const code = `${PRELUDE}  await flat(${times}, ${abreast}, ${cycle})\n}\nmain()`
    const { status, err } = await run(code, { args: ['--expose-gc'], within: 120_000 })
    assert.deepStrictEqual([status, err], [0, ''])
  })
}
