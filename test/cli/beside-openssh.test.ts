import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { SftpProgram } from '../helpers/sftp-program.ts'
import {
  attributesOf,
  attrs,
  namesOf,
  raw,
  statusOf,
  stringsOf,
  u32,
  u64,
  type Field,
  type ReplyPacket,
} from '../helpers/sftp-peer.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))
const out = `${top}node_modules/.cache/beside-openssh-test`
const theirs = '/usr/lib/openssh/sftp-server'
const missing = existsSync(theirs) ? '' : ` (skipped: ${theirs} is not there)`

/**
 * The same requests for both programs, and every answer and the folder afterwards compared. What is never sent is
 * what docs/sftp.md lists as a choice of ours: `..` and slashes behind names, READ and WRITE on handles opened for
 * the other, handles that were closed, positions of 2^53 and more, RENAME onto a link that leads nowhere.
 */
describe.skipIf(missing !== '')(`sftp-server beside OpenSSH's${missing}`, () => {
  beforeAll(() => {
    const tsc = `${top}node_modules/typescript/bin/tsc`
    const built = spawnSync(process.execPath, [tsc, '-p', `${top}tsconfig.json`, '--outDir', out], {
      cwd: top,
    })
    if (built.status !== 0) throw new Error(String(built.stdout))
  }, 120_000)

  it('answers the same and does the same, whatever it is asked', { timeout: 60_000 }, async () => {
    using ourFolder = temporaryDirectory()
    using theirFolder = temporaryDirectory()
    for (let seed = 1; seed <= 30; seed += 1) {
      const home = { ours: ourFolder.file(`${seed}`), theirs: theirFolder.file(`${seed}`) }
      fill(home.ours)
      fill(home.theirs)
      await using ours = await SftpProgram.greeted(
        process.execPath,
        ...[`${out}/main.js`, 'sftp-server', '-d', home.ours],
      )
      await using other = await SftpProgram.greeted(theirs, '-d', home.theirs)
      const said = [
        await converse(ours, home.ours, createDice(seed)),
        await converse(other, home.theirs, createDice(seed)),
      ]
      expect(said[0], `conversation ${seed}`).toEqual(said[1])
      expect(contentsOf(home.ours), `folder after conversation ${seed}`).toEqual(contentsOf(home.theirs))
    }
  })
})

const longAgo = 1_000_000_000
const rounds = 40

/** Numbers that look random and are the same for the same seed. */
interface Dice {
  below(most: number): number
  one<T>(of: readonly T[]): T
}

function createDice(seed: number): Dice {
  let state = seed * 2_654_435_761
  const below = (most: number): number => {
    // Xorshift: any generator will do whose numbers both sides share.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % most
  }
  return {
    below,
    one<T>(of: readonly T[]): T {
      // `below` stays under the length, and nobody hands in an empty list.
      return of[below(of.length)] as T
    },
  }
}

function fill(folder: string): void {
  const at = (name: string): string => join(folder, name)
  mkdirSync(at('d/sub'), { recursive: true })
  mkdirSync(at('e'))
  writeFileSync(at('f'), 'hello world')
  writeFileSync(at('g'), 'G'.repeat(5000))
  writeFileSync(at('empty'), '')
  writeFileSync(at('ro'), 'ro')
  writeFileSync(at('d/inner'), 'inner')
  chmodSync(at('ro'), 0o444)
  symlinkSync('f', at('lf'))
  symlinkSync('d', at('ld'))
  symlinkSync('gone', at('dangling'))
  symlinkSync('loop', at('loop'))
  for (const name of ['f', 'g', 'd/inner']) utimesSync(at(name), longAgo, longAgo)
}

const names = [
  ...[
    'f',
    'g',
    'empty',
    'ro',
    'd',
    'd/inner',
    'd/sub',
    'e',
    'new1',
    'new2',
    'd/new',
    'e/new',
    'gone/x',
    'f/x',
  ],
  ...['./f', './/d//inner', 'ü', 'with space', 'line\nbreak', '-dash', 'x'.repeat(255), ''],
]
/** Links stay under their names: RENAME onto one that leads nowhere is refused here and done there. */
const links = ['made', 'lf', 'ld', 'ld/inner', 'dangling', 'loop', 'loop/x', 'dangling/x']

