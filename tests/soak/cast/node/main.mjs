// Watchers, a caller or a provider in Node.js: node --expose-gc main.mjs URL. What they read and say is told in
// blocking.py: `watch`, `call` and `serve`, each once.

import { createInterface } from 'node:readline'
import { connect } from '../../../../bindings-node/index.mjs'
import { Caller } from './caller.mjs'
import { Provider } from './provider.mjs'
import { say } from './words.mjs'

const client = await connect(process.argv[2])
const following = []
const others = []

async function follow(name, watch) {
  for await (const snapshot of watch) {
    const instances = [...snapshot].map((i) => `${i.id} ${i.metadata.n ?? ''} ${i.status}`)
    say({ saw: name, revision: snapshot.revision, freshness: snapshot.freshness, instances })
  }
}

async function obey(command) {
  const { do: what, watcher, service, healthy } = command
  if (what === 'watch') following.push(follow(watcher, client.watch(service, { healthy })))
  if (what === 'call') others.push(new Caller(await client.picker(service)))
  if (what === 'serve') others.push(await Provider.start(client, command))
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  try {
    await obey(command)
    say({ did: command.number })
  } catch (error) {
    say({ did: command.number, failed: `${command.do}: ${error}` })
  }
}
for (const other of others) await other.end()
await client.close()
await Promise.all(following)
