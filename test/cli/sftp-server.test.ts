import { spawn, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createHash, randomBytes } from 'node:crypto'
import { homedir } from 'node:os'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { runSftpServer } from '../../src/cli/commands/sftp-server.ts'
import { parseFlags } from '../../src/cli/sftp-server/flags.ts'
import { createPlainLog } from '../../src/cli/sftp-server/plain-log.ts'
import { createSystemLog } from '../../src/cli/sftp-server/system-log.ts'
import { createToldFiles } from '../../src/cli/sftp-server/told-files.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { init, packet, u32 } from '../helpers/sftp-peer.ts'
import { filesOn } from '../helpers/user-files.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const out = `${top}node_modules/.cache/sftp-server-test`
const program = `${out}/main.js`
const client = spawnSync('sftp', ['-V']).error === undefined ? 'sftp' : undefined

beforeAll(() => {
  const tsc = `${top}node_modules/typescript/bin/tsc`
  const built = spawnSync(process.execPath, [tsc, '-p', `${top}tsconfig.json`, '--outDir', out], { cwd: top })
  if (built.status !== 0) throw new Error(String(built.stdout))
}, 120_000)

/** Runs a batch through OpenSSH's client against the program. */
function batch(lines: readonly string[], flags: readonly string[] = [], options: readonly string[] = []) {
  using directory = temporaryDirectory()
  writeFileSync(directory.file('batch'), `${lines.join('\n')}\n`)
  const command = [process.execPath, program, 'sftp-server', ...flags].join(' ')
  const done = spawnSync('sftp', [...options, '-b', directory.file('batch'), '-D', command], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status: done.status, text: done.stdout + done.stderr }
}

describe('the flags of sftp-server', () => {
  it("are OpenSSH's, joined or apart", () => {
    expect(parseFlags(['-eR', '-u022', '-l', 'debug3', '-d', '/x', '-P', 'remove,rmdir'])).toEqual({
      do: 'serve',
      flags: {
        ...{
          logToStderr: true,
          facility: 4,
          logLevel: 'DEBUG3',
          readOnly: true,
          umask: 0o22,
          startDirectory: '/x',
        },
        denied: new Set(['remove', 'rmdir']),
      },
    })
    expect(parseFlags(['-f', 'local3', '-p', 'open'])).toMatchObject({ do: 'serve', flags: { facility: 19 } })
    expect(parseFlags(['-h'])).toEqual({ do: 'usage' })
    expect(parseFlags(['--help'])).toEqual({ do: 'help' })
    expect(parseFlags(['-Q', 'requests'])).toEqual({ do: 'query', feature: 'requests' })
  })

  it('are refused when they mean nothing', () => {
    for (const args of [
      ['-x'],
      ['-d'],
      ['-u', '9'],
      ['-u', '1777'],
      ['-l', 'LOUD'],
      ['-f', 'KERN'],
      ['word'],
      ['-P', 'remove', '-P', 'rmdir'],
      ['-p', 'open', '-p', 'close'],
    ]) {
      expect(parseFlags(args)).toMatchObject({ do: 'refuse' })
    }
  })

  it('-Q names the requests that OpenSSH names', async () => {
    const output = new PassThrough()
    const streams = { input: new PassThrough(), output, error: new PassThrough() }
    expect(await runSftpServer(['-Q', 'requests'], streams)).toBe(0)
    const names = String(output.read()).trim().split('\n')
    const openssh = '/usr/lib/openssh/sftp-server'
    if (existsSync(openssh)) {
      const theirs = spawnSync(openssh, ['-Q', 'requests'], { encoding: 'utf8' }).stdout.trim().split('\n')
      expect(names).toEqual(theirs)
    }
    expect(await runSftpServer(['-Q', 'other'], streams)).toBe(1)
  })
})

