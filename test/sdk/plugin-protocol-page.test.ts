import { spawn } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildPlugin } from '../helpers/plugin-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const tests = join(import.meta.dirname, '..')
const page = readFileSync(join(tests, '../docs/plugin-protocol.md'), 'utf8')
const rows = [...page.matchAll(/^\| ([HP]\d\d|[FS]-\d+) +\| ([^|]+)\| (.+) \|$/gm)].map(
  ([, id = '', , shown = '']) => [id, shown] as const,
)

describe('the page about the protocol', () => {
  it('has every row of the checklist', () => {
    const faults = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15].map((number) => `F-${number}`)
    const attacks = Array.from({ length: 17 }, (_, index) => `S-${index + 54}`)
    const wanted = [...numbered('H', 64), ...numbered('P', 42), ...faults, ...attacks]
    expect(rows.map(([id]) => id)).toEqual(wanted)
  })

  it.each(rows)('names for row %s tests that exist', (_id, shown) => {
    const cited = [...shown.matchAll(/`([a-z/-]+)`: ([^<]+?)(?=<br>|$)/g)]
    for (const [, file = '', title = ''] of cited) {
      const source = readFileSync(join(tests, `${file}.test.ts`), 'utf8').replaceAll("\\'", "'")
      expect(source.replaceAll('\\"', '"'), file).toContain(
        title.trim().replaceAll('\\|', '|').replaceAll('\\_', '_'),
      )
    }
    if (cited.length === 0) expect(shown).toMatch(/not built|no test of its own|`test\/|npm run bench/)
  })

  it('begins with a command that prints the line below it', async () => {
    const [command = ''] = page.split('```sh\n')[1]?.split('\n```') ?? []
    const [printed = ''] = page.split('```\n')[2]?.split('\n```') ?? []
    expect(printed).toMatch(/^1\|1\|unix\|/)
    using built = await buildPlugin('quick')
    using folder = temporaryDirectory()
    const program = folder.file('my-plugin')
    writeFileSync(program, `#!${process.execPath}\n${readFileSync(built.file, 'utf8')}`)
    chmodSync(program, 0o755)
    const child = spawn('/bin/sh', ['-c', `exec env ${command}`], {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (bytes: Buffer) => resolve(String(bytes))),
    )
    child.kill('SIGTERM')
    expect(line.trimEnd().replace(/plugin[0-9a-f]+/, '')).toBe(
      printed.trimEnd().replace(/plugin[0-9a-f]+/, ''),
    )
  })
})

function numbered(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${letter}${String(index + 1).padStart(2, '0')}`)
}
