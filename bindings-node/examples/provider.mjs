// A provider: it serves HTTP, and is found as `billing` while it does.

import { createServer } from 'node:http'
import { check, connect } from 'callsheet'

const client = await connect() // $CALLSHEET_URL, else local:
client.closeOnSignals() // withdraws on SIGTERM and Ctrl-C, then ends as usual

const server = createServer((_request, response) => response.end('paid\n'))
server.listen(0, '127.0.0.1', async () => {
  const registration = await client.register({
    service: 'billing',
    port: server.address().port,
    tags: ['v2'],
    metadata: { team: 'pay' },
    check: check.http('/health', { interval: 5000 }),
    ready: false,
  })
  await registration.ready() // published now; keeps trying if the registry is away
  console.log(`serving ${registration.instance.url}`)
})
