// Watchers in Node.js: node watcher.mjs URL. What they read and say is told in blocking.py: `watch`, each once.

import { createInterface } from 'node:readline'
import { connect } from '../../../bindings-node/index.mjs'

const say = (words) => console.log(JSON.stringify(words))
const client = await connect(process.argv[2])
const following = []

async function follow(name, watch) {
  for await (const snapshot of watch) {
    const instances = [...snapshot].map((i) => `${i.id} ${i.metadata.n ?? ''} ${i.status}`)
    say({ saw: name, revision: snapshot.revision, freshness: snapshot.freshness, instances })
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { number, watcher, service, healthy } = JSON.parse(line)
  following.push(follow(watcher, client.watch(service, { healthy })))
  say({ did: number })
}
await client.close()
await Promise.all(following)
