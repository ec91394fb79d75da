/** The door for the tests of a plugin: the contract of each slot as runnable cases. */
export { checkContract, contractCases, type CaseResult } from './slots/check-contract.ts'
export { openTestPlugin, type TestPlugin, type TestPluginOptions } from './sdk/test-plugin.ts'
export { loadPlugin, type LoadOptions } from './sdk/load-plugin.ts'
