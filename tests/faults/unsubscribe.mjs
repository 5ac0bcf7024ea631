// `node unsubscribe.mjs URL ROUNDS`: each callback of service `a` ends its own subscription, begins the next one, and asks
// and watches in between.
import assert from 'node:assert/strict'
import { connect } from '../../bindings-node/index.mjs'

const [url, rounds] = [process.argv[2], Number(process.argv[3])]
const client = await connect(url)
await client.waitFor('a')

let round = 0
await new Promise((resolve, reject) => {
  let stop
  const changed = async () => {
    round += 1
    stop()
    for await (const snapshot of client.watch('b')) {
      assert.equal(snapshot.length, 0)
      break
    }
    assert.equal((await client.lookup('a')).length, 1)
    const other = client.onChange('b', () => {})
    if (round === rounds) {
      resolve()
    } else {
      stop = client.onChange('a', (snapshot) => changed(snapshot).catch(reject))
    }
    other()
  }
  stop = client.onChange('a', (snapshot) => changed(snapshot).catch(reject), { ref: true })
})
assert.equal(client.stats().subscribers, 0)
await client.close()
console.log(`${round} rounds`)
