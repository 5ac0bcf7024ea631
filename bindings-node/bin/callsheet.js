#!/usr/bin/env node
// The command `callsheet`.
'use strict'

const native = require('../lib/native')

process.exit(native.commandLine(['callsheet', ...process.argv.slice(2)]))
