// Instances as plain frozen objects.
'use strict'

class Instance {
  constructor(row) {
    this.id = row[0]
    this.service = row[1]
    this.address = row[2]
    this.port = row[3]
    this.scheme = row[4]
    this.tags = Object.freeze(row[5])
    this.metadata = Object.freeze(row[6])
    this.weight = row[7]
    this.zone = row[8]
    this.version = row[9]
    this.status = row[10]
    this.url = row[11]
    Object.freeze(this)
  }
}

/** The instance that the native module wrote as a text. */
function instance(text) {
  return new Instance(JSON.parse(text))
}

/** The instances that the native module wrote as a text. */
function instances(text) {
  return text === '[]' ? [] : JSON.parse(text).map((row) => new Instance(row))
}

module.exports = { instance, instances }
