import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../helpers/example-server.ts'

const built = existsSync(new URL('../../dist/main.js', import.meta.url))
const missing = !existsSync('/proc/net/unix') || needsOpenSsh !== '' || !built

describe.skipIf(missing)('what a server listens on (needs Linux, sftp, sshpass, the built program)', () => {
  it(
    'is the configured port, whose logins are decided in one place, and sockets that nobody else can reach (S-46 to S-48, S-50)',
    { timeout: 60_000 },
    async () => {
      await using example = await startExample('auth-file', (file) => {
        writeFileSync(file('users.json'), '{}')
        return { settings: { file: file('users.json') } }
      })
      const { server, sftp } = example
      const pids = familyOf(server.process.pid ?? 0)
      expect(pids.length).toBeGreaterThan(1)
      const inodes = new Set(pids.flatMap(socketsOf))
      expect(listeningPorts(inodes)).toEqual([server.port])
      const paths = listeningPaths(inodes)
      expect(paths.length).toBeGreaterThanOrEqual(2) // the control socket and the plugin's
      for (const path of paths) {
        const { mode, uid } = statSync(dirname(path))
        expect(mode & 0o077, path).toBe(0)
        expect(uid, path).toBe(process.getuid?.())
      }
      // Nobody is let in by the port without the one decision: its record is there for a stranger's first try.
      expect((await sftp('admin', 'admin', 'ls')).status).not.toBe(0)
      await expect.poll(() => server.log()).toMatch(/"username":"admin".*"msg":"login refused"/)
    },
  )
})

/** A process and all that it started. */
function familyOf(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' ').filter(Boolean),
  )
  return [pid, ...children.flatMap((child) => familyOf(Number(child)))]
}

function socketsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
    } catch {
      return [] // closed meanwhile
    }
  })
}

function rowsOf(table: string): string[][] {
  const lines = existsSync(`/proc/net/${table}`) ? readFileSync(`/proc/net/${table}`, 'utf8').split('\n') : []
  return lines.slice(1).map((line) => line.trim().split(/\s+/))
}

function listeningPorts(inodes: ReadonlySet<string>): number[] {
  return ['tcp', 'tcp6'].flatMap((table) =>
    rowsOf(table).flatMap(([, local = '', , state, , , , , , inode = '']) =>
      state === '0A' && inodes.has(inode) ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [],
    ),
  )
}

function listeningPaths(inodes: ReadonlySet<string>): string[] {
  const accepts = 0x10000
  return rowsOf('unix').flatMap(([, , , flags = '', , , inode = '', path]) =>
    (Number.parseInt(flags, 16) & accepts) !== 0 && inodes.has(inode) && path !== undefined ? [path] : [],
  )
}
