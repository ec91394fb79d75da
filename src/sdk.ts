/** The door for plugin authors: serve an object as a plugin. */
export {
  servePlugin,
  type Offers,
  type Plugin,
  type PluginContext,
  type ServeOptions,
} from './sdk/serve-plugin.ts'
export { createOncePerEvent, type OncePerEvent, type OncePerEventOptions } from './sdk/once-per-event.ts'
export { failure } from './sdk/failure.ts'
export type { LogFields, Logger, LogLevel } from './base/log.ts'
export type { Call, Refusal } from './slots/call.ts'
export type * from './slots/auth/contract.ts'
export type * from './slots/ipfilter/contract.ts'
export type * from './slots/kms/contract.ts'
export type * from './slots/notifier/contract.ts'
