import type { PluginNotReady } from '../server/running-server.ts'
import { findServer } from './ask-server.ts'

/** What a running server says after it has read its configuration again. */
export type ReloadAnswer =
  | {
      readonly ok: true
      readonly changed: readonly string[]
      readonly needRestart: readonly string[]
      readonly notReady: readonly PluginNotReady[]
    }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Has the server of a configuration read it again; undefined when none runs. */
export async function reloadServer(configFile: string): Promise<ReloadAnswer | undefined> {
  const client = await findServer(configFile)
  if (client === undefined) return undefined
  try {
    return (await client.ask('reload')) as ReloadAnswer // as the server's operation answers
  } finally {
    client.close()
  }
}
