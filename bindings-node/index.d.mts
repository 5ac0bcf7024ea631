// The types of the package for `import`: those of the CommonJS module.
import callsheet = require('./index.js')

export * from './index.js'
export default callsheet
