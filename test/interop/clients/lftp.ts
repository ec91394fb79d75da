import type { ClientDriver, ServerAddress } from './driver.ts'
import { quoted, run, versionOf, type RunOptions } from './run.ts'

function script(server: ServerAddress, commands: string, more: RunOptions = {}): ReturnType<typeof run> {
  const ssh = `ssh -F /dev/null -a -x -i ${server.keyFile} -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=${server.knownHosts}`
  const head = [
    'set net:max-retries 1',
    'set net:timeout 30',
    'set cmd:fail-exit yes',
    `set sftp:connect-program ${quoted(ssh)}`,
    `open -u ${server.username},none sftp://127.0.0.1:${server.port}`,
  ]
  return run('lftp', ['--norc', '-c', [...head, commands].join('; ')], {
    ...more,
    env: { HOME: server.folder },
  })
}

/** lftp. */
export const lftp: ClientDriver = {
  name: 'lftp',
  needs: 'lftp',
  version: async () => versionOf('lftp', ['--version'], /Version [\w.]+/),
  async put(server, { local, remote }) {
    await script(server, `put ${quoted(local)} -o ${quoted(remote)}`)
  },
  async get(server, { local, remote }) {
    await script(server, `set xfer:clobber yes; get ${quoted(remote)} -o ${quoted(local)}`)
  },
  async list(server, remote) {
    const { out } = await script(server, `cls -1 --quiet ${quoted(`${remote}/`)}`)
    return out
      .split('\n')
      .filter(Boolean)
      .map((line) => line.replace(/\/$/, '').slice(line.replace(/\/$/, '').lastIndexOf('/') + 1))
  },
  async renameOver(server, from, to) {
    // lftp has no replacing rename over SFTP: its own manual has people remove the target first.
    await script(server, `rm -f ${quoted(to)}; mv ${quoted(from)} ${quoted(to)}`)
  },
  async remove(server, remote) {
    await script(server, `rm ${quoted(remote)}`)
  },
  async resumePut(server, { local, remote }) {
    await script(server, `put -c ${quoted(local)} -o ${quoted(remote)}`)
  },
  async resumeGet(server, { local, remote }) {
    await script(server, `get -c ${quoted(remote)} -o ${quoted(local)}`)
  },
  async abortPut(server, { local, remote, halfway }) {
    await script(server, `put ${quoted(local)} -o ${quoted(remote)}`, { killWhen: halfway })
  },
}
