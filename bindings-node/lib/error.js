// The one error class, and how the core's errors become one.
'use strict'

const { getSystemErrorName, inspect } = require('node:util')

const RETRYABLE = new Set(['no_instances', 'unavailable', 'timeout'])

class CallsheetError extends Error {
  constructor(code, message, options) {
    super(message, options)
    this.code = code
    this.retryable = RETRYABLE.has(code)
  }
}

// On the prototype, so that an error does not show it twice.
Object.defineProperty(CallsheetError.prototype, 'name', {
  value: 'CallsheetError',
  writable: true,
  configurable: true,
})

const invalid = (message) => new CallsheetError('invalid_argument', message)

/** The error that the native module wrote as a text. */
function decode(text) {
  return made(JSON.parse(text))
}

function made({ code, message, errno, cause }) {
  const options = cause ? { cause: made(cause) } : undefined
  if (code) return new CallsheetError(code, message, options)
  const error = new Error(message, options)
  // As Node's own errors have it: the number negative, its name as the code.
  if (errno) Object.assign(error, { errno: -errno, code: systemName(errno) })
  return error
}

function systemName(errno) {
  try {
    return getSystemErrorName(-errno)
  } catch {
    return `E${errno}`
  }
}

/** Calls a native function; what it throws becomes a `CallsheetError`. */
function native(f, ...args) {
  try {
    return f(...args)
  } catch (error) {
    throw thrown(error)
  }
}

function thrown(error) {
  if (error instanceof CallsheetError) return error
  try {
    return decode(error.message)
  } catch {
    // A value of a type that `argument.js` should have refused, or a defect of the module.
    return new CallsheetError('internal', `callsheet failed; please report this: ${error.message}`, {
      cause: error,
    })
  }
}

/** Whatever a program threw, as an error. Never throws, whatever that is. */
function asError(thrown) {
  try {
    return thrown instanceof Error ? thrown : new Error(inspect(thrown))
  } catch {
    return new Error('something was thrown that cannot be shown')
  }
}

/** The text of whatever a program threw, with its stack if it has one. Never throws. */
function asText(thrown) {
  const error = asError(thrown)
  try {
    return `${error.stack ?? error}`
  } catch {
    return 'an error that cannot be shown'
  }
}

module.exports = { CallsheetError, asError, asText, decode, invalid, native }
