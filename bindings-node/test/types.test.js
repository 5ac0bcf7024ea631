// The types: a program that uses every name compiles, and what is exported is what they say.
'use strict'

const assert = require('node:assert')
const { execFile } = require('node:child_process')
const { readFileSync } = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const { promisify } = require('node:util')
const callsheet = require('..')
const { client: connected } = require('./helpers')

const ROOT = path.join(__dirname, '..')
const TYPES = readFileSync(path.join(ROOT, 'index.d.ts'), 'utf8')

test('a program that uses every name compiles under --strict, and its mistakes do not', async () => {
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  await promisify(execFile)(process.execPath, [tsc, '--project', path.join(ROOT, 'test', 'types')]).catch(
    (error) => assert.fail(error.stdout + error.stderr),
  )
})

test('what is exported is what the types say', () => {
  const values = [...TYPES.matchAll(/^export (?:class|function|const) (\w+)/gm)].map(([, name]) => name)
  assert.deepStrictEqual(Object.keys(callsheet).sort(), values.sort())
})

/** The members of an interface, by its name. */
function members(name) {
  const body = new RegExp(`export (?:interface|class) ${name}\\b[^{]*\\{(.*?)\\n\\}`, 's').exec(TYPES)[1]
  return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?]?[:(<]/gm)].map(([, member]) => member)
}

function has(object, name) {
  const missing = members(name).filter((member) => member !== 'constructor' && !(member in object))
  assert.deepStrictEqual(missing, [], name)
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).concat(Object.keys(object))
  const untold = own.filter(
    (member) => !/^(constructor|toString)$/.test(member) && !members(name).includes(member),
  )
  return untold
}

test('every object has what its type says, and no more', async (t) => {
  const { memory, client } = await connected(t)
  const registration = await client.register({ service: 'billing', port: 80 })
  const snapshot = await client.lookup('billing')
  const picker = await client.picker('billing')
  assert.deepStrictEqual(has(client, 'Client'), [])
  assert.deepStrictEqual(has(registration, 'Registration'), [])
  assert.deepStrictEqual(has(snapshot, 'Snapshot'), [])
  assert.deepStrictEqual(has(snapshot.at(0), 'Instance'), [])
  assert.deepStrictEqual(
    has(snapshot.changesSince(snapshot), 'Changes').filter((name) => !(name in {})),
    [],
  )
  assert.deepStrictEqual(has(picker, 'Picker'), [])
  assert.deepStrictEqual(has(picker.pick(), 'Pick'), [])
  assert.deepStrictEqual(has(memory, 'Memory'), [])
  assert.deepStrictEqual(has(client.watch('billing'), 'Follow'), [])
  assert.deepStrictEqual(
    has(client.stats(), 'Stats').filter((name) => !(name in {})),
    [],
  )
})
