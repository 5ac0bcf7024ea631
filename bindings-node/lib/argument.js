// What a caller passed, as the native module takes it. A wrong type is `invalid_argument`, like a wrong value; which
// values are wrong is for the core to say.
'use strict'

const { invalid } = require('./error')

/** More elements than any limit allows: what is longer is not read to its end, which it may not have. */
const ENOUGH = 1 << 16

/** As long as it takes, in milliseconds: what the core's clock is sure to reach. */
const FOREVER = 10 * 365 * 24 * 3600 * 1000

function kind(value) {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return value.constructor?.name ?? 'an object'
  return typeof value === 'number' ? String(value) : typeof value
}

function wrong(what, wanted, value) {
  return invalid(`${what} must be ${wanted}, not ${kind(value)}`)
}

function text(what, value) {
  if (typeof value !== 'string') throw wrong(what, 'a string', value)
  if (!value.isWellFormed()) throw invalid(`${what} is not valid Unicode: it has lone surrogates`)
  return value
}

function texts(what, value) {
  if (typeof value === 'string' || typeof value?.[Symbol.iterator] !== 'function') {
    throw wrong(what, 'a list of strings', value)
  }
  const list = []
  for (const element of value) {
    list.push(text(`an element of ${what}`, element))
    if (list.length >= ENOUGH) break
  }
  return list
}

function pairs(what, value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(what, 'an object of strings', value)
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  // Without a prototype, so that no key means anything else.
  const object = Object.create(null)
  for (const [key, element] of entries.slice(0, ENOUGH)) {
    object[text(`a key of ${what}`, key)] = text(`a value of ${what}`, element)
  }
  return object
}

/** A whole number, or one too large for anything. */
function integer(what, value) {
  if (typeof value !== 'number') throw wrong(what, 'a number', value)
  if (!Number.isInteger(value)) throw wrong(what, 'a whole number', value)
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
}

function milliseconds(what, value) {
  if (typeof value !== 'number') throw wrong(what, 'a number of milliseconds', value)
  if (!(value >= 0 && value < Infinity)) throw wrong(what, 'a number of milliseconds of at least 0', value)
  return value
}

function timeout(value) {
  return value === undefined || value === Infinity
    ? FOREVER
    : Math.min(milliseconds('timeout', value), FOREVER)
}

function flag(what, value) {
  if (typeof value !== 'boolean') throw wrong(what, 'a boolean', value)
  return value
}

function callback(what, value) {
  if (typeof value !== 'function') throw wrong(what, 'a function', value)
  return value
}

function signal(value) {
  if (typeof value?.addEventListener !== 'function' || typeof value.aborted !== 'boolean') {
    throw wrong('signal', 'an AbortSignal', value)
  }
  return value
}

/**
 * The given options, each read by the function of its name in `known`; what is undefined is left out. An option that
 * does not exist is refused, because a misspelt one would be silently without effect.
 */
function options(given, known) {
  if (given === undefined) return {}
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw wrong('options', 'an object', given)
  const read = {}
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) {
      throw invalid(`there is no option ${name}; known are ${Object.keys(known).join(', ')}`)
    }
    if (given[name] !== undefined) read[name] = known[name](name, given[name])
  }
  return read
}

const SIGNAL = { signal: (_, value) => signal(value) }
const TIMEOUT = { timeout: (_, value) => timeout(value) }
const FILTER = { tags: texts, zone: text, version: text, metadata: pairs, healthy: flag }

/** The filter among options that were read, and a text that is the same for the same filter. */
function filter({ tags, zone, version, metadata, healthy }) {
  const given = { tags, zone, version, metadata, healthy }
  return { filter: given, key: JSON.stringify(given) }
}

module.exports = {
  FILTER,
  FOREVER,
  SIGNAL,
  TIMEOUT,
  callback,
  filter,
  flag,
  integer,
  milliseconds,
  options,
  pairs,
  text,
  texts,
  wrong,
}
