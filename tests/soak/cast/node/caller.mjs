// Calls whom the picker names, twenty times a second. What it says is told in blocking.py.

import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { now, say } from './words.mjs'

const PAUSE = 50
// Calls between two reports of how many there were.
const REPORT = 20

export class Caller {
  #picker
  #calls = 0
  #ended = false
  #work

  constructor(picker) {
    this.#picker = picker
    this.#work = this.#run()
  }

  async end() {
    this.#ended = true
    await this.#work
  }

  async #run() {
    while (!this.#ended) {
      await this.#call()
      if (this.#calls % REPORT === 0) {
        say({ calls: this.#calls })
        // So that what it holds is measured, and not how long V8 puts off collecting the sockets of calls.
        globalThis.gc()
      }
      await sleep(PAUSE)
    }
    say({ calls: this.#calls })
  }

  async #call() {
    const tried = []
    const attempt = async (pick) => {
      tried.push(pick.id)
      const began = now()
      try {
        await ask(pick)
      } catch (error) {
        say({ attempt: pick.id, began, ended: now(), why: String(error) })
        throw error
      }
    }
    const began = now()
    this.#calls += 1
    try {
      await this.#picker.call(attempt, { attempts: 2 })
    } catch (error) {
      say({ call: tried, began, ended: now(), why: String(error) })
    }
  }
}

async function ask({ id, address, port }) {
  const connection = connect(port, address)
  let answer = ''
  connection.setEncoding('utf8').on('data', (text) => {
    answer += text
  })
  await once(connection, 'end')
  connection.destroy()
  if (answer.trim() !== id) throw new Error(answer ? `answered by ${answer.trim()}` : 'cut off')
}