describe('sftp-server as a process', () => {
  it.skipIf(client === undefined)(
    'serves on where -P or -p names a request that nobody has, and says so',
    () => {
      using directory = temporaryDirectory()
      writeFileSync(directory.file('f'), 'kept')
      const banned = batch(['ls', '-rm f', 'ls'], ['-e', '-P', 'nope,remove', '-d', directory.path])
      expect(banned).toMatchObject({ status: 0 })
      expect(banned.text).toContain('no request has this name of -P or -p name="nope"')
      expect(readFileSync(directory.file('f'), 'utf8')).toBe('kept')
      const allowed = batch(['ls'], ['-e', '-p', 'nope', '-d', directory.path])
      expect(allowed.text).toContain('name="nope"')
      expect(allowed.status).not.toBe(0)
    },
  )

  it('answers INIT within 200 ms of its start, and loads no gRPC, ssh2 or database', async () => {
    const inits: number[] = []
    const bare: number[] = []
    for (let run = 0; run < 6; run += 1) {
      const nothing = performance.now()
      spawnSync(process.execPath, ['-e', '0'])
      bare.push(performance.now() - nothing)
      const start = performance.now()
      const child = spawn(process.execPath, [program, 'sftp-server'], { stdio: ['pipe', 'pipe', 'inherit'] })
      child.stdin.write(init())
      await new Promise((resolve) => child.stdout.once('data', resolve))
      inits.push(performance.now() - start)
      child.stdin.end()
      expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0)
    }
    // The quickest of some: other tests share the machine. An idle one starts a bare Node in 45 ms; where that
    // takes longer, all of it does.
    expect(Math.min(...inits)).toBeLessThan(Math.max(200, 4.5 * Math.min(...bare)))
    const trace = `
      const { Module } = await import('node:module')
      process.argv.push('main.js', 'sftp-server', '-Q', 'requests')
      const loaded = []
      const load = Module._load
      Module._load = (name, ...rest) => (loaded.push(name), load(name, ...rest))
      process.on('exit', () => {
        const all = [...loaded, ...Object.keys(Module._cache), ...(process.report.getReport().sharedObjects ?? [])]
        process.stderr.write(JSON.stringify(all))
      })
      await import(${JSON.stringify(program)})`
    const traced = spawnSync(process.execPath, ['--input-type=module', '-e', trace], { encoding: 'utf8' })
    expect(traced.stdout).toContain('posix-rename')
    expect(traced.stderr).not.toMatch(/grpc|ssh2|libsql|node:sqlite/)
  })

  it('imports no gRPC, ssh2 or database, however deep', () => {
    const seen = new Set<string>()
    const libraries = new Set<string>()
    const follow = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      const text = readFileSync(file, 'utf8')
      for (const [, specifier = ''] of text.matchAll(
        /^(?:import|export)\s(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
      )) {
        if (specifier.startsWith('.')) follow(new URL(specifier, `file://${file}`).pathname)
        else libraries.add(specifier)
      }
    }
    follow(`${out}/cli/commands/sftp-server.js`)
    expect(seen.size).toBeGreaterThan(30)
    expect([...libraries].filter((name) => !name.startsWith('node:') && name !== 'koffi')).toEqual([])
    expect([...libraries]).not.toContain('node:sqlite')
  })

  it('C-3 C-5 exits with an error when it is not spoken to in SFTP', () => {
    for (const bytes of [packet(17, u32(1), '/'), Buffer.from('GET / HTTP/1.0\r\n\r\n')]) {
      const done = spawnSync(process.execPath, [program, 'sftp-server'], { input: bytes, timeout: 10_000 })
      expect(done.status).toBe(11)
      expect(done.stdout.length).toBe(0)
    }
  })
})

