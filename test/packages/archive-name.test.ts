import { describe, expect, it } from 'vitest'
import {
  checkPackageName,
  currentPlatform,
  formatArchiveName,
  parseArchiveName,
} from '../../src/packages/archive-name.ts'

describe('archive names', () => {
  it.each([
    ['acme-auth-1.2.0-linux-amd64.tgz', { name: 'acme-auth', version: '1.2.0', platform: 'linux-amd64' }],
    ['x-0.0.1-any.tgz', { name: 'x', version: '0.0.1', platform: 'any' }],
    [
      'a-b-c-10.20.30-rc.1-darwin-arm64.tgz',
      { name: 'a-b-c', version: '10.20.30-rc.1', platform: 'darwin-arm64' },
    ],
    [
      'geo2-1.0.0-beta-2-windows-amd64.tgz',
      { name: 'geo2', version: '1.0.0-beta-2', platform: 'windows-amd64' },
    ],
  ])('reads %s and writes it again', (file, parts) => {
    const read = parseArchiveName(file)
    expect(read).toEqual(parts)
    expect(formatArchiveName(read)).toBe(file)
  })

  it.each([
    'acme-auth.tgz',
    'acme_auth-1.0.0-any.tgz',
    'Acme-1.0.0-any.tgz',
    'acme-1.0-any.tgz',
    'acme-1.0.0-linux-x64.tgz',
    '../acme-1.0.0-any.tgz',
    'acme-1.0.0-any.tgz.sig',
  ])('refuses %s and names the expected form', (file) =>
    expect(() => parseArchiveName(file)).toThrow(/NAME-VERSION-OS-ARCH\.tgz/),
  )

  it('says so when the archive is a zip', () => {
    expect(() => parseArchiveName('acme-auth-1.0.0-linux-amd64.zip')).toThrow(/it is a zip/)
  })

  it('takes plain names only', () => {
    expect(checkPackageName('acme-auth')).toBe('acme-auth')
    for (const name of ['', 'a--b', '-a', 'a-', '1a', 'A', 'a/b', 'a'.repeat(65)]) {
      expect(() => checkPackageName(name), name).toThrow(/cannot name a package/)
    }
  })

  it('names the platforms in the words of Go', () => {
    expect(currentPlatform('linux', 'x64')).toBe('linux-amd64')
    expect(currentPlatform('darwin', 'arm64')).toBe('darwin-arm64')
    expect(currentPlatform('aix', 'ppc64')).toBeUndefined()
  })
})
