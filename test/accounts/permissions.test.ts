import { describe, expect, it } from 'vitest'
import { createNameRules } from '../../src/accounts/name-rules.ts'
import { compilePattern } from '../../src/accounts/patterns.ts'
import { createPermissions } from '../../src/accounts/permissions.ts'
import { nameFromText, virtualPath } from '../../src/base/virtual-path.ts'

describe('permissions', () => {
  it('asks the nearest directory that has a rule, and no other', () => {
    const permissions = createPermissions({ '/': ['*'], '/in': ['upload'], '/in/deep': ['list', 'download'] })
    expect(permissions.allows('download', virtualPath('/other'))).toBe(true)
    expect(permissions.allows('upload', virtualPath('/in'))).toBe(true)
    expect(permissions.allows('list', virtualPath('/in/a/b'))).toBe(false)
    expect(permissions.allows('upload', virtualPath('/in/deep/er'))).toBe(false)
    expect(permissions.allows('download', virtualPath('/in/deep/er'))).toBe(true)
    expect(permissions.allows('list', virtualPath('/inside'))).toBe(true)
  })

  it('takes "delete" and "rename" for both of their kinds, and both kinds for the whole', () => {
    const permissions = createPermissions({
      ...{ '/': ['delete', 'rename_files'] },
      ...{ '/both': ['rename_files', 'rename_dirs'] },
    })
    expect(permissions.allows('delete_files', virtualPath('/'))).toBe(true)
    expect(permissions.allows('delete_dirs', virtualPath('/'))).toBe(true)
    expect(permissions.allows('rename_dirs', virtualPath('/'))).toBe(false)
    expect(permissions.allows('rename', virtualPath('/'))).toBe(false)
    expect(permissions.allows('rename', virtualPath('/both'))).toBe(true)
  })

  it('takes patterns on their level, after an exact path, the longest first', () => {
    const permissions = createPermissions({
      ...{ '/': ['list'], '/team-*': ['download'], '/team-red*': ['upload'], '/team-redux': ['delete'] },
    })
    expect(permissions.allows('download', virtualPath('/team-blue/sub'))).toBe(true)
    expect(permissions.allows('upload', virtualPath('/team-red'))).toBe(true)
    expect(permissions.allows('download', virtualPath('/team-red'))).toBe(false)
    expect(permissions.allows('delete', virtualPath('/team-redux'))).toBe(true)
    expect(permissions.allows('download', virtualPath('/x/team-blue'))).toBe(false)
  })

  it('finds rules written in UTF-8', () => {
    const permissions = createPermissions({ '/': ['list'], '/größe': ['*'], '/an?': ['upload'] })
    expect(permissions.allows('upload', virtualPath(nameFromText('/größe')))).toBe(true)
    expect(permissions.allows('upload', virtualPath(nameFromText('/anü')))).toBe(true)
  })

  it('says whether rules differ below', () => {
    const permissions = createPermissions({ '/': ['*'], '/a/b': ['list'] })
    expect(permissions.differBelow(virtualPath('/a'))).toBe(true)
    expect(permissions.differBelow(virtualPath('/a/b'))).toBe(false)
    expect(permissions.differBelow(virtualPath('/c'))).toBe(false)
  })
})

describe('file patterns', () => {
  const rules = createNameRules([
    { path: '/', denied_patterns: ['*.exe'] },
    { path: '/pics', allowed_patterns: ['*.JPG', '*.png'], deny_policy: 1 },
    { path: '/secret', denied_patterns: ['*'], deny_policy: 1 },
    { path: '/broken', denied_patterns: ['[a-'] },
  ])
  const verdict = (path: string): string => rules.verdictOn(virtualPath(nameFromText(path)))

  it('denies before it allows, without regard to case', () => {
    expect(verdict('/a/b/virus.EXE')).toBe('refused')
    expect(verdict('/a/b/text')).toBe('allowed')
    expect(verdict('/pics/a.jpg')).toBe('allowed')
    expect(verdict('/pics/a.gif')).toBe('hidden')
  })

  it('asks the nearest rule alone', () => {
    expect(verdict('/pics/virus.exe')).toBe('hidden')
    expect(verdict('/pics/virus.exe.png')).toBe('allowed')
  })

  it('hides whole directories under a rule that hides', () => {
    expect(verdict('/secret/plans')).toBe('hidden')
    expect(verdict('/pics/holiday/a.jpg')).toBe('hidden')
    expect(verdict('/secret')).toBe('allowed')
  })

  it('denies by a pattern that cannot be read', () => {
    expect(verdict('/broken/anything')).toBe('refused')
  })

  it('S-43 takes composed and decomposed letters for the same', () => {
    const folded = createNameRules([{ path: '/', denied_patterns: ['caf\u00e9*'] }])
    for (const name of ['caf\u00e9.txt', 'cafe\u0301.txt', 'CAF\u00c9.txt']) {
      expect(folded.verdictOn(virtualPath(nameFromText(`/${name}`)))).toBe('refused')
    }
  })
})

describe('shell patterns', () => {
  it("match as Go's path.Match does", () => {
    for (const [pattern, text, expected] of [
      ['abc', 'abc', true],
      ['*', 'abc', true],
      ['*c', 'abc', true],
      ['a*', 'a', true],
      ['a*', 'ab/c', false],
      ['a*/b', 'abc/b', true],
      ['a*/b', 'a/c/b', false],
      ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
      ['a*b*c*d*e*/f', 'axbxcxdxexxx/fff', false],
      ['a*b?c*x', 'abxbbxdbxebxczzx', true],
      ['a*b?c*x', 'abxbbxdbxebxczzy', false],
      ['ab[c]', 'abc', true],
      ['ab[b-d]', 'abc', true],
      ['ab[^e-g]', 'abc', true],
      ['ab[^b-d]', 'abc', false],
      ['a\\*b', 'a*b', true],
      ['a\\*b', 'ab', false],
      ['a?b', 'a☺b', true],
      ['a???b', 'a☺b', false],
      ['[a-ζ]*', 'α', true],
      ['*[a-ζ]', 'A', false],
      ['a?b', 'a/b', false],
      ['[\\]a]', ']', true],
      ['[\\-x]', '-', true],
      ['*x', 'xxx', true],
    ] as const) {
      expect(compilePattern(pattern)?.(text), `${pattern} on ${text}`).toBe(expected)
    }
    for (const malformed of ['[', '[]a]', '[-]', '[x-]', '[a', 'a[', '[^]', '[a-b-c]', '\\']) {
      expect(compilePattern(malformed), malformed).toBeUndefined()
    }
  })

  it('take no long time over a pattern made to take long', () => {
    const matches = compilePattern(`${'*a'.repeat(50)}b`)
    const start = performance.now()
    expect(matches?.('a'.repeat(5000))).toBe(false)
    expect(performance.now() - start).toBeLessThan(500)
  })
})
