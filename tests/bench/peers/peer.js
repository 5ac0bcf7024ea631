// What the peers in Node do alike: each is what a program writes that follows a service with a client of its registry, and
// hopes for the best. Led by `bench.py`.
'use strict'

const readline = require('node:readline')

/** The instance that changes while arrivals are noted. */
const CHANGED = '10.0.0.25:8080'

const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Waits for the next line of the input, and says whether there was one. */
const line = async () => !(await input.next()).done

/** Notes when each change was there, and says for each line what it noted since the last one. */
async function arrive(peer, endpoint, place) {
  const noted = []
  await peer.follow(peer.connect(endpoint), place, (instances) => {
    const at = process.hrtime.bigint()
    noted.push([peer.metadata(instances.get(CHANGED)).n, at])
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
async function first(peer, endpoint, place) {
  while (await line()) {
    const began = performance.now()
    const client = peer.connect(endpoint)
    const instances = await peer.list(client, place)
    let read = 0
    for (const instance of instances.values()) read += peer.id(instance).length
    console.log(performance.now() - began, read)
    peer.close(client)
  }
}

/** What many instances weigh. */
async function hold(peer, endpoint, place) {
  const client = peer.connect(endpoint)
  await peer.list(client, 'nobody')
  global.gc()
  console.log('empty')
  await line()
  let held
  await peer.follow(client, place, (instances) => {
    held = instances
  })
  global.gc()
  console.log(held.size)
  await line()
}

const MODES = { arrive, first, hold }

/**
 * Plays a peer: `connect`, `list` and `follow` (calls back with the first list too, before it resolves) give a map by what
 * `CHANGED` names one of; `id`, `metadata` and `close`.
 */
exports.main = async (peer) => {
  const [mode, endpoint, place] = process.argv.slice(2)
  await MODES[mode](peer, endpoint, place)
  // What follows has no end.
  process.exit()
}
