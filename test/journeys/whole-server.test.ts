import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connectControl } from '../../src/control/control-client.ts'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { startServer } from '../helpers/start-server.ts'
import { until } from '../helpers/until.ts'

const skipped = withoutOpenSsh === undefined ? '' : ` (skipped: ${withoutOpenSsh} is not installed)`

describe('a whole server', () => {
  it.skipIf(withoutOpenSsh !== undefined)(
    `keeps contents encrypted for a user with a passphrase${skipped}`,
    async () => {
      await using running = await startServer()
      const control = await connectControl(join(running.folder, 'test.config.state/control.sock'))
      const home = join(running.folder, 'test.config.state/homes/eve')
      const record = {
        home_dir: home,
        filesystem: { provider: 4, cryptconfig: { passphrase: { status: 'Plain', payload: 'open sesame' } } },
      }
      await control?.ask('user add', { username: 'eve', password: 'Correct-Horse-9', record, actor: 'test' })
      control?.close()
      writeFileSync(join(running.folder, 'up'), 'a secret that is long enough to be found')
      const { status, output } = await sftpBatch({
        port: running.port,
        username: 'eve',
        password: 'Correct-Horse-9',
        batch: ['put up', 'get up down'],
        cwd: running.folder,
      })
      expect(output).not.toContain('failure')
      expect(status).toBe(0)
      expect(readFileSync(join(running.folder, 'down'), 'utf8')).toContain('a secret that')
      expect(readFileSync(join(home, 'up')).includes('a secret that')).toBe(false)
      expect(running.logLines.join('')).not.toContain('open sesame')
    },
  )

  it.skipIf(withoutOpenSsh !== undefined)(
    `ends the session of a user who is disabled within five seconds${skipped}`,
    async () => {
      await using running = await startServer()
      const session = sftpBatch({
        port: running.port,
        password: running.password,
        batch: ['!sleep 15', 'ls'],
        cwd: running.folder,
      })
      await until('the session', () => running.server.status().sessions === 1)
      const control = await connectControl(join(running.folder, 'test.config.state/control.sock'))
      await control?.ask('user disable', { username: 'demo', actor: 'test' })
      control?.close()
      await until('the end of the session', () => running.server.status().connections === 0, 5_000)
      void session
    },
  )
})
