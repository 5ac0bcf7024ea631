// The registry `memory:name` from outside, for tests.
'use strict'

const native = require('./native')
const { native: checked } = require('./error')
const { flag, integer, milliseconds, options, pairs, text, texts } = require('./argument')

const INSTANCE = {
  service: text,
  port: integer,
  address: text,
  id: text,
  scheme: text,
  tags: texts,
  metadata: pairs,
  weight: integer,
  zone: text,
  version: text,
  status: text,
}

class Memory {
  #core
  #name

  constructor(name) {
    this.#core = checked(native.memory, text('name', name))
    this.#name = name
  }

  get url() {
    return `memory:${this.#name}`
  }

  unreachable(on = true) {
    this.#fault('unreachable', on)
  }

  refuse(on = true) {
    this.#fault('refuse', on)
  }

  slow(delay) {
    checked(native.memorySlow, this.#core, milliseconds('delay', delay))
  }

  answerEmpty(on = true) {
    this.#fault('answerEmpty', on)
  }

  answerWithLists(on = true) {
    this.#fault('answerWithLists', on)
  }

  loseLeases() {
    this.#fault('loseLeases', true)
  }

  compact() {
    this.#fault('compact', true)
  }

  changeIdentity() {
    this.#fault('changeIdentity', true)
  }

  wipe() {
    this.#fault('wipe', true)
  }

  put(instance) {
    const { status = 'passing', ...given } = options(instance, INSTANCE)
    text('service', given.service)
    integer('port', given.port)
    checked(native.memoryPut, this.#core, given, status)
  }

  delete(service, id) {
    checked(native.memoryDelete, this.#core, text('service', service), text('id', id))
  }

  #fault(fault, on) {
    checked(native.memoryFault, this.#core, fault, flag('on', on))
  }
}

module.exports = { Memory }
