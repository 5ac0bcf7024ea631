// npm's etcd3: it reads a prefix, watches from there on, decodes and keeps a map.
'use strict'

const { Etcd3 } = require('etcd3')
const { main } = require('./peer')

/** A client that takes answers of any size. */
function connect(endpoint) {
  return new Etcd3({ hosts: `http://${endpoint}`, grpcOptions: { 'grpc.max_receive_message_length': -1 } })
}

/** What is there, by what follows the prefix, and as of when. */
async function read(client, prefix) {
  const answer = await client.getAll().prefix(prefix).exec()
  const instances = new Map()
  for (const kv of answer.kvs) instances.set(kv.key.toString().slice(prefix.length), JSON.parse(kv.value))
  return [instances, answer.header.revision]
}

const list = async (client, prefix) => (await read(client, prefix))[0]

async function follow(client, prefix, changed) {
  const [instances, revision] = await read(client, prefix)
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

const id = (instance) => instance.id
const metadata = (instance) => instance.metadata
const close = (client) => client.close()

main({ connect, list, follow, id, metadata, close })
