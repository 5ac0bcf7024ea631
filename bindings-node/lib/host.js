// This environment's end of the native module: calls under way, feeds that wait, and what keeps the process running.
'use strict'

const events = require('node:events')
const native = require('./native')
const { CallsheetError, decode, native: checked } = require('./error')

/** Time that withdrawing may take when the process ends, in milliseconds. */
const EXIT = 1000

/** Calls under way, by their numbers: how each is settled. */
const calls = new Map()
/** What looks at each feed that waits for news, by its number. What is here is not collected. */
const feeds = new Map()

let last = 0
let holds = 0
let exiting = false

const host = native.open(drain)

/** Called by the native module, on this thread, when something has come. */
function drain() {
  const answers = native.take(host)
  for (let at = 0; at < answers.length; ) {
    const id = answers[at++]
    const answer = id < 0 ? undefined : [answers[at++], answers[at++]]
    // What one of them throws is the process's, and must not take the others with it.
    try {
      if (answer === undefined) feeds.get(-id)?.()
      else settle(id, ...answer)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}

function settle(id, error, value) {
  const call = calls.get(id)
  calls.delete(id)
  release()
  if (error === null) call.resolve(value)
  else call.reject(decode(error))
}

/** A number that no call and no feed has. */
function number() {
  do {
    last = last === 0xffffffff ? 1 : last + 1
  } while (calls.has(last) || feeds.has(last))
  return last
}

/** The process stays until as many `release` as `hold` were called. */
function hold() {
  if (holds++ === 0) native.hold(host, true)
}

function release() {
  if (--holds === 0) native.hold(host, false)
}

/** Listeners of one signal before Node warns: as many as `fetch` allows. */
const LISTENERS = 1500

/** A signal that may be given to many waits at once, which is no leak. Whoever set a limit keeps it. */
function listened(signal) {
  try {
    const limit = events.getMaxListeners(signal)
    // None is 0.
    if (limit === events.defaultMaxListeners && limit > 0 && limit < LISTENERS) {
      events.setMaxListeners(LISTENERS, signal)
    }
  } catch {
    // Not one of Node's own.
  }
  return signal
}

/**
 * Begins a call with `start(number)` and waits for its answer. An abort gives up on it.
 */
async function call(start, signal) {
  try {
    return await begun(start, signal)
  } catch (error) {
    // The answer came from nowhere; here the stack has the functions that wait for it.
    if (error instanceof CallsheetError) Error.captureStackTrace(error, call)
    throw error
  }
}

function begun(start, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const id = number()
    checked(start, id)
    hold()
    if (signal === undefined) return calls.set(id, { resolve, reject })
    const abort = () => {
      calls.delete(id)
      native.cancel(host, id)
      release()
      reject(signal.reason)
    }
    const settled = (settle) => (value) => {
      settle(value)
      signal.removeEventListener('abort', abort)
    }
    listened(signal).addEventListener('abort', abort, { once: true })
    calls.set(id, { resolve: settled(resolve), reject: settled(reject) })
  })
}

/** From now on the clients that have a registration withdraw when this environment ends. */
function closeOnExit() {
  if (exiting) return
  exiting = true
  process.on('exit', () => native.closeAll(host, EXIT))
}

module.exports = { call, closeOnExit, feeds, hold, host, listened, number, release }
