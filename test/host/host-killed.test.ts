import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { openPluginHost } from '../../src/host/host.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { isRunning } from '../helpers/plugin-host.ts'
import { recordingLog } from '../helpers/recording-log.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe('a host that is killed', () => {
  it.each([['polite'], ['ignores-shutdown'], ['forks']])(
    'takes its plugin (%s) along within five seconds, and the next one starts clean',
    async (mode) => {
      using folder = temporaryDirectory()
      const program = await fixturePlugin('killed-host')
      const { cmd, sha256sum } = await fixturePlugin()
      const host = spawn(process.execPath, [program.cmd, cmd, sha256sum, folder.path, mode], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const [line] = (await once(host.stdout, 'data')) as [Buffer]
      const pid = Number(line.toString())
      const recorded = JSON.parse(readFileSync(folder.file('plugins.json'), 'utf8')) as { marker: string }[]
      const marker = recorded[0]?.marker ?? ''
      expect(await isRunning(pid)).toBe(true)
      expect(existsSync(marker)).toBe(true)
      host.kill('SIGKILL')
      const end = performance.now() + 5000
      while (await isRunning(pid)) {
        expect(performance.now()).toBeLessThan(end)
        await sleep(20)
      }
      const log = recordingLog()
      await using next = await openPluginHost({ entries: [], log, stateFolder: folder.path })
      expect(next.status()).toEqual([])
      expect(JSON.parse(readFileSync(folder.file('plugins.json'), 'utf8'))).toEqual([])
      expect(existsSync(marker)).toBe(false)
    },
  )
})
