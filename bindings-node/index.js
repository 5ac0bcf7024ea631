// The package `callsheet`. This CommonJS module is the real one; `index.mjs` gives out the same objects.
'use strict'

exports.connect = require('./lib/client').connect
exports.check = require('./lib/check').check
exports.onLog = require('./lib/log').onLog
exports.CallsheetError = require('./lib/error').CallsheetError
exports.Memory = require('./lib/memory').Memory