interface Handle {
  readonly bytes: Buffer
  readonly kind: 'file' | 'directory'
  readonly reads: boolean
  readonly writes: boolean
}

/** Sends requests as the dice fall; returns each with what was answered, without what may differ. */
async function converse(program: SftpProgram, home: string, dice: Dice): Promise<string[]> {
  const said: string[] = []
  const handles: Handle[] = []
  for (let round = 0; round < rounds; round += 1) said.push(await say(program, home, dice, handles))
  for (const { bytes } of handles) await program.request(4, bytes)
  return said
}

async function say(program: SftpProgram, home: string, dice: Dice, handles: Handle[]): Promise<string> {
  // A name too long is not sent beside a second one: which of two mistakes is told first is nobody's rule.
  const any = (): string => dice.one([...names, ...links, 'y'.repeat(256)])
  const tell = async (title: string, type: number, ...fields: readonly Field[]): Promise<string> =>
    `${title}: ${described(await program.request(type, ...fields), home)}`
  const files = handles.filter(({ kind }) => kind === 'file')
  const readable = files.filter(({ reads }) => reads)
  const writable = files.filter(({ writes }) => writes)
  const position = (): number => dice.one([0, 1, 5, 11, 100, 5000, 2 ** 32])
  switch (dice.below(24)) {
    case 0:
    case 1:
    case 2:
      return open(program, home, dice, handles, any())
    case 3: {
      const path = any()
      const reply = await program.request(11, path)
      if (reply.type === 102) keep(handles, reply, { kind: 'directory', reads: false, writes: false })
      return `opendir ${path}: ${described(reply, home)}`
    }
    case 4:
    case 5: {
      if (readable.length === 0) return 'nothing to read'
      const length = dice.one([0, 1, 5, 100, 32_768, 261_120, 300_000, 0xffffffff])
      const at = position()
      return tell(`read ${at} ${length}`, 5, dice.one(readable).bytes, u64(at), u32(length))
    }
    case 6:
    case 7: {
      if (writable.length === 0) return 'nothing to write'
      const at = dice.one([0, 1, 5, 11, 100, 5000])
      const content = Buffer.alloc(dice.one([0, 1, 5, 3000]), 97 + dice.below(26))
      return tell(`write ${at}`, 6, dice.one(writable).bytes, u64(at), content)
    }
    case 8: {
      const path = any()
      return tell(`stat ${path}`, 17, path)
    }
    case 9: {
      const path = any()
      return tell(`lstat ${path}`, 7, path)
    }
    case 10:
      return files.length === 0 ? 'nothing to look at' : tell('fstat', 8, dice.one(files).bytes)
    case 11: {
      const path = any() || 'f'
      return tell(`setstat ${path}`, 9, path, wish(dice, true))
    }
    case 12: {
      if (files.length === 0) return 'nothing to change'
      return tell('fsetstat', 10, dice.one(files).bytes, wish(dice, false))
    }
    case 13: {
      const path = any() || 'f'
      // A link has no mode to change: "unsupported" here, "failure" there.
      return (await tell(`lsetstat ${path}`, 200, 'lsetstat@openssh.com', path, wish(dice, false))).replace(
        'status 8',
        'status 4',
      )
    }
    case 14: {
      const path = any()
      return tell(`remove ${path}`, 13, path)
    }
    case 15: {
      const path = any()
      return tell(`mkdir ${path}`, 14, path, wish(dice, false))
    }
    case 16: {
      const path = any()
      return tell(`rmdir ${path}`, 15, path)
    }
    case 17: {
      const path = any()
      return tell(`realpath ${path}`, 16, path)
    }
    case 18: {
      const [from, to] = [dice.one(names), dice.one(names)]
      return tell(`rename ${from} ${to}`, 18, from, to)
    }
    case 19: {
      const [from, to] = [dice.one(names), dice.one(names)]
      return tell(`posix-rename ${from} ${to}`, 200, 'posix-rename@openssh.com', from, to)
    }
    case 20: {
      const [from, to] = [dice.one(names), dice.one(names)]
      return tell(`hardlink ${from} ${to}`, 200, 'hardlink@openssh.com', from, to)
    }
    case 21: {
      const [target, path] = [dice.one(['f', 'd', 'nowhere']), dice.one(links)]
      return tell(`symlink ${target} ${path}`, 20, target, path)
    }
    case 22: {
      const path = any()
      return dice.below(2) === 0
        ? tell(`readlink ${path}`, 19, path)
        : tell(`expand-path ${path}`, 200, 'expand-path@openssh.com', path)
    }
    default:
      return closeOrList(program, home, dice, handles)
  }
}

