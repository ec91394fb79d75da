import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest'
import { startScenarioServer, type ScenarioServer } from './clients/scenario-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const missing = spawnSync('sftp', ['-V']).error === undefined ? '' : ' (skipped: sftp is not installed)'

/** What a batch of commands said; each beginning with "-" may fail. */
interface Said {
  readonly status: number | null
  readonly text: string
}

/** A folder that a client reaches, and the client. */
interface Place extends AsyncDisposable {
  /** Where it lies on this machine. */
  readonly home: string
  /** A folder for the client's own files. */
  readonly scratch: string
  batch(...lines: readonly string[]): Said
}

/** Rows that a stock client can show; each over `sftp-server` and over the server with a confined home. */
describe.skipIf(missing !== '').each([
  { name: "sftp-server, by the client's -D", open: openProgram },
  { name: 'the server, over SSH', open: openServer },
])(`OpenSSH's sftp against $name${missing}`, ({ open }) => {
  let opened: Place
  let place: Place
  let folders = 0

  beforeAll(async () => {
    opened = await open()
  }, 60_000)
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(() => {
    folders += 1
    const home = join(opened.home, `t${folders}`)
    const scratch = join(opened.scratch, `t${folders}`)
    for (const path of [home, scratch]) mkdirSync(path)
    place = {
      ...{ home, scratch },
      batch: (...lines) => opened.batch(`cd t${folders}`, `lcd ${scratch}`, ...lines),
      async [Symbol.asyncDispose]() {},
    }
  })
  afterEach(() => place[Symbol.asyncDispose]())

  const far = (name: string): string => join(place.home, name)
  const near = (name: string): string => join(place.scratch, name)
  const write = (path: string, content = ''): void => writeFileSync(path, content)

  it('C-18 C-19 says that a missing file is missing', () => {
    const { text, status } = place.batch('-get missing', '-chmod 600 missing', '-rm missing')
    expect(status).toBe(0)
    expect(text.match(/not found|No such file/g)?.length).toBeGreaterThanOrEqual(3)
    expect(readdirSync(place.home)).toEqual([])
  })

  it('C-21 C-36 C-37 replaces a longer file, and puts an empty one and one with a hole', () => {
    write(far('f'), 'a longer content')
    write(near('f'), 'short')
    write(near('empty'))
    write(near('hole'), 'x')
    truncateSync(near('hole'), 3_000_000)
    expect(place.batch('put f', 'put empty', 'put hole').status).toBe(0)
    expect(readFileSync(far('f'), 'utf8')).toBe('short')
    expect(statSync(far('empty')).size).toBe(0)
    expect(readFileSync(far('hole')).equals(readFileSync(near('hole')))).toBe(true)
  })

  it('C-27 C-56 gives an upload its mode, and with -p mode and times', () => {
    write(near('plain'), 'x')
    write(near('script'), 'x')
    chmodSync(near('script'), 0o750)
    utimesSync(near('script'), 1_000_000_000, 1_000_000_001)
    expect(place.batch('put plain', 'put -p script').status).toBe(0)
    expect(statSync(far('plain')).mode & 0o7777).toBe(0o666 & ~process.umask() & statSync(near('plain')).mode)
    expect(statSync(far('script'))).toMatchObject({ mtimeMs: 1_000_000_001_000 })
    expect(statSync(far('script')).mode & 0o7777).toBe(0o750)
  })

  it('C-28 C-45 C-69 takes a directory for no file, and a file for no directory', () => {
    mkdirSync(far('d'))
    write(far('f'), 'x')
    const { text } = place.batch('-get d d-here', '-cd f', '-put nothing-here')
    expect(text).toMatch(/not a regular file|Is a directory|directory/i)
    expect(text).toMatch(/Can't change directory|not a directory/i)
    expect(existsSync(near('d-here'))).toBe(false)
  })

  it('C-31 C-38 gets and puts a file of an odd size unchanged', () => {
    const content = Buffer.from(Array.from({ length: 777_777 }, (_, index) => (index * 31) & 0xff))
    writeFileSync(near('f'), content)
    expect(place.batch('put f', 'get f back').status).toBe(0)
    expect(readFileSync(far('f')).equals(content)).toBe(true)
    expect(readFileSync(near('back')).equals(content)).toBe(true)
  })

  it('C-49 C-64 C-68 lists links as links, dangling ones too, and removes the link alone', () => {
    write(far('f'), 'content')
    symlinkSync('f', far('link'))
    symlinkSync('nowhere', far('dangling'))
    const { text } = place.batch('ls -l', '-get dangling', 'rm link')
    expect(text).toMatch(/^l[-rwx]{9} .* dangling\s*$/m)
    expect(text).toMatch(/^l[-rwx]{9} .* link\s*$/m)
    expect(text).toMatch(/^-[-rwx]{9} .* 7 .* f\s*$/m)
    expect(readFileSync(far('f'), 'utf8')).toBe('content')
    expect(readdirSync(place.home).sort()).toEqual(['dangling', 'f'])
  })

  it('C-51 C-53 changes the mode', () => {
    write(far('f'), 'x')
    expect(place.batch('chmod 640 f').status).toBe(0)
    expect(statSync(far('f')).mode & 0o7777).toBe(0o640)
  })

  it('C-59 C-63 C-65 lists names of every kind, each once, and dates as ls does', () => {
    const names = ['ü', 'with space', '-dash', 'x'.repeat(255), 'trailing.', '日本']
    for (const name of names) write(far(name), 'x')
    utimesSync(far('with space'), 1, 400 * 86_400)
    const { text } = place.batch('ls -1', 'ls -l')
    for (const name of ['with space', '-dash', 'x'.repeat(255), 'trailing.'])
      expect(text.split('\n').filter((line) => line.trim() === name)).toHaveLength(1)
    expect(text).toMatch(/^-\S+ +\S+ \S+ +\S+ +1 Feb +[45] +1971 with space\s*$/m)
    expect(text).toMatch(/ \d\d:\d\d -dash\s*$/m)
    expect(text).not.toMatch(/ \.\.?\s*$/m)
  })

  it('C-66 C-67 makes and removes directories, not twice and not with entries', () => {
    const { text } = place.batch(
      'mkdir d',
      '-mkdir d',
      '-mkdir missing/d',
      '-rmdir d',
      'mkdir e',
      '-rmdir missing',
    )
    expect(text).toContain('remote mkdir "')
    expect(readdirSync(place.home)).toEqual(['e'])
    write(far('e/f'))
    expect(place.batch('-rmdir e').text).toMatch(/Failure|Directory not empty/)
    expect(readdirSync(place.home)).toEqual(['e'])
  })

  it('C-70 C-72 C-73 finds its way by relative paths, dots and slashes', () => {
    mkdirSync(far('d/deep'), { recursive: true })
    write(far('d/deep/f'), 'x')
    const { text, status } = place.batch('cd d//deep/', 'pwd', 'cd ..', 'pwd', 'cd ./deep/../deep', 'get f')
    expect(status, text).toBe(0)
    expect(text).toMatch(/Remote working directory: \S*\/d\/deep\s/)
    expect(text).toMatch(/Remote working directory: \S*\/d\s/)
    expect(readFileSync(near('f'), 'utf8')).toBe('x')
  })

  it('C-77 C-78 C-79 refuses an old rename onto a name, and replaces by the new one', () => {
    write(far('a'), 'a')
    write(far('b'), 'b')
    mkdirSync(far('d/inner'), { recursive: true })
    const { text } = place.batch('-rename -l a b', '-rename d d/inner/d')
    expect(text.match(/rename/g)?.length).toBeGreaterThanOrEqual(2)
    expect([readFileSync(far('a'), 'utf8'), readFileSync(far('b'), 'utf8')]).toEqual(['a', 'b'])
    expect(place.batch('rename a b', 'rename d e').status).toBe(0)
    expect(readFileSync(far('b'), 'utf8')).toBe('a')
    expect(readdirSync(place.home).sort()).toEqual(['b', 'e'])
  })

  it('C-81 C-83 tells how full the place is', () => {
    const { text, status } = place.batch('df', 'df -hi')
    expect(status, text).toBe(0)
    expect(text).toMatch(/Size +Used +Avail/)
  })

  it('C-82 C-92 uses the limits that are told', () => {
    write(near('f'), 'x'.repeat(1_000_000))
    expect(place.batch('put f', 'get f back').status).toBe(0)
    expect(readFileSync(near('back'), 'utf8')).toBe('x'.repeat(1_000_000))
  })

  it('C-84 C-85 syncs and copies on the server', () => {
    write(near('f'), 'synced')
    const { text, status } = place.batch('put -f f', 'cp f g')
    expect(status, text).toBe(0)
    expect(readFileSync(far('g'), 'utf8')).toBe('synced')
  })

  it('C-93 goes on with a transfer at any place', () => {
    const content = 'z'.repeat(50_000)
    write(near('up'), content)
    write(far('down'), content)
    write(far('up'), content.slice(0, 20_000))
    write(near('down'), content.slice(0, 1))
    expect(place.batch('reput up', 'reget down').status).toBe(0)
    expect(readFileSync(far('up'), 'utf8')).toBe(content)
    expect(readFileSync(near('down'), 'utf8')).toBe(content)
  })
})

describe.skipIf(missing !== '')(`OpenSSH's sftp against what depends on the form${missing}`, () => {
  it('C-54 C-57 C-74 C-75 C-76 C-80 lets the kernel alone decide in sftp-server', async () => {
    await using place = await openProgram()
    const far = (name: string): string => join(place.home, name)
    writeFileSync(far('f'), 'content')
    const { text, status } = place.batch(
      ...['ln -s f soft', 'ln -s /etc/hostname away', '-ln -s f soft', 'ln f hard', '-ln f hard'],
      ...['chmod 4755 f', 'ls -l'],
    )
    expect(status, text).toBe(0)
    expect([readlinkSync(far('soft')), readlinkSync(far('away'))]).toEqual(['f', '/etc/hostname'])
    expect(statSync(far('hard')).ino).toBe(statSync(far('f')).ino)
    expect(statSync(far('f')).mode & 0o7777).toBe(0o4755)
  })

  it('C-54 C-71 C-75 C-80 keeps people of the server inside, and drops what is off', async () => {
    await using place = await openServer()
    const far = (name: string): string => join(place.home, name)
    writeFileSync(far('f'), 'content')
    symlinkSync('/etc', far('etc'))
    linkSync(far('f'), far('second'))
    const { text } = place.batch(
      ...['-ln -s f soft', '-ln -s /etc/passwd away', '-ln f hard', '-chmod 4755 f', '-get etc/passwd'],
      ...['cd ../../..', 'pwd', '-ls -1 /../../..', '-get ../../../etc/passwd'],
    )
    expect(text).toContain('Remote working directory: /\n')
    expect(readdirSync(place.home).sort()).toEqual(['etc', 'f', 'second'])
    expect(existsSync(join(place.scratch, 'passwd'))).toBe(false)
    expect(lstatSync(far('f')).mode & 0o7777).toBe(0o755)
  })
})

async function openProgram(): Promise<Place> {
  const out = program()
  const folder = temporaryDirectory()
  for (const name of ['home', 'scratch']) mkdirSync(folder.file(name))
  const [home, scratch] = [folder.file('home'), folder.file('scratch')]
  const command = `${process.execPath} ${out}/main.js sftp-server -d ${home}`
  return {
    ...{ home, scratch },
    batch: (...lines) => batchOf(['-D', command], scratch, lines),
    async [Symbol.asyncDispose]() {
      folder[Symbol.dispose]()
    },
  }
}

let compiled: string | undefined

/** The folder of the compiled program; compiled once for all tests here. */
function program(): string {
  if (compiled !== undefined) return compiled
  const out = `${top}node_modules/.cache/openssh-rows-test`
  const tsc = `${top}node_modules/typescript/bin/tsc`
  const built = spawnSync(process.execPath, [tsc, '-p', `${top}tsconfig.json`, '--outDir', out], { cwd: top })
  if (built.status !== 0) throw new Error(String(built.stdout))
  return (compiled = out)
}

async function openServer(): Promise<Place> {
  const server: ScenarioServer = await startScenarioServer()
  const { port, username, keyFile, knownHosts } = server.address
  const options = [`IdentityFile=${keyFile}`, `UserKnownHostsFile=${knownHosts}`, 'IdentitiesOnly=yes']
  const args = ['-F', '/dev/null', '-P', String(port), ...options.flatMap((option) => ['-o', option])]
  return {
    home: server.home,
    scratch: server.scratch,
    batch: (...lines) => batchOf([...args, `${username}@127.0.0.1`], server.scratch, lines),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function batchOf(args: readonly string[], scratch: string, lines: readonly string[]): Said {
  const file = join(scratch, 'batch')
  writeFileSync(file, `lcd ${scratch}\n${lines.join('\n')}\n`)
  const done = spawnSync('sftp', ['-b', file, ...args], {
    ...{ encoding: 'utf8', timeout: 30_000, env: { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' } },
  })
  return { status: done.status, text: done.stdout + done.stderr }
}
