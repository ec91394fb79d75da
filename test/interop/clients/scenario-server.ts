import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { startOurs, startSshd, type Target } from '../../../bench/harness/target.ts'
import type { ServerAddress } from './driver.ts'

/** A running server with an empty home, and what a client needs to talk to it. */
export interface ScenarioServer extends AsyncDisposable {
  readonly address: ServerAddress
  /** The home on this machine. */
  readonly home: string
  /** What the client calls its home: `/` here, the real path at a server without a jail. */
  readonly root: string
  /** A folder for the client's files. */
  readonly scratch: string
}

/** Starts our server; with INTEROP_AGAINST=sshd OpenSSH's own, to tell a client's quirk from our mistake. */
export async function startScenarioServer(profile: 'modern' | 'legacy' = 'modern'): Promise<ScenarioServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-interop-'))
  const [home, scratch, server] = ['home', 'scratch', 'server'].map((name) => join(folder, name))
  if (home === undefined || scratch === undefined || server === undefined)
    throw new Error('three folders are named')
  for (const path of [home, scratch, server]) mkdirSync(path)
  const keyFile = join(scratch, 'key')
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
  const options = { folder: server, home, publicKey: `${keyFile}.pub` }
  const against = process.env['INTEROP_AGAINST']
  const target =
    against === 'sshd'
      ? await startSshd(options)
      : await startOurs({ ...options, features: false, top: resolve('.'), profile })
  if (typeof target === 'string') throw new Error(target)
  const { knownHosts, hostKeyFingerprint } = learnHostKey(target, scratch)
  return {
    address: {
      port: target.port,
      username: 'root',
      keyFile,
      knownHosts,
      hostKeyFingerprint,
      folder: scratch,
    },
    ...{ home, scratch, root: against === 'sshd' ? `${home}/` : '/' },
    async [Symbol.asyncDispose]() {
      await target.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function learnHostKey(target: Target, folder: string): { knownHosts: string; hostKeyFingerprint: string } {
  const scan = spawnSync('ssh-keyscan', ['-p', String(target.port), '127.0.0.1'], {
    encoding: 'utf8',
  })
  mkdirSync(join(folder, '.ssh'))
  const knownHosts = join(folder, '.ssh/known_hosts')
  writeFileSync(knownHosts, scan.stdout)
  const print = spawnSync('ssh-keygen', ['-l', '-f', knownHosts], { encoding: 'utf8' })
  const hostKeyFingerprint = /(SHA256:\S+).*\(ED25519\)/.exec(print.stdout)?.[1]
  if (hostKeyFingerprint === undefined) throw new Error(`no host key was learned: ${scan.stderr}`)
  return { knownHosts, hostKeyFingerprint }
}
