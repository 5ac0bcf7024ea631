// What the tests share: registries of their own, programs of their own, and waiting for conditions instead of moments.
'use strict'

const assert = require('node:assert')
const { spawn } = require('node:child_process')
const { mkdtempSync, rmSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { Memory, connect } = require('..')

let numbers = 0

/** The name of a registry in memory that no other test has. */
function fresh() {
  return new Memory(`test-${process.pid}-${numbers++}`)
}

/** A registry in memory and a client of it, closed after the test. */
async function client(t, options) {
  const memory = fresh()
  const made = await connect(memory.url, options)
  t.after(() => made.close())
  return { memory, client: made }
}

/** A `local:` registry that no other test has; its folder goes with this process, when all clients are closed. */
function local() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'callsheet-node-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return `local://${folder}/registry.db`
}

/** Waits until `condition` is true; what it says is given back. */
async function eventually(condition, within = 10_000) {
  const end = performance.now() + within
  for (;;) {
    const value = await condition()
    if (value) return value
    assert.ok(performance.now() < end, `not within ${within} ms: ${condition}`)
    await pause(5)
  }
}

/** Starts a program of its own, in this folder's package. */
function start(code, { args = [], env = {}, esm = false } = {}) {
  const kind = esm ? ['--input-type=module'] : []
  return program([...kind, ...args, '-e', code], env)
}

/** Starts node with these arguments, and follows what it says. */
function program(args, env = {}) {
  const root = path.join(__dirname, '..')
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CALLSHEET|NODE_)/.test(name)),
  )
  const child = spawn(process.execPath, args, { cwd: root, env: { ...clean, ...env } })
  const told = { child, out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    told.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    told.err += text
  })
  const began = performance.now()
  told.ended = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, took: performance.now() - began }))
  })
  return told
}

/** Runs a program of its own to its end, which has to come in time and be a good one. */
async function run(code, { within = 30_000, ...options } = {}) {
  const told = start(code, options)
  const timer = setTimeout(() => told.child.kill('SIGKILL'), within)
  const { code: status, signal, took } = await told.ended
  clearTimeout(timer)
  assert.strictEqual(signal, null, `ended by ${signal} after ${took} ms: ${told.out}${told.err}`)
  return { status, took, out: told.out, err: told.err }
}

/** What `call` throws, or rejects with; a promise is never thrown. */
async function failure(call) {
  try {
    await call()
  } catch (error) {
    return error
  }
  return assert.fail('it did not fail')
}

module.exports = { client, eventually, failure, fresh, local, pause, program, run, start }
