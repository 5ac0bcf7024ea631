// Closing clients on SIGTERM and SIGINT, beside whatever the program does on these signals.
'use strict'

const { isMainThread } = require('node:worker_threads')
const { invalid } = require('./error')
const { warn } = require('./log')

const SIGNALS = ['SIGTERM', 'SIGINT']

/** Clients to close. */
const clients = new Set()
let handling = false

function closeOnSignals(client) {
  if (!isMainThread) throw invalid('signals come to the main thread only: call closeOnSignals there')
  for (const signal of SIGNALS) {
    if (!process.listeners(signal).includes(handle)) process.on(signal, handle)
  }
  clients.add(client)
}

/** A client was closed. */
function closed(client) {
  if (clients.delete(client) && clients.size === 0 && !handling) stop()
}

function stop() {
  for (const signal of SIGNALS) process.removeListener(signal, handle)
}

async function handle(signal) {
  // A second signal does not wait for what the first one began.
  if (!handling) {
    handling = true
    const late = (client) => (error) => warn(`closing ${client.source} on ${signal}: ${error.message}`)
    await Promise.all([...clients].map((client) => client.close().catch(late(client))))
    handling = false
  }
  const alone = process.listeners(signal).every((listener) => listener === handle)
  stop()
  // Without a handler of the program's own the signal does what it would have done.
  if (alone) process.kill(process.pid, signal)
}

module.exports = { closeOnSignals, closed }
