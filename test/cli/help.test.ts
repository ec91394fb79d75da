import { afterEach, describe, expect, it, vi } from 'vitest'
import { commandTable } from '../../src/cli/command-table.ts'
import { run } from '../../src/cli/run.ts'

afterEach(() => void vi.restoreAllMocks())

describe('--help', () => {
  it.each(commandTable.map(({ words }) => words))('of "%s" ends well and shows an example', async (words) => {
    const said: string[] = []
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      said.push(String(text))
      return true
    })
    const code = await run([...words.split(' '), '--help'])
    vi.restoreAllMocks()
    expect(code).toBe(0)
    const examples = said.join('').split('Examples:\n')[1] ?? ''
    const lines = examples.trim().split('\n')
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) expect(line).toContain(`sftpgo-ts ${words}`)
    // These stay and talk; OpenSSH decided the options of the third one.
    const stays = ['serve', 'plugin dev', 'sftp-server'].includes(words)
    expect(said.join('').includes('--json'), 'prints what it has to say for programs, too').toBe(!stays)
  })
})

describe('--config', () => {
  it.each([['explain', 'checksum-mismatch'], ['version'], ['plugin', 'checksum', process.execPath]])(
    'is taken by a command that reads no configuration: %s',
    async (...words) => {
      vi.spyOn(process.stdout, 'write').mockReturnValue(true)
      expect(await run([...words, '--config', '/nowhere/sftpgo.config.json'])).toBe(0)
    },
  )
})
