import type { ClientDriver, ServerAddress } from './driver.ts'
import { quoted, run, versionOf, type RunOptions } from './run.ts'

function options(server: ServerAddress): string[] {
  const settings = {
    IdentityFile: server.keyFile,
    IdentitiesOnly: 'yes',
    BatchMode: 'yes',
    StrictHostKeyChecking: 'yes',
    UserKnownHostsFile: server.knownHosts,
  }
  return [
    '-F',
    '/dev/null',
    ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
  ]
}

function batch(server: ServerAddress, commands: string, more: RunOptions = {}): ReturnType<typeof run> {
  const args = [
    '-q',
    '-b',
    '-',
    '-P',
    String(server.port),
    ...options(server),
    `${server.username}@127.0.0.1`,
  ]
  return run('sftp', args, { ...more, input: commands })
}

/** OpenSSH's sftp. */
export const opensshSftp: ClientDriver = {
  name: 'OpenSSH sftp',
  needs: 'openssh-client',
  version: async () => versionOf('ssh', ['-V'], /OpenSSH_[\w.]+/),
  async put(server, { local, remote }) {
    await batch(server, `put ${quoted(local)} ${quoted(remote)}\n`)
  },
  async get(server, { local, remote }) {
    await batch(server, `get ${quoted(remote)} ${quoted(local)}\n`)
  },
  async list(server, remote) {
    const { out } = await batch(server, `ls -1 ${quoted(remote)}\n`)
    const lines = out.split('\n').filter((line) => line !== '' && !line.startsWith('sftp>'))
    return lines.map((line) => line.slice(line.lastIndexOf('/') + 1))
  },
  async renameOver(server, from, to) {
    await batch(server, `rename ${quoted(from)} ${quoted(to)}\n`)
  },
  async remove(server, remote) {
    await batch(server, `rm ${quoted(remote)}\n`)
  },
  async resumePut(server, { local, remote }) {
    await batch(server, `reput ${quoted(local)} ${quoted(remote)}\n`)
  },
  async resumeGet(server, { local, remote }) {
    await batch(server, `reget ${quoted(remote)} ${quoted(local)}\n`)
  },
  async abortPut(server, { local, remote, halfway }) {
    await batch(server, `put ${quoted(local)} ${quoted(remote)}\n`, { killWhen: halfway })
  },
}

function copy(
  server: ServerAddress,
  from: string,
  to: string,
  more: RunOptions = {},
): ReturnType<typeof run> {
  return run('scp', ['-q', '-s', '-P', String(server.port), ...options(server), from, to], more)
}

/** OpenSSH's scp in its SFTP mode. */
export const opensshScp: ClientDriver = {
  name: 'OpenSSH scp -s',
  needs: 'openssh-client',
  version: async () => versionOf('ssh', ['-V'], /OpenSSH_[\w.]+/),
  async put(server, { local, remote }) {
    await copy(server, local, `${server.username}@127.0.0.1:${remote}`)
  },
  async get(server, { local, remote }) {
    await copy(server, `${server.username}@127.0.0.1:${remote}`, local)
  },
  async abortPut(server, { local, remote, halfway }) {
    await copy(server, local, `${server.username}@127.0.0.1:${remote}`, { killWhen: halfway })
  },
}
