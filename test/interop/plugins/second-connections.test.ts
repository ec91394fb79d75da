import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../../src/host/checksum.ts'
import { connectSlot } from '../../../src/slots/index.ts'
import { openChannel } from '../../../src/wire/client.ts'
import { isRunning, openTestHost } from '../../helpers/plugin-host.ts'
import { startPlugin } from '../../helpers/plugin-process.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const folder = 'folder' in built ? built.folder : ''
const reason = 'missing' in built ? ` (skipped: ${built.missing})` : ''

describe.skipIf('missing' in built)(`a plugin in Go that another host started${reason}`, () => {
  it('is found again at its address, answers and is told to leave', async () => {
    await using go = await startPlugin('', {
      ...{ slot: 'ipfilter', mutualTls: false, command: [join(folder, 'ipfilter')] },
    })
    const { address } = go.handshake
    const first = await openChannel({ address })
    await first.close()
    const again = await openChannel({ address })
    expect(await again.health()).toBe('serving')
    const api = connectSlot('ipfilter', again, { timeoutMs: 5_000 })
    expect(await api.check({ address: '192.0.2.1', protocol: 'SSH' })).toEqual({ allowed: true })
    expect(await again.shutdown()).toBe(true)
    expect(await go.exited()).toEqual({ code: 0, signal: null })
    await again.close()
  })

  it('that is gone is not found, and nobody is ended for it', async () => {
    await using gone = await startPlugin('', {
      ...{ slot: 'ipfilter', mutualTls: false, command: [join(folder, 'ipfilter')] },
    })
    await using other = await startPlugin('', {
      ...{ slot: 'ipfilter', mutualTls: false, command: [join(folder, 'ipfilter')] },
    })
    gone.child.kill('SIGKILL')
    await gone.exited()
    const { address } = gone.handshake
    await expect(openChannel({ address })).rejects.toMatchObject({ code: 'connection-refused' })
    expect(await isRunning(other.child.pid)).toBe(true)
  })
})

describe.skipIf('missing' in built)(`a plugin in Go that uses the broker${reason}`, () => {
  it.each([true, false])(
    'runs beside a broker that nobody attends: it hears after five seconds that nobody comes (TLS: %s)',
    async (autoMtls) => {
      const cmd = join(folder, 'broker')
      const entry = { name: 'go', type: 'ipfilter', cmd, args: [], envPrefix: 'none', autoMtls } as const
      const sha256sum = digestOf(readFileSync(cmd))
      await using it = await openTestHost([{ ...entry, sha256sum, callTimeoutMs: 30_000 }], {
        allowPlaintext: true,
      })
      await it.host.settled()
      const api = it.host.ask('ipfilter', 'go')
      const dialled = api.check({ address: '203.0.113.5', protocol: 'SSH' })
      expect(await api.check({ address: '192.0.2.1', protocol: 'SSH' })).toEqual({ allowed: true })
      expect(await dialled).toMatchObject({
        allowed: false,
        reason: expect.stringContaining('timeout waiting for connection info'),
      })
      expect(await api.check({ address: '192.0.2.1', protocol: 'SSH' })).toEqual({ allowed: true })
      expect(it.status()).toMatchObject({ state: 'ready', starts: 1 })
    },
  )
})
