// The package by `require`: compiled, never run.
import callsheet = require('callsheet')

export async function use(): Promise<callsheet.Snapshot> {
  const client: callsheet.Client = await callsheet.connect()
  return client.lookup('billing')
}
