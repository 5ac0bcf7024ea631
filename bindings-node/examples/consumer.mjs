// A consumer: it finds `billing`, calls it, and follows it until it is gone.

import { connect } from 'callsheet'

const client = await connect() // $CALLSHEET_URL, else local:
try {
  await client.waitFor('billing', { count: 1, timeout: 10_000 })
  for (const instance of await client.lookup('billing', { tags: ['v2'] })) {
    console.log(instance.id, instance.address, instance.port, instance.metadata)
  }

  const picker = await client.picker('billing', { policy: 'p2c' })
  const pick = picker.pick()
  try {
    const response = await fetch(`${pick.url}/invoices`)
    console.log((await response.text()).trim())
    pick.done()
  } catch (error) {
    pick.done(error)
    throw error
  }
  // The same in one call, with another instance if one can't be reached.
  const answer = await picker.call(async ({ url }) => (await fetch(url)).text(), { attempts: 2 })
  console.log(answer.trim())

  const stop = client.onChange('billing', (snapshot) => console.log(snapshot.length, snapshot.freshness))
  for await (const snapshot of client.watch('billing')) {
    console.log(
      snapshot.revision,
      [...snapshot].map((i) => i.id),
    )
    if (snapshot.length === 0) break
  }
  stop()
} finally {
  await client.close() // withdraws what this client registered
}
