import { readFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { errorCatalogue } from '../../src/base/error-catalogue.ts'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { run } from '../../src/cli/run.ts'

/** `KIND CODE` of every member of the unions in the source. */
const declared = [
  ...readFileSync('src/base/errors.ts', 'utf8').matchAll(/export type (\w+)Code =\s([^]*?)\n\n/g),
].flatMap(([, kind = '', members = '']) =>
  [...members.matchAll(/'([a-z-]+)'/g)].map(([, code]) => `${kind} ${code}`),
)

describe('the catalogue of errors', () => {
  it('has one row for every code, and no other', () => {
    expect(declared.length).toBeGreaterThan(80)
    expect(errorCatalogue.map(({ kind, code }) => `${kind} ${code}`).toSorted()).toEqual(declared.toSorted())
  })

  it.each(errorCatalogue.map(({ kind, code, meaning, remedy }) => [kind, code, meaning, remedy]))(
    'says of %s %s what it means and what to do, on the page and in "explain"',
    async (kind, code, meaning, remedy) => {
      for (const sentence of [meaning, remedy]) expect(sentence).toMatch(/^\W*[A-Za-z"].{8,}[.?]$/)
      const page = readFileSync('docs/errors.md', 'utf8').split(`## ${kind}\n`)[1]?.split('\n## ')[0] ?? ''
      const row = page.split('\n').find((line) => line.startsWith(`| \`${code}\` `))
      expect(row?.replaceAll('\\|', '|')).toContain(remedy)
      const said = await explained(code)
      for (const text of [code, kind, meaning, remedy]) expect(said).toContain(text)
    },
  )
})

async function explained(code: string): Promise<string> {
  let said = ''
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text)
    return true
  })
  try {
    expect(await run(['explain', code])).toBe(exitCodes.ok)
    return said
  } finally {
    write.mockRestore()
  }
}
