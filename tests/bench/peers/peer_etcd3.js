// npm's etcd3, beside which `etcd.py` prints callsheet in Node: what a program writes that follows a service with it, and
// hopes for the best. It reads a prefix, watches from there on, decodes and keeps a map.
'use strict'

const readline = require('node:readline')
const { Etcd3 } = require('etcd3')

/** The instance that changes while arrivals are noted. */
const CHANGED = '10.0.0.25:8080'

const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Waits for the next line of the input, and says whether there was one. */
const line = async () => !(await input.next()).done

/** A client that takes answers of any size. */
function connect(endpoint) {
  return new Etcd3({ hosts: `http://${endpoint}`, grpcOptions: { 'grpc.max_receive_message_length': -1 } })
}

/** What is there, by what follows the prefix, and as of when. */
async function list(client, prefix) {
  const answer = await client.getAll().prefix(prefix).exec()
  const instances = new Map()
  for (const kv of answer.kvs) instances.set(kv.key.toString().slice(prefix.length), JSON.parse(kv.value))
  return [instances, answer.header.revision]
}

/** Calls back with each change that is in the map. */
async function follow(client, prefix, changed) {
  const [instances, revision] = await list(client, prefix)
  const watcher = await client
    .watch()
    .prefix(prefix)
    .startRevision(String(BigInt(revision) + 1n))
    .create()
  watcher.on('put', (kv) => {
    instances.set(kv.key.toString().slice(prefix.length), JSON.parse(kv.value))
    changed(instances)
  })
  watcher.on('delete', (kv) => {
    instances.delete(kv.key.toString().slice(prefix.length))
    changed(instances)
  })
  changed(instances)
}

/** Notes when each change was there, and says for each line what it noted since the last one. */
async function arrive(client, prefix) {
  const noted = []
  await follow(client, prefix, (instances) => {
    const at = process.hrtime.bigint()
    noted.push([instances.get(CHANGED).metadata.n, at])
  })
  console.log('ready')
  while (await line())
    console.log(
      noted
        .splice(0)
        .map(([n, at]) => `${n}:${at}`)
        .join(' '),
    )
}

/** Says how long each way from nothing to the first list took. */
async function first(_, prefix, endpoint) {
  while (await line()) {
    const began = performance.now()
    const client = connect(endpoint)
    const [instances] = await list(client, prefix)
    let read = 0
    for (const instance of instances.values()) read += instance.id.length
    console.log(performance.now() - began, read)
    client.close()
  }
}

/** What many instances weigh. */
async function hold(client, prefix) {
  await list(client, '/nobody/')
  global.gc()
  console.log('empty')
  await line()
  let held
  await follow(client, prefix, (instances) => {
    held = instances
  })
  global.gc()
  console.log(held.size)
  await line()
}

const MODES = { arrive, first, hold }

async function main() {
  const [mode, endpoint, prefix] = process.argv.slice(2)
  const client = connect(endpoint)
  await MODES[mode](client, prefix, endpoint)
  // Its watches go on after `close`.
  process.exit()
}

main()
