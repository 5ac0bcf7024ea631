// The core's log, for whoever asks: a callback, or the standard error of a program run with NODE_DEBUG=callsheet.
'use strict'

const { debuglog } = require('node:util')
const native = require('./native')
const { asError, asText, invalid } = require('./error')
const { callback: function_, options, text } = require('./argument')
const { feeds, host, number } = require('./host')

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace']

const debug = debuglog('callsheet')

/** Who gets the lines. */
let listener
let feed

/** Reads the core's lines while somebody wants them. */
function look() {
  while (listener !== undefined) {
    const line = native.feedNext(feed)
    if (line === undefined) return
    tell(line[0], line[1])
  }
}

function tell(level, message) {
  try {
    const returned = listener({ level, message })
    if (typeof returned?.then === 'function') Promise.resolve(returned).then(undefined, warnOf)
  } catch (error) {
    warnOf(error)
  }
}

/** A warning of the process, for what cannot go to the log. */
function warnOf(thrown) {
  process.emitWarning(asError(thrown), 'CallsheetWarning')
}

function listen(level, callback) {
  // What was said while nobody listened is for nobody.
  if (listener === undefined && feed !== undefined) while (native.feedNext(feed) !== undefined);
  listener = callback
  native.captureLog(level)
  if (feed === undefined) {
    const id = number()
    feed = native.logFeed(host, id)
    feeds.set(id, look)
  }
  queueMicrotask(look)
}

function onLog(callback, given) {
  function_('callback', callback)
  const { level = 'warn' } = options(given, { level: text })
  if (!LEVELS.includes(level)) throw invalid(`there is no level ${level}; it is one of ${LEVELS.join(', ')}`)
  listen(level, callback)
  return () => {
    if (listener === callback) listener = undefined
  }
}

/** Says what else would be said nowhere. */
function warn(message) {
  if (listener !== undefined) tell('warn', message)
}

/** A callback of the program's own threw, which is a mistake in the program and must not be silent. */
function callbackFailed(thrown) {
  if (listener === undefined) warnOf(thrown)
  else tell('error', `a callback threw, and is called again for the next change: ${asText(thrown)}`)
}

if (debug.enabled) listen('debug', ({ level, message }) => debug('%s %s', level, message))

module.exports = { callbackFailed, onLog, warn }
