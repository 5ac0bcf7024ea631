// Every name with its types: compiled, never run. What must not compile says so.
import callsheet, {
  CallsheetError,
  type Changes,
  type Check,
  type Client,
  type Code,
  check,
  connect,
  type Freshness,
  type Instance,
  Memory,
  type NamesWatch,
  onLog,
  type Pick,
  type Picker,
  type Registration,
  type Snapshot,
  type State,
  type Stats,
  type Status,
  type Stop,
  type Watch,
} from 'callsheet'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(_: Equal<A, B>): void {}

same<typeof callsheet.connect, typeof connect>(true)

const client: Client = await connect('memory:', {
  timeout: 1000,
  ttl: 5000,
  fallback: ['memory:b'],
  ref: true,
})
await connect()
await connect(null, { cacheSize: 10 })
await connect(new URL('memory:'))
// @ts-expect-error: no such option
await connect('memory:', { tll: 5 })
// @ts-expect-error: milliseconds, not text
await connect('memory:', { timeout: '5s' })

const checks: Check[] = [
  check.ttl({ deregisterCriticalAfter: 60_000 }),
  check.heartbeat(1000, { deregisterCriticalAfter: 60_000 }),
  check.tcp({ address: 'h', port: 1, interval: 100 }),
  check.http('/health', { timeout: 100 }),
  check.grpc(),
  check.grpc('/billing', { timeout: 100 }),
]
// @ts-expect-error: the interval is the point of it
check.heartbeat()

const registration: Registration = await client.register({
  service: 'billing',
  port: 8080,
  tags: new Set(['v2']),
  metadata: { team: 'pay' },
  check: checks[0],
  ready: false,
  onState: (state) => same<typeof state, State>(true),
  signal: AbortSignal.timeout(10),
})
// @ts-expect-error: the port is missing
await client.register({ service: 'billing' })
// @ts-expect-error: a port is a number
await client.register({ service: 'billing', port: '80' })
await registration.ready({ timeout: 10 })
await registration.wait('registered')
// @ts-expect-error: no such state
await registration.wait('ready')
await registration.update({ metadata: new Map([['a', 'b']]), tags: [], weight: 2 })
registration.beat()
await registration.setStatus('warning', { note: 'why' })
// @ts-expect-error: no such status
await registration.setStatus('bad')
await registration.drain()
same<typeof registration.state, State>(true)
same<typeof registration.lastError, CallsheetError | null>(true)
same<typeof registration.instance, Instance>(true)
await registration.close()
await client.deregister(client.registration('id').id)

const snapshot: Snapshot = await client.lookup('billing', { tags: ['v2'], zone: 'a', healthy: false })
for (const instance of snapshot) {
  same<typeof instance, Instance>(true)
  same<typeof instance.status, Status>(true)
  // @ts-expect-error: frozen
  instance.port = 1
  // @ts-expect-error: frozen
  instance.tags.push('x')
}
same<typeof snapshot.freshness, Freshness>(true)
const first: Instance | undefined = snapshot.at(0) ?? snapshot.get('id')
// @ts-expect-error: there may be none
snapshot.get('id').port
const changes: Changes = snapshot.changesSince(snapshot)
const all: Instance[] = [...snapshot, ...changes.added]

const watch: Watch = client.watch('billing', { signal: new AbortController().signal })
for await (const one of watch) same<typeof one, Snapshot>(true)
const names: NamesWatch = client.watchServices()
for await (const list of names) same<typeof list, readonly string[]>(true)
const stop: Stop = client.onChange('billing', (one) => console.log(one.length, one.lastError?.code), {
  ref: true,
})
stop()
stop.close()
await client.waitFor('billing', { count: 2, timeout: 10, version: '1' })
same<Awaited<ReturnType<Client['services']>>, readonly string[]>(true)

const picker: Picker = await client.picker('billing', { policy: 'round_robin' })
// @ts-expect-error: no such policy
await client.picker('billing', { policy: 'best' })
const pick: Pick = picker.pick()
const waited: Pick = await picker.pick({ timeout: 10 })
pick.done()
pick.done(new Error('x'))
waited.done('cancelled')
const answer: number = await picker.call(async ({ url }) => url.length, { attempts: 2, retryOn: () => true })
{
  await using scoped = await connect('memory:')
  await using _following = scoped.watch('billing')
  await using _registered = await scoped.register({ service: 'a', port: 1 })
  using _stop = scoped.onChange('billing', () => {})
  using chosen = picker.pick()
  chosen.id satisfies string
}
const stats: Stats = client.stats()
stats.publishes satisfies number
client.closeOnSignals()
await client.ping()
await client.close({ signal: AbortSignal.timeout(10) })

onLog(({ level, message }) => console.log(level, message), { level: 'debug' })()
new Memory('x').put({ service: 'a', port: 1, status: 'critical' })

try {
  await client.ping()
} catch (error) {
  if (error instanceof CallsheetError) {
    same<typeof error.code, Code>(true)
    error.retryable satisfies boolean
    if (error.code === 'unavailable') console.log(error.cause)
    // @ts-expect-error: no such code
    if (error.code === 'gone') console.log()
  }
}
console.log(first, all, answer)
