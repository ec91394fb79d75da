import { describe, expect, it } from 'vitest'
import {
  addPluginEntry,
  removePluginEntry,
  setPluginKey,
  writtenEntries,
} from '../../src/config/edit-plugins.ts'

const text = `{
  // who may come in
  "plugins": [
    { "type": "auth", "cmd": "a" }, // the directory
  ],
  "sftpd": { "max_auth_tries": 3 }
}
`

describe('editing the plugins of a configuration', () => {
  it('adds an entry and leaves comments alone', () => {
    const next = addPluginEntry('f', text, { type: 'kms', source: 'vault' })
    expect(writtenEntries('f', next)).toEqual([
      { type: 'auth', cmd: 'a' },
      { type: 'kms', source: 'vault' },
    ])
    expect(next).toContain('// who may come in')
    expect(next).toContain('// the directory')
  })

  it('makes the list where there is none', () => {
    expect(writtenEntries('f', addPluginEntry('f', '{}', { type: 'kms' }))).toEqual([{ type: 'kms' }])
  })

  it('sets a key, takes it out again, and removes an entry', () => {
    const off = setPluginKey('f', text, 0, 'enabled', false)
    expect(writtenEntries('f', off)).toEqual([{ type: 'auth', cmd: 'a', enabled: false }])
    expect(writtenEntries('f', setPluginKey('f', off, 0, 'enabled', undefined))).toEqual([
      { type: 'auth', cmd: 'a' },
    ])
    expect(writtenEntries('f', removePluginEntry('f', text, 0))).toEqual([])
  })

  it('touches no file with mistakes', () => {
    expect(() => addPluginEntry('f', '{ "plugins": [', {})).toThrow(/config check/)
  })
})
