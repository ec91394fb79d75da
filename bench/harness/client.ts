import { spawn } from 'node:child_process'
import type { Target } from './target.ts'

/** OpenSSH's own client, as a stranger would use it. */
export interface Client {
  readonly key: string
  /** A folder for batch files and downloads. */
  readonly folder: string
}

/** Runs `sftp` with these commands; throws with what it said when it fails. */
export async function sftp(
  client: Client,
  target: Target,
  commands: string,
  options: readonly string[] = [],
): Promise<void> {
  const args = [
    '-q',
    '-b',
    '-',
    '-P',
    String(target.port),
    ...sshOptions(client),
    ...options,
    'root@127.0.0.1',
  ]
  const { code, said } = await run('sftp', args, commands)
  if (code !== 0) throw new Error(`sftp at ${target.name} ended with ${code}: ${said.slice(-500)}`)
}

/** One login and nothing else: connect, list the home, leave. */
export function login(client: Client, target: Target): Promise<void> {
  return sftp(client, target, 'pwd\n')
}

function sshOptions({ key, folder }: Client): string[] {
  const settings = {
    IdentityFile: key,
    IdentitiesOnly: 'yes',
    BatchMode: 'yes',
    StrictHostKeyChecking: 'no',
    UserKnownHostsFile: `${folder}/known_hosts`,
    LogLevel: 'ERROR',
  }
  return [
    '-F',
    '/dev/null',
    ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
  ]
}

function run(
  command: string,
  args: readonly string[],
  input: string,
): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', () => {})
    child.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString()
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, said }))
    child.stdin.end(input)
  })
}
