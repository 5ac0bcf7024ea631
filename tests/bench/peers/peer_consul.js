// npm's consul: its watch asks for what changed after the last index, and gets the whole list of those that pass.
'use strict'

const Consul = require('consul')
const { main } = require('./peer')

function connect(endpoint) {
  const [host, port] = endpoint.split(':')
  return new Consul({ host, port: Number(port) })
}

/** Entries by host:port, since ids are unique per agent only. */
const mapped = (entries) =>
  new Map(entries.map((entry) => [`${entry.Service.Address}:${entry.Service.Port}`, entry]))

const list = async (client, service) => mapped(await client.health.service({ service, passing: true }))

function follow(client, service, changed) {
  const watch = client.watch({ method: client.health.service, options: { service, passing: true } })
  return new Promise((resolve, reject) => {
    watch.on('change', (entries) => {
      changed(mapped(entries))
      resolve()
    })
    watch.on('error', reject)
  })
}

const id = (entry) => entry.Service.ID
const metadata = (entry) => entry.Service.Meta
const close = (client) => client.destroy()

main({ connect, list, follow, id, metadata, close })
