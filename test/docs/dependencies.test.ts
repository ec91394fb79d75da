import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('gives every library of the program its reason in docs/dependencies.md', () => {
  // Our own package.json.
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Readonly<
    Record<string, Readonly<Record<string, string>>>
  >
  const named = [...readFileSync('docs/dependencies.md', 'utf8').matchAll(/^\| `([^`]+)`/gm)].map(
    ([, name]) => name,
  )
  const needed = Object.keys({ ...manifest['dependencies'], ...manifest['optionalDependencies'] })
  expect(new Set(named)).toEqual(new Set(needed))
})
