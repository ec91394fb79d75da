import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { utils } from 'ssh2'
import { startOurs, startSshd, type Target } from '../../../bench/harness/target.ts'
import { newHostKey } from '../../../src/ssh/new-host-key.ts'
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
  writeFileSync(keyFile, newHostKey('ed25519'), { mode: 0o600 })
  writeFileSync(`${keyFile}.pub`, `${publicLine(keyFile)}\n`)
  const options = { folder: server, home, publicKey: `${keyFile}.pub` }
  const against = process.env['INTEROP_AGAINST']
  const target =
    against === 'sshd'
      ? await startSshd(options)
      : await startOurs({ ...options, features: false, top: resolve('.'), profile })
  if (typeof target === 'string') throw new Error(target)
  const { knownHosts, hostKeyFingerprint } = learnHostKey(target, server, scratch)
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

/** Asks nothing of OpenSSH where the server is ours: its client may be missing. */
function learnHostKey(
  target: Target,
  server: string,
  folder: string,
): { knownHosts: string; hostKeyFingerprint: string } {
  const place = `[127.0.0.1]:${target.port}`
  const certs = join(server, 'certs')
  const own = existsSync(certs) ? readdirSync(certs).filter((name) => name.startsWith('id_')) : []
  const lines = own.map((name) => `${place} ${publicLine(join(certs, name))}\n`).join('')
  const scanned = (): string =>
    spawnSync('ssh-keyscan', ['-p', String(target.port), '127.0.0.1'], { encoding: 'utf8' }).stdout
  const known = lines === '' ? scanned() : lines
  mkdirSync(join(folder, '.ssh'))
  const knownHosts = join(folder, '.ssh/known_hosts')
  writeFileSync(knownHosts, known)
  const blob = / ssh-ed25519 (\S+)$/m.exec(known)?.[1]
  if (blob === undefined) throw new Error('no host key was learned')
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64')
  return { knownHosts, hostKeyFingerprint: `SHA256:${digest.replace(/=+$/, '')}` }
}

/** The kind and the public part of a private key, as OpenSSH writes them. */
function publicLine(privateKeyFile: string): string {
  const key = utils.parseKey(readFileSync(privateKeyFile))
  if (key instanceof Error) throw key
  const [only] = [key].flat()
  if (only === undefined) throw new Error(`"${privateKeyFile}" holds no key`)
  return `${only.type} ${only.getPublicSSH().toString('base64')}`
}
