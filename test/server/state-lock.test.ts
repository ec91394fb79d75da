import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { holdStateFolder, stateFolderHolder } from '../../src/server/state-lock.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

it.skipIf(process.platform !== 'linux')(
  'takes the state folder of a killed server whose parent has not waited for it',
  async () => {
    using folder = temporaryDirectory()
    // The inner program ends when another has taken the shell's place, which never asks how it went.
    const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      const [said] = (await once(parent.stdout, 'data')) as [Buffer]
      const pid = Number(said.toString())
      const stat = (): string[] => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')
      await expect.poll(() => stat()[2]).toBe('Z')
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      const lock = folder.file('server.lock')
      writeFileSync(lock, JSON.stringify({ pid, started: stat()[21], boot, since: 'long ago' }))
      expect(stateFolderHolder(lock)).toBeUndefined()
      holdStateFolder(lock).close()
    } finally {
      parent.kill('SIGKILL')
    }
  },
)
