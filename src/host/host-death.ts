import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { limitedCommand } from './confinement.ts'

/**
 * Makes plugins end when the server does, however it ends.
 *
 * Where the kernel can send a signal to the children of a dead process, `wrap` asks for that. A small watcher beside
 * the server ends whole process groups, which covers what plugins have started themselves and other systems too.
 */
export interface HostDeath {
  readonly way: HostDeathWay
  /** Whether processes can be started through `setpriv` and `prlimit` here. */
  readonly limits: boolean
  /** What to spawn so that `command` dies with us. A caller that needs `argv0` kept does not wrap. */
  wrap(
    command: string,
    args: readonly string[],
    /** Further options of `setpriv`, where `limits` says that there is one. */
    options?: readonly string[],
  ): { readonly command: string; readonly args: readonly string[] }
  /** This process group has to go when we do. */
  watch(group: number): void
  /** It is gone. */
  forget(group: number): void
  close(): void
}

/** How plugins learn of our death here. */
export type HostDeathWay = 'setpriv and watcher' | 'watcher'

/** Finds out what works here and starts the watcher. */
export async function openHostDeath(): Promise<HostDeath> {
  const setpriv = await workingSetpriv()
  const limits =
    setpriv !== undefined && (await runs(setpriv, ['--', ...limited('/bin/sh', ['-c', 'exit 0'])]))
  const watcher = createWatcher()
  return {
    way: setpriv === undefined ? 'watcher' : 'setpriv and watcher',
    limits,
    wrap(command, args, options = []) {
      if (setpriv === undefined) return { command, args }
      return { command: setpriv, args: [...options, '--pdeathsig', 'KILL', '--', command, ...args] }
    },
    watch: (group) => watcher.say('add', group),
    forget: (group) => watcher.say('del', group),
    close: () => watcher.close(),
  }
}

function limited(command: string, args: readonly string[]): readonly string[] {
  const inner = limitedCommand({}, { command, args })
  return [inner.command, ...inner.args]
}

/** The path of a `setpriv` that knows the option (busybox has one that does not). */
export async function workingSetpriv(): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined
  const path = ['/usr/bin/setpriv', '/bin/setpriv', '/usr/sbin/setpriv'].find((name) => existsSync(name))
  if (path === undefined) return undefined
  return (await runs(path, ['--pdeathsig', 'KILL', '--', '/bin/sh', '-c', 'exit 0'])) ? path : undefined
}

function runs(path: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(path, args, { stdio: 'ignore', env: {}, timeout: 5000 })
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  })
}

/** Reads groups from a pipe that only we hold; when it closes, it ends those that are left. */
const script = `
list=' '
while read -r word id; do
  case $word in
    add) list="$list$id " ;;
    del) rest=' '; for group in $list; do [ "$group" = "$id" ] || rest="$rest$group "; done; list=$rest ;;
  esac
done
for group in $list; do kill -s KILL -- "-$group" 2>/dev/null; done
`

interface Watcher {
  say(word: 'add' | 'del', group: number): void
  close(): void
}

function createWatcher(): Watcher {
  const groups = new Set<number>()
  let closed = false
  let child: ChildProcess | undefined
  const send = (line: string): void => {
    child?.stdin?.write(line)
  }
  const begin = (): void => {
    child = startWatcher(() => {
      child = undefined
      // Somebody ended it: another one takes over with what is known.
      if (!closed && groups.size > 0) begin()
    })
    for (const group of groups) send(`add ${group}\n`)
  }
  return {
    say(word, group) {
      if (word === 'add') groups.add(group)
      else groups.delete(group)
      if (child === undefined) begin()
      else send(`${word} ${group}\n`)
    },
    close() {
      closed = true
      child?.stdin?.end()
    },
  }
}

function startWatcher(onEnd: () => void): ChildProcess {
  // A session of its own: a signal from the terminal must not reach it before it has done its work.
  const child = spawn('/bin/sh', ['-c', script], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {},
    detached: true,
  })
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    onEnd()
  }
  child.once('exit', end)
  child.once('error', end)
  child.stdin.on('error', () => {}) // it is gone: `exit` follows
  child.unref()
  // The pipe alone must not keep the server running. A socket in Node, though typed as a plain stream.
  const pipe = child.stdin as unknown as { unref?: () => void }
  pipe.unref?.()
  return child
}
