// Every JavaScript snippet of the README and the guides runs as it is written.
'use strict'

const assert = require('node:assert')
const { readFileSync, readdirSync } = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const test = require('node:test')
const { local, run } = require('./helpers')

const ROOT = path.join(__dirname, '..', '..')
const docs = readdirSync(path.join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
const guides = ['README.md', 'bindings-node/README.md', ...docs.map((name) => `docs/${name}`)]
const snippets = (guide) =>
  [...readFileSync(path.join(ROOT, guide), 'utf8').matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code)
const withSnippets = guides.filter((guide) => snippets(guide).length > 0)

/** A free port. */
async function free() {
  const server = net.createServer()
  await new Promise((resolve) => server.listen(0, resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}

for (const guide of withSnippets) {
  test(`the snippets of ${guide} run`, async () => {
    // The port that they name may be somebody's here.
    const code = snippets(guide)
      .join('\n')
      .replaceAll('8080', await free())
    const { status, err } = await run(code, { esm: true, env: { CALLSHEET_URL: local() } })
    assert.deepStrictEqual([status, err], [0, ''])
  })
}

test('there are snippets', () => {
  assert.ok(withSnippets.includes('docs/node.md') && withSnippets.includes('bindings-node/README.md'))
})

test('the README and the package say the same Node version', () => {
  const { engines } = require('../package.json')
  const [, version] = /Node\.js ([\d.]+) and newer/.exec(readFileSync(path.join(ROOT, 'README.md'), 'utf8'))
  assert.strictEqual(engines.node, `>=${version}`)
})
