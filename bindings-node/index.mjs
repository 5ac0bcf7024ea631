// The package `callsheet` for `import`: the very objects of the CommonJS module.

import callsheet from './index.js'

export const { connect, check, onLog, CallsheetError, Memory } = callsheet
export default callsheet