describe.skipIf(client === undefined)(`OpenSSH's sftp against sftp-server (needs "sftp")`, () => {
  it('C-70 starts at home, or at -d with its tokens', () => {
    expect(batch(['pwd']).text).toContain(`Remote working directory: ${homedir()}`)
    using directory = temporaryDirectory()
    expect(batch(['pwd'], ['-d', directory.path]).text).toContain(directory.path)
    expect(batch(['pwd'], ['-d', '%d']).text).toContain(homedir())
  })

  it('C-92 moves files unchanged with any number of requests and any size of buffer', () => {
    using directory = temporaryDirectory()
    const content = randomBytes(3_000_001)
    writeFileSync(directory.file('source'), content)
    for (const options of [
      ['-R', '1'],
      ['-R', '256', '-B', '1000'],
      ['-R', '17', '-B', '32768'],
      ['-B', '261120'],
    ]) {
      const { status, text } = batch(
        [
          `put ${directory.file('source')} ${directory.file('up')}`,
          `get ${directory.file('up')} ${directory.file('down')}`,
        ],
        [],
        options,
      )
      expect(status, text).toBe(0)
      for (const name of ['up', 'down'])
        expect(sha256(directory.file(name))).toBe(sha256(directory.file('source')))
    }
  })

  it('C-93 resumes at every kind of place', () => {
    using directory = temporaryDirectory()
    const content = randomBytes(100_000)
    writeFileSync(directory.file('source'), content)
    for (const size of [0, 1, 1000, 99_999, 100_000]) {
      for (const name of ['up', 'down']) writeFileSync(directory.file(name), content.subarray(0, size))
      const { status, text } = batch([
        `-reput ${directory.file('source')} ${directory.file('up')}`,
        `-reget ${directory.file('source')} ${directory.file('down')}`,
      ])
      expect(status, text).toBe(0)
      for (const name of ['up', 'down']) expect(readFileSync(directory.file(name)).equals(content)).toBe(true)
    }
  })

  it('C-26 C-66 C-67 C-68 C-77 C-78 C-80 does what the batch says', () => {
    using directory = temporaryDirectory()
    const at = (name: string): string => directory.file(name)
    writeFileSync(at('f'), 'content')
    const { status, text } = batch([
      `mkdir ${at('d')}`,
      `-mkdir ${at('d')}`,
      `rename ${at('f')} ${at('d/g')}`,
      `-rmdir ${at('d')}`,
      `ln ${at('d/g')} ${at('hard')}`,
      `ln -s d/g ${at('soft')}`,
      `chmod 4755 ${at('hard')}`,
      `cp ${at('d/g')} ${at('copy')}`,
      `rename ${at('copy')} ${at('hard2')}`,
      `ls -l ${directory.path}`,
      `df ${directory.path}`,
      `-rm ${at('d')}`,
      `rm ${at('soft')}`,
    ])
    expect(status, text).toBe(0)
    expect(readdirSync(directory.path).sort()).toEqual(['d', 'hard', 'hard2'])
    expect(readFileSync(at('hard2'), 'utf8')).toBe('content')
    // The kernel's permissions are the only ones here: set-user-id stays.
    expect(statSync(at('hard')).mode & 0o7777).toBe(0o4755)
    expect(text).toMatch(/-rwsr-xr-x +\S+ \S+ +\S+ +7 .*hard/)
  })

  it('follows links out of any home, and lists names of every kind', () => {
    using directory = temporaryDirectory()
    symlinkSync('/etc', directory.file('etc'))
    mkdirSync(directory.file('names'))
    for (const name of ['ü', 'with space', '-dash', 'x'.repeat(255)])
      writeFileSync(directory.file(`names/${name}`), '')
    const { status, text } = batch([
      `ls -1 ${directory.file('etc/passwd')}`,
      `ls -1 ${directory.file('names')}`,
      `get /dev/null ${directory.file('null')}`,
    ])
    expect(text).toContain('passwd')
    for (const name of ['with space', '-dash', 'x'.repeat(255)]) expect(text).toContain(name)
    expect(status).toBe(1)
  })

  it('refuses by -R, -P and -p, and masks by -u', () => {
    using directory = temporaryDirectory()
    writeFileSync(directory.file('f'), 'x')
    const remove = `rm ${directory.file('f')}`
    expect(batch([remove], ['-R']).text).toContain('Permission denied')
    expect(batch([remove], ['-P', 'remove']).text).toContain('Permission denied')
    expect(batch([remove], ['-p', 'lstat,stat,realpath']).text).toContain('Permission denied')
    expect(existsSync(directory.file('f'))).toBe(true)
    expect(batch([`put ${directory.file('f')} ${directory.file('g')}`], ['-u', '077']).status).toBe(0)
    expect(statSync(directory.file('g')).mode & 0o777).toBe(0o600)
    expect(batch([remove]).status).toBe(0)
  })

  it('tells with -e what it refuses, when asked to say as much', () => {
    expect(batch(['-ls /nowhere'], ['-e', '-l', 'DEBUG']).text).toContain('sftp request refused')
    expect(batch(['-ls /nowhere'], ['-e']).text).not.toContain('sftp request refused')
  })
})

