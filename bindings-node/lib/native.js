// The native module.
'use strict'

try {
  module.exports = require('../callsheet.node')
} catch (error) {
  if (error.code !== 'MODULE_NOT_FOUND') throw error
  throw new Error('callsheet is not built: run `npm run build` in its folder', { cause: error })
}
