import { openSync, closeSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileError } from '../../src/base/errors.ts'
import { errnoOf, errnos, fileErrorFrom, fileErrorOf } from '../../src/native/errno.ts'
import { addressOf, findNative, lastErrno } from '../../src/native/library.ts'

const here = findNative({})

describe('native code', () => {
  it('is switched off by SFTPGO_TS_NATIVE=0, and says so', () => {
    expect(findNative({ SFTPGO_TS_NATIVE: '0' })).toEqual({ works: false, reason: 'SFTPGO_TS_NATIVE is 0' })
  })

  it.skipIf(!here.works)('calls a function of libc and reads its error number', () => {
    if (!here.works) return
    const close = here.libc.declare<(fd: number) => number>('int close(int fd)')
    expect(close(-1)).toBe(-1)
    expect(lastErrno()).toBe(errnos.EBADF)
  })

  it.skipIf(!here.works)('reads the error number of a call in the pool inside its callback', async () => {
    if (!here.works) return
    const close = here.libc.declare<(fd: number) => number>('int close(int fd)')
    const answer = await new Promise((resolve) =>
      close.async(-1, (_error, result) => resolve([result, lastErrno()])),
    )
    expect(answer).toEqual([-1, errnos.EBADF])
  })

  it.skipIf(!here.works)('hands the memory of a buffer to C', () => {
    if (!here.works) return
    const strlen = here.libc.declare<(text: number) => number>('size_t strlen(uint64_t text)')
    const buffer = Buffer.allocUnsafeSlow(16).fill(0)
    buffer.write('seven..', 'latin1')
    expect(strlen(addressOf(buffer))).toBe(7)
    expect(strlen(addressOf(buffer) + 4)).toBe(3)
  })

  it.skipIf(!here.works)('says whether a function is there', () => {
    if (!here.works) return
    expect(here.libc.has('close')).toBe(true)
    expect(here.libc.has('close_everything_there_is')).toBe(false)
    expect(() => here.libc.declare('int close_everything_there_is(int fd)')).toThrow()
  })

  it.skipIf(!here.works)('finds the OpenSSL that Node itself uses', () => {
    if (!here.works) return
    const number = here.crypto?.declare<() => number | bigint>('ulong OpenSSL_version_num()')
    // 0xMNN00PP0: major, minor and patch, as `process.versions.openssl` says them.
    const version = Number(number?.() ?? 0)
    const text = [version >>> 28, (version >>> 20) & 0xff, (version >>> 4) & 0xff].join('.')
    expect(process.versions.openssl.startsWith(text)).toBe(true)
  })
})

describe('errors of the disk', () => {
  it.each([
    [errnos.ENOENT, 'not-found'],
    [errnos.EACCES, 'permission-denied'],
    [errnos.EPERM, 'permission-denied'],
    [errnos.EEXIST, 'already-exists'],
    [errnos.ELOOP, 'too-many-links'],
    [errnos.EXDEV, 'cross-device'],
    [28, 'no-space'],
    [122, 'quota-exceeded'],
    [9999, 'input-output'],
  ])('says number %i in our words: %s', (errno, code) => {
    expect(fileErrorOf(errno, 'Cannot open "a"')).toMatchObject({ code })
    expect(fileErrorOf(-errno, 'Cannot open "a"')).toMatchObject({ code })
  })

  it('reads what Node throws', () => {
    const folder = mkdtempSync(join(tmpdir(), 'native-errno-'))
    try {
      closeSync(openSync(join(folder, 'missing'), 'r'))
      expect.unreachable('the file is not there')
    } catch (error) {
      expect(errnoOf(error)).toBe(errnos.ENOENT)
      expect(fileErrorFrom(error, 'Cannot open "missing"')).toMatchObject({
        code: 'not-found',
        message: 'Cannot open "missing": ENOENT',
        cause: error,
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('leaves our own errors as they are', () => {
    const own = new FileError('busy', 'Cannot do that')
    expect(fileErrorFrom(own, 'Cannot open "a"')).toBe(own)
    expect(fileErrorFrom(new Error('odd'), 'Cannot open "a"')).toMatchObject({ code: 'input-output' })
  })
})
