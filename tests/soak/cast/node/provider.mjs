// Listens, says who it is to all who connect, and is registered meanwhile. What it says is told in blocking.py.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { now, say } from './words.mjs'

export class Provider {
  #id
  #registration
  #server

  static async start(client, { slot, service, address, port, id, ttl, n }) {
    const provider = new Provider()
    provider.#id = id
    provider.#registration = await client.register({
      service,
      address,
      port,
      id,
      ttl: ttl * 1000,
      metadata: { n: String(n) },
      waitForPort: true,
      drain: 500,
      onState: (state) => say({ slot, state }),
    })
    provider.#server = createServer((connection) => {
      connection.on('error', () => {}) // who called was killed meanwhile
      connection.end(`${id}\n`)
    })
    await once(provider.#server.listen(port, address), 'listening')
    say({ listens: id, at: now() })
    return provider
  }

  // Withdraws, lets calls arrive that are on their way, and listens no more.
  async end() {
    try {
      await this.#registration.close()
    } catch (error) {
      if (error.code !== 'timeout') throw error
      // The registry could not be told; it goes with its TTL.
    }
    say({ leaves: this.#id, at: now() })
    this.#server.close()
  }
}
