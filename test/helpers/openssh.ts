import { spawn, spawnSync } from 'node:child_process'
import { until } from './until.ts'

/** Why OpenSSH's client with a password cannot be used here; undefined when it can. */
export const withoutOpenSsh = ['sftp', 'sshpass'].find(
  (name) => spawnSync(name, ['-V'], { stdio: 'ignore' }).error !== undefined,
)

/** How OpenSSH's sftp ended and what it said. */
export interface SftpResult {
  readonly status: number | null
  readonly output: string
}

/** Runs a batch of sftp commands with OpenSSH's client and a password. */
export function sftpBatch(options: {
  readonly port: number
  readonly username?: string
  readonly password: string
  readonly batch: readonly string[]
  readonly cwd?: string
}): Promise<SftpResult> {
  const { port, username = 'demo', password, batch, cwd } = options
  return new Promise((resolve) => {
    const child = spawn(
      'sshpass',
      [
        ...['-e', 'sftp', '-oBatchMode=no', '-oStrictHostKeyChecking=no', '-oUserKnownHostsFile=/dev/null'],
        ...['-oNumberOfPasswordPrompts=1', '-oPubkeyAuthentication=no', '-b', '-', '-P', String(port)],
        `${username}@127.0.0.1`,
      ],
      { cwd, env: { ...process.env, SSHPASS: password }, stdio: ['pipe', 'pipe', 'pipe'] },
    )
    let output = ''
    const add = (text: Buffer): void => {
      output += text.toString('utf8')
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.once('close', (status) => resolve({ status, output }))
    child.stdin.on('error', () => {})
    child.stdin.end(`${batch.join('\n')}\n`)
  })
}

/** OpenSSH's client with a session that stays open. */
export function openSftpSession({
  port,
  username,
  password,
}: {
  readonly port: number
  readonly username: string
  readonly password: string
}) {
  const client = spawn(
    'sshpass',
    [
      ...['-e', 'sftp', '-oBatchMode=no', '-oStrictHostKeyChecking=no', '-oUserKnownHostsFile=/dev/null'],
      ...['-oPubkeyAuthentication=no', '-b', '-', '-P', String(port), `${username}@127.0.0.1`],
    ],
    { env: { ...process.env, SSHPASS: password }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let output = ''
  client.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  client.stdin.on('error', () => {})
  return {
    /** Sends a command and waits until the client has printed this. */
    async answer(command: string, expected: string): Promise<void> {
      client.stdin.write(`${command}\n`)
      await until(`sftp says "${expected}"`, () => output.includes(expected))
    },
    async [Symbol.asyncDispose]() {
      client.kill('SIGKILL')
      await new Promise((settle) => client.once('close', settle))
    },
  }
}
