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
  // It looks for known hosts in the home folder only.
  return run('curl', ['-sS', ...login, ...args, `sftp://127.0.0.1:${server.port}${path}`], {
    ...more,
    env: { HOME: server.folder },
  })
}

/** curl with libssh2. */
export const curlDriver: ClientDriver = {
  name: 'curl',
  needs: 'curl',
  // libssh2 before 1.11 knows neither GCM nor MACs over the ciphertext.
  profile: 'legacy',
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