describe('the log of sftp-server', () => {
  const openssh = '/usr/lib/openssh/sftp-server'
  const needs = client === undefined || !existsSync(openssh) ? ` (skipped: needs sftp and ${openssh})` : ''

  it.skipIf(needs !== '')(`has the lines of OpenSSH's, for whoever reads those by program${needs}`, () => {
    const lines = (command: string): string[] => {
      using directory = temporaryDirectory()
      const at = (name: string): string => directory.file(name)
      writeFileSync(at('local'), 'twelve bytes')
      utimesSync(at('local'), 1_000_000_000, 1_000_000_000)
      mkdirSync(at('home'))
      const batchLines = [
        ...[`put -p ${at('local')} x`, 'chmod 640 x', 'rename x y', 'ln y hard', 'ln -s y soft', 'mkdir d'],
        ...['-rename -l y hard', 'rmdir d', 'ls', '-get nope', '-rm nope', `get y ${at('back')}`, 'rm y'],
      ]
      writeFileSync(at('batch'), `${batchLines.join('\n')}\n`)
      const done = spawnSync('sftp', ['-b', at('batch'), '-D', `${command} -e -l INFO -d ${at('home')}`], {
        ...{ encoding: 'utf8', timeout: 20_000 },
        env: { ...process.env, SSH_CONNECTION: '192.0.2.7 50000 192.0.2.8 22' },
      })
      return done.stderr
        .split(/\r?\n/)
        .map((line) => line.replace(/^sftp-server\[\d+\]: info: /, '').replaceAll(directory.path, ''))
        .filter((line) =>
          /^(session|open|close|set|remove|rename|posix|mkdir|rmdir|hard|sym|sent)/.test(line),
        )
    }
    const ours = lines(`${process.execPath} ${program} sftp-server`)
    expect(ours[0]).toMatch(/^session opened for local user \S+ from \[192\.0\.2\.7\]$/)
    expect(ours).toContain('close "/home/x" bytes read 0 written 12')
    expect(withoutLooks(ours)).toEqual(withoutLooks(lines(openssh)))
  })

  it("goes to the system's log where -e is not given, with facility and severity in front", async () => {
    const lines: string[] = []
    const sink = createSystemLog(23, '/dev/log', (_socket, text) => {
      lines.push(text)
      return true
    })
    const log = createPlainLog(sink, 'INFO')
    log.info('open "/x"')
    log.error('sftp request failed', { error: 'EIO' })
    log.debug('unheard')
    expect(lines).toEqual([
      `<190>sftp-server[${process.pid}]: open "/x"`,
      `<187>sftp-server[${process.pid}]: sftp request failed error="EIO"`,
    ])
  })

  it('shows what would begin a line of its own by its number', async () => {
    const said: string[] = []
    const log = createPlainLog((_level, line) => said.push(line), 'INFO')
    const files = createToldFiles(filesOn(createMemoryBackend()), log)
    await files.makeDirectory(virtualPath('/a\nopen "shadow"\x1b'), 0o755)
    expect(said).toEqual(['mkdir name "/a\\012open "shadow"\\033" mode 0755'])
  })
})

/** A client may look at a name once more or less: what it looked for in vain is not compared. */
function withoutLooks(lines: readonly string[]): string[] {
  return lines.filter((line) => line !== 'sent status No such file')
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}