async function open(
  program: SftpProgram,
  home: string,
  dice: Dice,
  handles: Handle[],
  path: string,
): Promise<string> {
  // READ, WRITE, APPEND, CREAT, TRUNC, EXCL in the combinations that clients send, and some that they should not.
  const flags = dice.one([0, 1, 2, 3, 6, 8, 9, 10, 14, 26, 27, 30, 33, 42, 43, 58])
  const reply = await program.request(
    3,
    path,
    u32(flags),
    dice.below(2) === 0 ? u32(0) : attrs({ mode: 0o640 }),
  )
  if (reply.type === 102) {
    const writes = (flags & 2) !== 0
    keep(handles, reply, { kind: 'file', reads: (flags & 1) !== 0 || !writes, writes })
  }
  return `open ${path} ${flags}: ${described(reply, home)}`
}

function keep(handles: Handle[], reply: ReplyPacket, what: Omit<Handle, 'bytes'>): void {
  handles.push({ bytes: Buffer.from(stringsOf(reply.body)[0] ?? ''), ...what })
}

/** Lists a directory to its end, or closes something. */
async function closeOrList(
  program: SftpProgram,
  home: string,
  dice: Dice,
  handles: Handle[],
): Promise<string> {
  const handle = handles[dice.below(Math.max(1, handles.length))]
  if (handle === undefined) return 'nothing to close'
  if (handle.kind === 'directory') {
    const found: string[] = []
    let reply = await program.request(12, handle.bytes)
    for (; reply.type === 104; reply = await program.request(12, handle.bytes)) found.push(...listed(reply))
    return `list ${found.sort().join(', ')}: ${described(reply, home)}`
  }
  handles.splice(handles.indexOf(handle), 1)
  return `close: ${described(await program.request(4, handle.bytes), home)}`
}

function wish(dice: Dice, sized: boolean): Field {
  const size = sized ? dice.one([undefined, undefined, 0, 3, 70_000]) : undefined
  const mode = dice.one([undefined, 0o700, 0o755, 0o4755, 0o100744])
  const modifyTime = dice.one([undefined, 1, 1_100_000_000, 2 ** 31 + 5])
  return raw(
    attrs({
      ...(size === undefined ? {} : { size }),
      ...(mode === undefined ? {} : { mode }),
      ...(modifyTime === undefined ? {} : { times: [longAgo, modifyTime] }),
    }).raw,
  )
}

/** An answer in words, without times that are now, sizes of folders and where the folder lies. */
function described(reply: ReplyPacket, home: string): string {
  switch (reply.type) {
    case 101:
      return `status ${statusOf(reply)}`
    case 102:
      return 'a handle'
    case 103:
      return `data ${reply.body.subarray(4).toString('latin1')}`
    case 104:
      return namesOf(reply)
        .map(({ name }) => name.replace(home, ''))
        .join(' ')
    case 105: {
      const { mode, size, modifyTime } = attributesOf(reply)
      return `${mode.toString(8)} ${(mode & 0o170000) === 0o040000 ? '' : size} ${settled(modifyTime)}`
    }
    default:
      return `reply ${reply.type} of ${reply.body.length} bytes`
  }
}

/** Names and kinds of a portion, without the two that every directory has. */
function listed(reply: ReplyPacket): string[] {
  return namesOf(reply)
    .filter(({ name }) => name !== '.' && name !== '..')
    .map(({ name, attributes }) => `${name} ${attributes?.mode.toString(8)}`)
}

/** A time that somebody set, or nothing for one of these minutes. */
function settled(seconds: number): number | undefined {
  return Math.abs(Date.now() / 1000 - seconds) < 3600 ? undefined : seconds
}

function contentsOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const path = join(folder, name)
      const stats = lstatSync(path)
      const content = stats.isSymbolicLink()
        ? readlinkSync(path)
        : stats.isFile()
          ? readFileSync(path, 'latin1')
          : ''
      return `${name} ${stats.mode.toString(8)} ${settled(Math.floor(stats.mtimeMs / 1000))} ${content}`
    })
}
