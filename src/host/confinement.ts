import { readFileSync } from 'node:fs'
import { PluginError } from '../base/errors.ts'
import type { PluginEntry } from './plugin-entry.ts'
import type { VerifiedProgram } from './verified-copy.ts'

/** What a process may be and may take, beyond the program it runs. */
export interface Confinement {
  /** Who it runs as; it then gains no privileges by what it starts. Absent: the server's own user. */
  readonly user?: SystemUser
  readonly files?: number
  readonly processes?: number
}

/** A user of this machine with its first group. */
export interface SystemUser {
  readonly uid: number
  readonly gid: number
}

/** A command and what it is started through. */
interface Command {
  readonly command: string
  readonly args: readonly string[]
}

/**
 * What an entry asks for; undefined where nothing is asked and the machine has no way to confine. Throws
 * `cannot-confine` where this server or this program cannot keep it: a plugin never has more than its entry allows.
 *
 * One that asks for nothing still leaves no core file where that can be had: it would hold passwords and secrets.
 */
export function confinementOf(
  entry: PluginEntry,
  program: VerifiedProgram,
  possible: boolean,
): Confinement | undefined {
  const { name, runAs, limits } = entry
  const { files, processes } = limits ?? {}
  const user = runAs === undefined ? undefined : systemUser(runAs, name)
  const asked = { ...(user && { user }), ...(files && { files }), ...(processes && { processes }) }
  if (Object.keys(asked).length === 0) return possible && !isCalledByName(program) ? {} : undefined
  if (user !== undefined) requireAbleToBe(user, entry, program)
  if (isCalledByName(program))
    throw cannot(
      name,
      'a sealed interpreter has to keep the name it is called by, and setpriv passes none on',
    )
  if (!possible) throw cannot(name, 'setpriv and prlimit (package util-linux) do not both work here')
  return asked
}

/** Whether a program needs its name as first argument, which no program in between passes on. */
export function isCalledByName({ command, leadingArgs }: VerifiedProgram): boolean {
  return command.startsWith('/proc/self/') && leadingArgs.length > 0
}

/** The options of `setpriv` that make a process somebody else for good. */
export function userOptions({ user }: Confinement): readonly string[] {
  if (user === undefined) return []
  return [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--no-new-privs']
}

/** The command, started through `prlimit`, by which the process leaves no core file. */
export function limitedCommand({ files, processes }: Confinement, { command, args }: Command): Command {
  const limits = [
    ...(files === undefined ? [] : [`--nofile=${files}:${files}`]),
    ...(processes === undefined ? [] : [`--nproc=${processes}:${processes}`]),
  ]
  return { command: prlimit, args: ['--core=0:0', ...limits, '--', command, ...args] }
}

const prlimit = '/usr/bin/prlimit'

function requireAbleToBe(user: SystemUser, { name }: PluginEntry, { runsFrom }: VerifiedProgram): void {
  if (process.getuid?.() !== 0)
    throw cannot(name, 'only a server started as root can give a plugin another user')
  if (user.uid === 0) throw cannot(name, '"run_as" names root, which is no confinement')
  if (runsFrom !== 'sealed memory')
    throw cannot(name, 'another user cannot read a private copy: only sealed memory goes with "run_as"')
}

/** By name, as a number, or as two numbers with a colon between them. */
function systemUser(text: string, name: string): SystemUser {
  const numbers = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(text)
  if (numbers?.[2] !== undefined) return { uid: Number(numbers[1]), gid: Number(numbers[2]) }
  const lines = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const found = lines.find(([user, , uid]) => user === text || (numbers !== null && uid === text))
  const [uid, gid] = [Number(found?.[2]), Number(found?.[3])]
  if (found === undefined || !Number.isInteger(uid) || !Number.isInteger(gid))
    throw cannot(name, `this machine has no user "${text}"`)
  return { uid, gid }
}

function cannot(name: string, why: string): PluginError {
  return new PluginError('cannot-confine', `Cannot start "${name}" as its entry says: ${why}`)
}
