// The ways to decide the health of an instance.
'use strict'

const { integer, milliseconds, options, text, wrong } = require('./argument')

const TIMES = { interval: milliseconds, timeout: milliseconds }

class Check {
  constructor(kind, given) {
    Object.assign(this, { kind }, given)
    Object.freeze(this)
  }
}

const check = Object.freeze({
  ttl: () => new Check('ttl', {}),
  heartbeat: (interval) => new Check('heartbeat', { interval: milliseconds('interval', interval) }),
  tcp: (given) => new Check('tcp', options(given, { ...TIMES, address: text, port: integer })),
  http: (target, given) => new Check('http', { target: text('target', target), ...options(given, TIMES) }),
})

/** A check that was given as an option. */
function isCheck(what, value) {
  if (!(value instanceof Check)) throw wrong(what, 'one of check.ttl, heartbeat, tcp and http', value)
  return value
}

module.exports = { check, isCheck }
