import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const page = readFileSync('docs/plugin-systems.md', 'utf8')

/** What a plugin system must have, by the rows of the comparison that it was read from. */
const wanted = [
  'S01 S02 S03 S04 S05 S06 S08 S09 S10 S11 S12 S13 S14 S18 S19 S50 S51 S52 S56 S62 S66',
  'G03 G11 G12 G13 G14 G15 G22 G23 G24 G50 G51 G52 G54 G55 G56 G58 G59 G60 G63 G64 G76',
  'P01 P02 P04 P05 P10 P11 P12 P16 P20 P21 P22 P51 P52',
  'C06 C07 C08 C09 C10 C11 C12 C13 C14 C15 C16 C17 C18 C20 C21 C22 C24 C25 C50 C53 C59',
].flatMap((line) => line.split(' '))

it('the page about other plugin systems has one row for each thing that such a system must have', () => {
  const rows = [...page.matchAll(/^\| ([SGPC]\d+) /gm)].map(([, row = '']) => row)
  expect(new Set(rows)).toEqual(new Set(wanted))
  expect(rows).toHaveLength(wanted.length)
})

it('every test that the page names is there', () => {
  const named = [...page.matchAll(/`(?:vitest )?((?:test|examples)\/[\w/.-]+)(?: -t "([^"]+)")?`/g)]
  expect(named.length).toBeGreaterThan(40)
  for (const [, path = '', title = ''] of named) {
    expect(existsSync(path), path).toBe(true)
    const files = statSync(path).isDirectory() ? readdirSync(path).map((name) => join(path, name)) : [path]
    const texts = files.filter((file) => file.endsWith('.ts')).map((file) => readFileSync(file, 'utf8'))
    expect(
      texts.some((text) => text.includes(title)),
      `${path}: ${title}`,
    ).toBe(true)
  }
})
