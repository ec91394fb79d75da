import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/host/checksum.ts'
import type { ProgramEntry } from '../../src/host/program.ts'
import { digestToApprove, verifiedCopy } from '../../src/host/verified-copy.ts'
import { native } from '../../src/native/library.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const sealing = process.platform === 'linux' && native().works
const python = ['/usr/bin/python3', '/usr/local/bin/python3'].find((path) => existsSync(path))

interface Setup extends Disposable {
  readonly path: string
  file(name: string, text: string, mode?: number): string
  start(entry: Partial<ProgramEntry>, runFrom?: 'memory' | 'file'): ReturnType<typeof verifiedCopy>
  run(entry: Partial<ProgramEntry>, runFrom?: 'memory' | 'file'): Promise<string>
}

function setup(): Setup {
  const folder = temporaryDirectory()
  const start: Setup['start'] = (entry, runFrom = 'memory') =>
    verifiedCopy({ name: 'it', cmd: '', args: [], ...entry }, { runFrom, runFolder: folder.file('run') })
  return {
    path: folder.path,
    file(name, text, mode = 0o755) {
      const path = folder.file(name)
      mkdirSync(join(path, '..'), { recursive: true })
      writeFileSync(path, text, { mode })
      return path
    },
    start,
    async run(entry, runFrom) {
      const program = await start(entry, runFrom)
      const { descriptor } = program
      const { stdout, stderr } = spawnSync(program.command, [...program.leadingArgs, ...program.args], {
        argv0: program.argv0,
        env: {},
        stdio: ['ignore', 'pipe', 'pipe', ...(descriptor === undefined ? [] : [descriptor])],
        encoding: 'utf8',
      })
      await program.close()
      return `${stdout}${stderr}`.trim()
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

const sum = (text: string): string => digestOf(Buffer.from(text))

describe('a verified copy', () => {
  const ways = sealing ? (['memory', 'file'] as const) : (['file'] as const)

  it.each(ways)('runs a shell script from %s and says what is not covered', async (way) => {
    using it = setup()
    const text = '#!/bin/sh\necho "hello $1"\n'
    const entry = { cmd: it.file('s.sh', text), args: ['you'], sha256sum: sum(text) }
    expect(await it.run(entry, way)).toBe('hello you')
    const program = await it.start(entry, way)
    expect(program.warning).toContain('the interpreter "/bin/sh"')
    await program.close()
  })

  it.each(ways)('runs a program of the machine from %s', async (way) => {
    using it = setup()
    const bytes = readFileSync('/bin/echo')
    const cmd = it.file('echo', '')
    writeFileSync(cmd, bytes)
    expect(await it.run({ cmd, args: ['a', 'b'], sha256sum: digestOf(bytes).toUpperCase() }, way)).toBe('a b')
  })

  it.each(ways.flatMap((way) => ['cjs', 'mjs', 'js'].map((kind) => [kind, way] as const)))(
    'runs a .%s bundle with our own Node from %s, executable or not',
    async (kind, way) => {
      using it = setup()
      const text =
        kind === 'cjs'
          ? "const { argv } = require('node:process'); console.log('node', argv[2], require('node:process').execPath)"
          : "import { argv, execPath } from 'node:process'; console.log('node', argv[2], execPath)"
      // Node finds out by itself what a .js file is.
      const cmd = it.file(`p.${kind}`, text, 0o600)
      expect(await it.run({ cmd, args: ['x'], sha256sum: sum(text) }, way)).toContain(
        `node x ${process.execPath}`,
      )
    },
  )

  it.each(['#!/usr/bin/env node', '#!/opt/nowhere/node', '#!/usr/bin/env -S node --no-warnings'])(
    'runs a file that begins with %s with our own Node',
    async (line) => {
      using it = setup()
      const text = `${line}\nconsole.log(process.execPath)\n`
      expect(await it.run({ cmd: it.file('plugin', text), sha256sum: sum(text) })).toBe(process.execPath)
    },
  )

  it.skipIf(!sealing)('cannot be changed by anybody once it is made', async () => {
    using it = setup()
    const text = '#!/bin/sh\necho good\n'
    const program = await it.start({ cmd: it.file('s', text), sha256sum: sum(text) })
    expect(program.runsFrom).toBe('sealed memory')
    // Sealed programs have a descriptor.
    expect(() => writeSync(program.descriptor as number, 'evil', 0)).toThrow(/EPERM/)
    expect(readdirSync(it.path)).toEqual(['s'])
    await program.close()
  })

  it('is a file that only we may read, in a folder that only we may enter, when asked for', async () => {
    using it = setup()
    const text = '#!/bin/sh\necho good\n'
    const program = await it.start({ cmd: it.file('s', text), sha256sum: sum(text) }, 'file')
    expect(program.runsFrom).toBe('private copy')
    const modes = execFileSync('stat', ['-c', '%a', program.command, join(program.command, '..')], {
      encoding: 'utf8',
    })
    expect(modes.trim().split('\n')).toEqual(['500', '700'])
    await program.close()
    expect(existsSync(program.command)).toBe(false)
  })

  it.each([
    [
      'other bytes',
      { sha256sum: sum('other') },
      'checksum-mismatch',
      /has sha256 [0-9a-f]{64} and [0-9a-f]{64} is approved/,
    ],
    ['a short checksum', { sha256sum: 'abc' }, 'checksum-mismatch', /64 hexadecimal digits/],
    [
      'no checksum',
      { sha256sum: '' },
      'checksum-missing',
      /it has no sha256sum; if .* add "sha256sum": "[0-9a-f]{64}"/,
    ],
    ['a missing file', { cmd: '/nowhere/x', sha256sum: sum('x') }, 'not-found', /there is no/],
    ['a folder without a manifest', { cmd: '/usr', sha256sum: sum('x') }, 'not-found', /plugin\.json/],
    ['a device', { cmd: '/dev/null', sha256sum: sum('x') }, 'not-executable', /not a regular file/],
  ])('is refused for %s', async (_, entry, code, message) => {
    using it = setup()
    const failure = it.start({ cmd: it.file('s', '#!/bin/sh\n'), ...entry })
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    await expect(failure).rejects.toMatchObject({ message: expect.stringContaining('"it"') })
  })

  it('is refused for a program that nobody may execute', async () => {
    using it = setup()
    const text = '#!/bin/sh\n'
    const cmd = it.file('s', text, 0o644)
    await expect(it.start({ cmd, sha256sum: sum(text) })).rejects.toMatchObject({ code: 'not-executable' })
  })

  it('does not wait for a pipe that nobody writes to', async () => {
    using it = setup()
    execFileSync('mkfifo', [join(it.path, 'pipe')])
    await expect(it.start({ cmd: join(it.path, 'pipe'), sha256sum: sum('') })).rejects.toMatchObject({
      code: 'not-executable',
    })
  })

  it.each([
    ...['node', '/usr/bin/python3', '/usr/bin/env', '/bin/sh', 'python3.11', '/usr/bin/ruby3.1'],
    ...['/lib64/ld-linux-x86-64.so.2', '/usr/bin/timeout', '/usr/bin/xargs'],
  ])('is refused when cmd is the interpreter %s and has no digest of its own', async (cmd) => {
    using it = setup()
    const failure = it.start({ cmd, args: ['/opt/plugin.py'], sha256sum: sum('x') })
    await expect(failure).rejects.toMatchObject({ code: 'interpreter-unverified' })
    await expect(failure).rejects.toThrow(/is an interpreter, so its checksum would not cover the program/)
  })
})

describe('a folder with a plugin.json', () => {
  function manifest(files: Readonly<Record<string, string>>, more: object): string {
    const rows = Object.entries(files).map(([path, text]) => ({ path, sha256: sum(text) }))
    return JSON.stringify({ ...more, files: rows })
  }

  it('runs its entry beside its other files, all of them verified', async () => {
    using it = setup()
    const files = {
      'main.mjs': "import { word } from './lib/word.mjs'\nconsole.log(word)",
      'lib/word.mjs': "export const word = 'good'",
    }
    for (const [name, text] of Object.entries(files)) it.file(`p/${name}`, text)
    const text = manifest(files, { entry: 'main.mjs' })
    it.file('p/plugin.json', text)
    const entry = { cmd: join(it.path, 'p'), sha256sum: sum(text) }
    expect(await it.run(entry)).toBe('good')
    expect(await digestToApprove(entry.cmd)).toBe(sum(text))
    expect(readdirSync(join(it.path, 'run'))).toEqual([])
    it.file('p/lib/word.mjs', "export const word = 'evil'")
    await expect(it.start(entry)).rejects.toMatchObject({ code: 'checksum-mismatch' })
    expect(readdirSync(join(it.path, 'run'))).toEqual([])
  })

  it.each([
    ['not JSON', '{'],
    ['no files', '{"entry":"a"}'],
    ['an entry that is not listed', manifest({ a: '' }, { entry: 'b' })],
    [
      'a path that leaves the folder',
      JSON.stringify({ entry: 'a', files: [{ path: '../a', sha256: sum('') }] }),
    ],
    ['an absolute path', JSON.stringify({ entry: 'a', files: [{ path: '/a', sha256: sum('') }] })],
    [
      'a path twice',
      JSON.stringify({
        entry: 'a',
        files: [
          { path: 'a', sha256: sum('') },
          { path: 'a', sha256: sum('') },
        ],
      }),
    ],
    ['an entry for another machine', manifest({ a: '' }, { entry: { 'plan9-mips': 'a' } })],
  ])('is refused with %s', async (_, text) => {
    using it = setup()
    it.file('p/plugin.json', text)
    it.file('p/a', '')
    const entry = { cmd: join(it.path, 'p'), sha256sum: sum(text) }
    await expect(it.start(entry)).rejects.toMatchObject({ code: 'manifest-invalid' })
  })

  it.skipIf(python === undefined)(
    `runs in another language with a verified interpreter${python === undefined ? ' (skipped: no python3)' : ''}`,
    async () => {
      using it = setup()
      const interpreter = python as string // skipped otherwise
      const files = {
        'main.py': 'import word, sys\nprint(word.word, sys.argv[1:])',
        'word.py': "word = 'good'",
      }
      for (const [name, text] of Object.entries(files)) it.file(`p/${name}`, text)
      const text = manifest(files, { entry: 'main.py' })
      it.file('p/plugin.json', text)
      const interpreterSha256 = digestOf(readFileSync(interpreter))
      const byFolder = {
        cmd: interpreter,
        args: [join(it.path, 'p'), 'x'],
        sha256sum: sum(text),
        interpreterSha256,
      }
      expect(await it.run(byFolder)).toBe("good ['x']")
      const byScript = { ...byFolder, args: [join(it.path, 'p/main.py'), 'x'] }
      expect(await it.run(byScript)).toBe("good ['x']")
      const alone = { ...byFolder, args: [it.file('alone.py', 'print(1)')], sha256sum: sum('print(1)') }
      expect(await it.run(alone)).toBe('1')
      for (const wrong of [{ interpreterSha256: sum('x') }, { sha256sum: sum('x') }])
        await expect(it.start({ ...byFolder, ...wrong })).rejects.toMatchObject({ code: 'checksum-mismatch' })
      it.file('p/word.py', "word = 'evil'")
      await expect(it.start(byFolder)).rejects.toMatchObject({ code: 'checksum-mismatch' })
      expect(readdirSync(join(it.path, 'run'))).toEqual([])
    },
  )
})
