import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { makeFolders } from '../../src/base/make-folders.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe('folders that are missing', () => {
  it('are made with those above them, with the mode that was asked, and only once', () => {
    using folder = temporaryDirectory()
    const path = folder.file('a/b/c')
    expect(makeFolders(path, 0o700)).toBe(true)
    expect(statSync(folder.file('a')).mode & 0o777).toBe(0o700)
    expect(makeFolders(path, 0o700)).toBe(false)
    expect(makeFolders(`${path}/`)).toBe(false)
  })

  it('are made behind a link, and a folder there is left as it is', () => {
    using folder = temporaryDirectory()
    mkdirSync(folder.file('real'))
    chmodSync(folder.file('real'), 0o755)
    symlinkSync('real', folder.file('link'))
    expect(makeFolders(folder.file('link'), 0o700)).toBe(false)
    expect(makeFolders(folder.file('link/inner'), 0o700)).toBe(true)
    expect(existsSync(folder.file('real/inner'))).toBe(true)
    expect(statSync(folder.file('real')).mode & 0o777).toBe(0o755)
  })

  it('cannot be made below a file, through a link to nothing, or where the system takes nothing new', () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('file'), '')
    symlinkSync('nowhere', folder.file('dangling'))
    expect(() => makeFolders(folder.file('file'))).toThrow('EEXIST')
    expect(() => makeFolders(folder.file('file/a/b'))).toThrow(/EEXIST|ENOTDIR/)
    expect(() => makeFolders(folder.file('dangling'))).toThrow('EEXIST')
    // Node's own recursive form never returns from this one.
    if (existsSync('/proc/self')) expect(() => makeFolders('/proc/none/a/b')).toThrow(/ENOENT|EACCES|EPERM/)
  })
})
