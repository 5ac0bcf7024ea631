// Builds the native module, optimised as users get it, and puts it beside `index.js`.
'use strict'

const { execFileSync } = require('node:child_process')
const { copyFileSync, renameSync } = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')
const names = { darwin: 'libcallsheet_node.dylib', win32: 'callsheet_node.dll' }
const name = names[process.platform] ?? 'libcallsheet_node.so'

const crate = ['--quiet', '--release', '--locked', '--package', 'callsheet-node', '--lib']
// Line tables are for those who debug the core; they are five times the code.
execFileSync('cargo', ['rustc', ...crate, '--', '-C', 'strip=debuginfo'], { cwd: root, stdio: 'inherit' })

// A new file, then a rename: a process that runs keeps the module that it has loaded.
const module_ = path.join(__dirname, '..', 'callsheet.node')
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target')
copyFileSync(path.resolve(root, target, 'release', name), `${module_}.new`)
renameSync(`${module_}.new`, module_)
