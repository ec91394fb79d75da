import { describe, expect, it } from 'vitest'
import { placeInJson } from '../../src/base/json-place.ts'

describe('the place of a value in a JSON text', () => {
  const text = `{
  "users": [
    { "username": "ada" },
    { "username": "bob",
      "permissions": { "/a.b": ["list"] } }
  ]
}`
  it.each([
    ['', 1, 1],
    ['users', 2, 12],
    ['users[1].username', 4, 19],
    ['users[1].permissions./a.b', 5, 32],
    ['users[1].permissions./a.b[0]', 5, 33],
    // What is not there is shown by what is around it.
    ['users[1].filters.denied_ip', 4, 5],
    ['users[7]', 2, 12],
  ])('%j is line %i, column %i', (path, line, column) => {
    expect(placeInJson(text, path)).toEqual({ line, column })
  })
})

describe('the place where a text stops being JSON', () => {
  it.each([
    ['{"a": x}', 1, 7, 'expected a value'],
    ['{\n "a": 1,\n}', 3, 1, 'expected a name in double quotes'],
    ['{"a" 1}', 1, 6, 'expected ":"'],
    ['[1 2]', 1, 4, 'expected "," or "]"'],
    ['[1}', 1, 3, 'expected "," or "]"'],
    ['{"a": 1} {', 1, 10, 'expected the end'],
    ['', 1, 1, 'expected a value'],
    ['{"a": "secret', 1, 7, 'expected a value'],
    ['[01]', 1, 2, 'expected a value'],
    ['[truest]', 1, 2, 'expected a value'],
  ])('%j: line %i, column %i, %s', (text, line, column, mistake) => {
    expect(() => void JSON.parse(text)).toThrow()
    expect(placeInJson(text)).toEqual({ line, column, mistake })
  })

  it('is looked for to a bounded depth, in a text of any size', () => {
    expect(placeInJson('['.repeat(100_000))).toMatchObject({ line: 1, mistake: 'expected fewer levels' })
    expect(placeInJson(`["${'x\\n'.repeat(1_000_000)}", x]`)).toMatchObject({ mistake: 'expected a value' })
  })
})
