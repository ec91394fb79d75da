import type { ClientDriver, ServerAddress } from './driver.ts'
import { run, versionOf, type RunOptions } from './run.ts'

function curl(
  server: ServerAddress,
  remote: string,
  args: readonly string[],
  more: RunOptions = {},
): ReturnType<typeof run> {
  const path = remote.split('/').map(encodeURIComponent).join('/')
  const login = [
    '--user',
    `${server.username}:`,
    '--key',
    server.keyFile,
    '--pubkey',
    `${server.keyFile}.pub`,
  ]
  const trust = ['--hostpubsha256', server.hostKeyFingerprint.replace('SHA256:', '')]
  return run('curl', ['-sS', ...login, ...trust, ...args, `sftp://127.0.0.1:${server.port}${path}`], more)
}

/** curl with libssh2. */
export const curlDriver: ClientDriver = {
  name: 'curl',
  needs: 'curl',
  version: async () =>
    versionOf('curl', ['--version'], /curl [\d.]+.*?libssh2\/[\d.]+/)?.replace(/ \(.*libssh2/, ', libssh2'),
  async put(server, { local, remote }) {
    await curl(server, remote, ['-T', local])
  },
  async get(server, { local, remote }) {
    await curl(server, remote, ['-o', local])
  },
  async list(server, remote) {
    const { out } = await curl(server, `${remote}/`, ['--list-only'])
    return out.split('\n').filter((name) => name !== '' && name !== '.' && name !== '..')
  },
  async renameOver(server, from, to) {
    // libssh2 of this age asks for SFTP's plain rename, which never replaces (C-77): the target goes first.
    await curl(server, '/', ['-o', '/dev/null', '-Q', `rm ${JSON.stringify(to)}`])
    await curl(server, '/', ['-o', '/dev/null', '-Q', `rename ${JSON.stringify(from)} ${JSON.stringify(to)}`])
  },
  async remove(server, remote) {
    await curl(server, '/', ['-o', '/dev/null', '-Q', `rm ${JSON.stringify(remote)}`])
  },
  async resumePut(server, { local, remote }) {
    await curl(server, remote, ['-C', '-', '-T', local])
  },
  async resumeGet(server, { local, remote }) {
    await curl(server, remote, ['-C', '-', '-o', local])
  },
  async abortPut(server, { local, remote, halfway }) {
    await curl(server, remote, ['-T', local], { killWhen: halfway })
  },
}
