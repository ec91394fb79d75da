import { parentOf, type VirtualPath } from '../base/virtual-path.ts'
import type { Desk } from './desk.ts'
import type { Mount } from './mounts.ts'

/**
 * Returns when what was just done to these names is on the disk, where `events.durable` promises that: a client that
 * heard OK, and a notifier that was told, must find it after the power came back. Syncing a file says nothing of its name.
 */
export function namesOnDisk(
  { policy }: Pick<Desk, 'policy'>,
  { backend }: Mount,
  ...names: readonly VirtualPath[]
): Promise<void> | undefined {
  if (!policy.durable || backend.syncDirectory === undefined) return undefined
  const directories = new Set(names.map(parentOf))
  const { syncDirectory } = backend
  return Promise.all([...directories].map((directory) => syncDirectory(directory))).then(() => {})
}
