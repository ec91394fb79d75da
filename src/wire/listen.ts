import { chmodSync, chownSync, readFileSync } from 'node:fs'
import type { AddressInfo, ListenOptions, Server } from 'node:net'
import type { PluginAddress } from './handshake.ts'

/** Where to listen. */
export type ListenAddress =
  | {
      readonly network: 'unix'
      readonly path: string
      /** A name or number of a group that may connect too. Default: this user only. */
      readonly group?: string
    }
  /** On loopback, on the first free port of the range; 0 lets the system choose. */
  | { readonly network: 'tcp'; readonly minPort: number; readonly maxPort: number }

/** Binds `door` and says where. A Unix socket is for this user alone from the first moment on, or for a group too. */
export async function listen(door: Server, where: ListenAddress): Promise<PluginAddress> {
  if (where.network === 'unix') return listenOnSocket(door, where)
  return { network: 'tcp', host: '127.0.0.1', port: await listenInRange(door, where) }
}

async function listenOnSocket(
  door: Server,
  { path, group }: Extract<ListenAddress, { network: 'unix' }>,
): Promise<PluginAddress> {
  // From the first moment on: a chmod afterwards would leave a gap in which others connect.
  const before = process.umask(0o177)
  try {
    await listenOn(door, { path })
  } finally {
    process.umask(before)
  }
  if (group !== undefined) {
    chownSync(path, -1, groupNumber(group))
    chmodSync(path, 0o660)
  }
  return { network: 'unix', path }
}

async function listenInRange(
  door: Server,
  { minPort, maxPort }: Extract<ListenAddress, { network: 'tcp' }>,
): Promise<number> {
  for (let port = minPort; ; port++) {
    try {
      await listenOn(door, { host: '127.0.0.1', port })
      // An address of a listening TCP server is no text.
      return (door.address() as AddressInfo).port
    } catch (error) {
      if (port >= maxPort) throw error
    }
  }
}

function listenOn(door: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      door.off('error', settle)
      if (error === undefined) resolve()
      else reject(error)
    }
    door.once('error', settle)
    // The mode is taken from the umask when the socket is bound, which happens before `listen` returns.
    door.listen(options, () => settle())
  })
}

function groupNumber(group: string): number {
  if (/^\d+$/.test(group)) return Number(group)
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${group}:`))
  const number = Number(line?.split(':')[2])
  if (!Number.isInteger(number)) throw new Error(`The group "${group}" does not exist`)
  return number
}
