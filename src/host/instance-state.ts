import type { PluginError } from '../base/errors.ts'

/** Where one configured plugin is in its life. Times are wall time in milliseconds. */
export type InstanceState =
  /** Not running, and meant not to. */
  | { readonly at: 'stopped'; readonly since: number; readonly why: 'disabled' | 'not-started' | 'closed' }
  /** Its bytes are copied and hashed. */
  | { readonly at: 'verifying'; readonly since: number }
  /** Its process runs and has not answered yet. */
  | { readonly at: 'starting'; readonly since: number; readonly pid?: number }
  /** It answers. */
  | { readonly at: 'ready'; readonly since: number; readonly pid: number }
  /** It will be tried again at `until`, or earlier when its file changes. */
  | { readonly at: 'waiting'; readonly since: number; readonly until: number; readonly reason: PluginError }
  /** It is not tried again until somebody asks for it. */
  | { readonly at: 'failed'; readonly since: number; readonly reason: PluginError }
  /** No new calls; those under way may end. */
  | { readonly at: 'stopping'; readonly since: number; readonly pid: number }

/** The name of a state. */
export type InstanceStateName = InstanceState['at']
