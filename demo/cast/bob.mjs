// The Node.js member of the cast: node bob.mjs NAME. What it says is told in ada.py.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../bindings-node/index.mjs'

const name = process.argv[2]
const CALLERS = 2

const say = (...words) => console.log(...words)

const server = createServer(async (_request, response) => {
  await sleep(5) // the work of a call
  response.end(`${name}\n`)
})
await once(server.listen(0, '127.0.0.1'), 'listening')

const terminated = once(process, 'SIGTERM')
const client = await connect()
// The drain leaves calls that were already on their way the time to arrive and end.
const registration = await client.register({
  service: 'greeter',
  port: server.address().port,
  metadata: { name, in: 'Node.js' },
  ready: false,
  drain: 500,
})
say('joining')
await registration.ready()

const picker = await client.picker('greeter', { policy: 'p2c' })
const called = new Map()
let [answered, retried, failed, stopped] = [0, 0, 0, false]

async function call() {
  while (!stopped) {
    let attempts = 0
    const get = async ({ url }) => {
      attempts += 1
      const answer = await fetch(url, { signal: AbortSignal.timeout(5000) })
      return (await answer.text()).trim()
    }
    try {
      // A GET may be repeated, so a call that was cut, wherever, is worth a second attempt as well.
      const other = await picker.call(get, { attempts: 2, retryOn: () => true })
      called.set(other, (called.get(other) ?? 0) + 1)
      answered += 1
      retried += attempts > 1
    } catch (error) {
      failed += 1
      say('failed', `${error}: ${error.cause}`)
    }
  }
}

const tell = () => say('calls', answered, retried, failed)
const telling = setInterval(tell, 100)
const calling = Array.from({ length: CALLERS }, call)
await terminated
stopped = true
await Promise.all(calling)
clearInterval(telling)
tell()
say('leaving')
await registration.close()
for (const [other, times] of called) say('called', other, times)
await client.close()
server.close()
server.closeIdleConnections()
