import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Offers } from '../../src/sdk/serve-plugin.ts'
import type { ApiOf } from '../../src/slots/index.ts'
import { fiveSlots, scanner } from '../fixtures/slots/scanner.ts'
import { buildPlugin, startPlugin } from '../helpers/plugin-process.ts'

describe('a fifth slot', () => {
  it('is asked over mutual TLS and answered by a process, its types inferred from the table', async () => {
    using built = await buildPlugin('scanning')
    const { key, value } = fiveSlots.scanner.cookie
    await using plugin = await startPlugin(built.file, {
      environment: { [key]: value, SFTPGO_PLUGIN_AUTH: '' },
    })
    const channel = await plugin.connect()
    const api: ApiOf<(typeof fiveSlots)['scanner']> = scanner.connect(
      channel.caller(scanner.service, { timeoutMs: 1_000 }),
    )
    await expect(api.scan('/virus.exe')).resolves.toEqual({ clean: false, finding: '/virus.exe' })
    await expect(api.scan('/letter.txt')).resolves.toEqual({ clean: true, finding: '/letter.txt' })
    for (const one of fiveSlots.scanner.cases) await expect(one.run(api, {})).resolves.toBe('kept')
    await channel.shutdown()
    expect((await plugin.exited()).code).toBe(0)
  })

  it('takes some sixty lines', () => {
    const file = join(import.meta.dirname, '../fixtures/slots/scanner.ts')
    const lines = readFileSync(file, 'utf8').split('\n')
    expect(lines.filter((line) => line.trim() !== '' && !line.startsWith('import')).length).toBeLessThan(65)
  })

  it('is a type error where an author offers something else', () => {
    // @ts-expect-error -- scan answers an object
    const wrong: Offers<typeof fiveSlots> = { scanner: { scan: async () => true } }
    expect(Object.keys(wrong)).toEqual(['scanner'])
  })
})
