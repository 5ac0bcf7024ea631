// How a picker chooses, and from whom: the options of `client.picker`, read for the native module.
'use strict'

const { FILTER, SIGNAL, filter, integer, milliseconds, options, text, wrong } = require('./argument')

const EJECTION = {
  consecutiveFailures: integer,
  stdevFactor: number,
  requestVolume: integer,
  interval: milliseconds,
  baseEjectionTime: milliseconds,
  maxEjectionTime: milliseconds,
  maxEjectionPercent: integer,
}

const PICKER = {
  policy: text,
  ...FILTER,
  preferZone: text,
  subset: integer,
  clientId: text,
  ejection,
  panicThreshold: integer,
  slowStart: milliseconds,
  ...SIGNAL,
}

function number(what, value) {
  if (typeof value !== 'number') throw wrong(what, 'a number', value)
  return value
}

function ejection(what, value) {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'object' || value === null) throw wrong(what, 'an object or a boolean', value)
  return options(value, EJECTION)
}

/** What a pick is chosen by. */
function key(what, value) {
  return value instanceof Uint8Array ? value : text(what, value)
}

/** The options of a picker for the native module, and what else was given. */
function picking(given) {
  const { signal, policy = 'p2c', ejection = true, ...read } = options(given, PICKER)
  const { preferZone, subset, clientId, panicThreshold, slowStart } = read
  const native = {
    policy,
    filter: filter(read).filter,
    preferZone,
    subset,
    clientId,
    ejects: ejection !== false,
    ejection: typeof ejection === 'object' ? ejection : undefined,
    panicThreshold,
    slowStart,
  }
  return { native, policy, signal }
}

module.exports = { key, picking }
