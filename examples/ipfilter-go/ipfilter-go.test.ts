import { spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'
import { temporaryDirectory } from '../../test/helpers/temporary-directory.ts'

const withGo = spawnSync('go', ['version']).status === 0
const onLinux = process.platform === 'linux' && process.arch === 'x64'
const needed = !withGo
  ? ' (skipped: go is missing)'
  : onLinux
    ? needsOpenSsh
    : ' (skipped: it is for linux-amd64)'

it.skipIf(needed !== '')(
  `ipfilter-go, written in Go, refuses the networks of its settings${needed}`,
  async () => {
    using work = temporaryDirectory()
    cpSync(import.meta.dirname, work.file('ipfilter-go'), { recursive: true })
    const folder = work.file('ipfilter-go')
    const built = spawnSync('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', 'bin/ipfilter-go', '.'], {
      cwd: folder,
      encoding: 'utf8',
    })
    expect(built.status, built.stderr).toBe(0)
    const enters = async (refused: readonly string[]): Promise<boolean> => {
      await using example = await startExample('ipfilter-go', { folder, settings: { refused } })
      return (await example.sftp('demo', example.server.password ?? '', 'ls')).status === 0
    }
    expect(await enters(['192.0.2.0/24'])).toBe(true)
    expect(await enters(['127.0.0.0/8'])).toBe(false)
  },
  180_000,
)
