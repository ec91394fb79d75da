import type { ClientDriver, ServerAddress } from './driver.ts'
import { run, versionOf, type RunOptions } from './run.ts'

function rclone(
  server: ServerAddress,
  args: readonly string[],
  more: RunOptions = {},
): ReturnType<typeof run> {
  const remote = {
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_S_TYPE: 'sftp',
    RCLONE_CONFIG_S_HOST: '127.0.0.1',
    RCLONE_CONFIG_S_PORT: String(server.port),
    RCLONE_CONFIG_S_USER: server.username,
    RCLONE_CONFIG_S_KEY_FILE: server.keyFile,
    RCLONE_CONFIG_S_KNOWN_HOSTS_FILE: server.knownHosts,
    RCLONE_CONFIG_S_SHELL_TYPE: 'none',
  }
  return run('rclone', ['--retries', '1', '--low-level-retries', '1', ...args], { ...more, env: remote })
}

/** rclone's copyto, lsf, moveto, deletefile; sync and check are in a test of their own. */
export const rcloneDriver: ClientDriver = {
  name: 'rclone',
  needs: 'rclone',
  version: async () => versionOf('rclone', ['version'], /rclone v[\w.]+/),
  async put(server, { local, remote }) {
    await rclone(server, ['copyto', local, `s:${remote}`])
  },
  async get(server, { local, remote }) {
    await rclone(server, ['copyto', `s:${remote}`, local])
  },
  async list(server, remote) {
    const { out } = await rclone(server, ['lsf', `s:${remote}`])
    return out
      .split('\n')
      .filter(Boolean)
      .map((line) => line.replace(/\/$/, ''))
  },
  async renameOver(server, from, to) {
    // This rclone asks for SFTP's plain rename, which never replaces (C-77): the target goes first.
    await rclone(server, ['deletefile', `s:${to}`])
    await rclone(server, ['moveto', `s:${from}`, `s:${to}`])
  },
  async remove(server, remote) {
    await rclone(server, ['deletefile', `s:${remote}`])
  },
  async abortPut(server, { local, remote, halfway }) {
    await rclone(server, ['copyto', local, `s:${remote}`], { killWhen: halfway })
  },
}

/** rclone's sync of a folder followed by its own check of both sides. */
export async function rcloneSyncAndCheck(
  server: ServerAddress,
  local: string,
  remote: string,
): Promise<void> {
  await rclone(server, ['sync', local, `s:${remote}`])
  await rclone(server, ['check', '--download', local, `s:${remote}`])
}
