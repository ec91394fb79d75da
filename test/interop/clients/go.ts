import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programDriver } from './program.ts'
import { run, versionOf } from './run.ts'

const source = join(import.meta.dirname, 'go')
const binary = join(tmpdir(), `sftpgo-ts-interop-${process.getuid?.() ?? 0}`, 'pkg-sftp')

/** Go's pkg/sftp. */
export const goPkgSftp = programDriver({
  name: 'Go pkg/sftp',
  needs: 'golang',
  async version() {
    if (versionOf('go', ['version'], /go[\d.]+/) === undefined) return undefined
    mkdirSync(join(binary, '..'), { recursive: true, mode: 0o700 })
    await run('go', ['build', '-C', source, '-o', binary, '.'], { timeoutMs: 300_000 })
    return existsSync(binary)
      ? versionOf('go', ['version', '-m', binary], /pkg\/sftp\s+v[\d.]+/)?.replace(/\s+/, ' ')
      : undefined
  },
  command: [binary],
})
