// The ways to decide the health of an instance.
'use strict'

const { integer, milliseconds, options, text, wrong } = require('./argument')

const STAY = { deregisterCriticalAfter: milliseconds }
const TIMES = { interval: milliseconds, timeout: milliseconds, ...STAY }

class Check {
  constructor(kind, given) {
    Object.assign(this, { kind }, given)
    Object.freeze(this)
  }
}

const check = Object.freeze({
  ttl: (given) => new Check('ttl', options(given, STAY)),
  heartbeat: (interval, given) =>
    new Check('heartbeat', { interval: milliseconds('interval', interval), ...options(given, STAY) }),
  tcp: (given) => new Check('tcp', options(given, { ...TIMES, address: text, port: integer })),
  http: (target, given) => new Check('http', { target: text('target', target), ...options(given, TIMES) }),
  grpc: (target, given) =>
    new Check('grpc', { ...options({ target }, { target: text }), ...options(given, TIMES) }),
})

/** A check that was given as an option. */
function isCheck(what, value) {
  if (!(value instanceof Check)) throw wrong(what, 'one of check.ttl, heartbeat, tcp, http and grpc', value)
  return value
}

module.exports = { check, isCheck }
