import type { OutputRecord } from '../host/output.ts'
import type { PluginStatus } from '../host/plugin-status.ts'

/** What a plugin said, as one line. Its text was escaped when it came. */
export function recordText({ timeMs, level, message, stream, fields }: OutputRecord): string {
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  const from = stream === 'stderr' ? '' : ` (${stream})`
  return [new Date(timeMs).toISOString(), level.padEnd(5), `${message}${from}`, ...pairs].join(' ')
}

/** How a plugin stands, in few words. */
export function stateText(status: PluginStatus): string {
  const seconds = Math.round(status.forMs / 1000)
  const again = status.againInMs === undefined ? '' : `, again in ${Math.ceil(status.againInMs / 1000)} s`
  return `${status.state} for ${seconds} s${again}`
}
