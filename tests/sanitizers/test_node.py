"""The npm package under valgrind, where memory changes hands: close, the end of a worker, and every end of the process.
Without V8's compilers, which valgrind is too slow for and which add nothing to what the module does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memcheck import LEAK, Ended, faulty, memcheck

PACKAGE = Path(__file__).resolve().parents[2] / "bindings-node"

LIVE = f"""
const {{ connect, Memory }} = require({json.dumps(str(PACKAGE))})
/** A client with everything open, all of which has been told something. */
const live = async (url) => {{
  const client = await connect(url)
  const states = new Promise((resolve) => client.register({{ service: 'billing', port: 80, onState: resolve }}))
  const snapshots = new Promise((resolve) => client.onChange('billing', resolve))
  const watch = client.watch('billing')
  await Promise.all([states, snapshots, watch.next()])
  const picker = await client.picker('billing')
  picker.pick()
  return {{ client, watch, picker, names: client.watchServices() }}
}}
/** Calls under way, which hold a process open. */
const calls = ({{ client, watch }}) => {{
  watch.next().catch(() => {{}})
  client.waitFor('nobody').catch(() => {{}})
}}
"""

WORKER = (
    LIVE
    + """
const { parentPort } = require('node:worker_threads')
live('memory:a').then((everything) => {
  calls(everything)
  parentPort.postMessage('up')
})
"""
)

PROGRAMS = {
    "close with everything live, and from a callback": """
  const everything = await live('memory:a')
  calls(everything)
  everything.names.close()
  await everything.client.close()
  const { client: other } = await live('memory:a')
  await new Promise((resolve) => other.onChange('billing', () => resolve(other.close())))
  console.log('end')
""",
    "workers that are terminated with everything live": """
  const { once } = require('node:events')
  const { Worker } = require('node:worker_threads')
  for (let round = 0; round < 2; round++) {
    const worker = new Worker(WORKER, { eval: true })
    await once(worker, 'message')
    await worker.terminate()
  }
  new Worker(WORKER, { eval: true }).terminate()
  const { client } = await live('memory:a')
  await client.close()
  console.log('end')
""",
    "process.exit in a callback, with a worker live": """
  const { once } = require('node:events')
  const { Worker } = require('node:worker_threads')
  await once(new Worker(WORKER, { eval: true }), 'message')
  const { client } = await live('memory:a')
  client.onChange('billing', () => { console.log('end'); process.exit(0) })
""",
    "clients that are collected, and an end with everything open": """
  for (let round = 0; round < 3; round++) {
    const { client, watch } = await live('memory:a')
    if (round === 0) await client.close()
    if (round === 1) watch.close()
  }
  for (let round = 0; round < 3; round++) { global.gc(); await new Promise(setImmediate) }
  console.log('end')
""",
}


def run(library: str, program: str, folder: Path) -> Ended:
    node = ("node", "--jitless", "--no-expose-wasm", "--expose-gc", "-e", program)
    return memcheck(library, *node, folder=folder, flags=("--smc-check=all-non-file",))


@pytest.mark.parametrize("name", PROGRAMS)
def test_memory_is_sound(name: str, tmp_path: Path) -> None:
    main = f"const WORKER = {json.dumps(WORKER)}\nconst main = async () => {{{PROGRAMS[name]}}}\nmain()\n"
    ended = run("callsheet.node", LIVE + main, tmp_path)
    assert (ended.status, ended.out) == (0, "end\n"), ended.err
    assert ended.faults == [], "\n\n".join(f"{fault.kind}: {fault.text}" for fault in ended.faults)


def test_a_fault_would_be_seen(tmp_path: Path) -> None:
    load = f"try {{ process.dlopen({{ exports: {{}} }}, {json.dumps(str(faulty(tmp_path)))}) }} catch {{}}"
    ended = run("faulty.so", load, tmp_path)
    assert ended.status == 0, ended.err
    assert {fault.kind for fault in ended.faults} == {"InvalidRead", LEAK}
