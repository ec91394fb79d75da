import { existsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { ClientDriver, ServerAddress } from './driver.ts'
import { quoted, run, versionOf, type RunOptions } from './run.ts'

/** PuTTY reads keys in its own form only. */
async function puttyKey(server: ServerAddress): Promise<string> {
  const file = join(server.folder, 'key.ppk')
  if (!existsSync(file)) await run('puttygen', [server.keyFile, '-O', 'private', '-o', file])
  return file
}

async function common(server: ServerAddress): Promise<string[]> {
  const key = await puttyKey(server)
  return ['-batch', '-P', String(server.port), '-i', key, '-hostkey', server.hostKeyFingerprint]
}

async function psftp(server: ServerAddress, commands: string, more: RunOptions = {}): ReturnType<typeof run> {
  const script = join(server.folder, `psftp-${process.hrtime.bigint()}`)
  const { writeFileSync } = await import('node:fs')
  writeFileSync(script, commands)
  try {
    const args = [...(await common(server)), '-b', script, `${server.username}@127.0.0.1`]
    return await run('psftp', args, { ...more, env: { HOME: server.folder } })
  } finally {
    unlinkSync(script)
  }
}

/** PuTTY's psftp. */
export const psftpDriver: ClientDriver = {
  name: 'PuTTY psftp',
  needs: 'putty-tools',
  version: async () => versionOf('psftp', ['-V'], /Release [\d.]+/),
  async put(server, { local, remote }) {
    await psftp(server, `put ${quoted(local)} ${quoted(remote)}\n`)
  },
  async get(server, { local, remote }) {
    await psftp(server, `get ${quoted(remote)} ${quoted(local)}\n`)
  },
  async list(server, remote) {
    const { out } = await psftp(server, `ls ${quoted(remote)}\n`)
    return out.split('\n').flatMap((line) => longNameIn(line))
  },
  async renameOver(server, from, to) {
    // SFTP version 3 has no replacing rename and psftp knows no extension: the target goes first.
    await psftp(server, `rm ${quoted(to)}\nmv ${quoted(from)} ${quoted(to)}\n`)
  },
  async remove(server, remote) {
    await psftp(server, `rm ${quoted(remote)}\n`)
  },
  async resumePut(server, { local, remote }) {
    await psftp(server, `reput ${quoted(local)} ${quoted(remote)}\n`)
  },
  async resumeGet(server, { local, remote }) {
    await psftp(server, `reget ${quoted(remote)} ${quoted(local)}\n`)
  },
  async abortPut(server, { local, remote, halfway }) {
    await psftp(server, `put ${quoted(local)} ${quoted(remote)}\n`, { killWhen: halfway })
  },
}

/** The name at the end of a line of `ls -l`. */
function longNameIn(line: string): string[] {
  const name = /^[-dlbcps][rwxsStT-]{9}\S*\s+\d+\s+\S+\s+\S+\s+\d+\s+\S+\s+\S+\s+\S+\s(.*)$/.exec(
    line.trimEnd(),
  )?.[1]
  return name === undefined || name === '.' || name === '..' ? [] : [name]
}

async function pscp(server: ServerAddress, from: string, to: string, more: RunOptions = {}): Promise<void> {
  const args = [...(await common(server)), '-sftp', '-q', from, to]
  await run('pscp', args, { ...more, env: { HOME: server.folder } })
}

/** PuTTY's pscp over SFTP. */
export const pscpDriver: ClientDriver = {
  name: 'PuTTY pscp -sftp',
  needs: 'putty-tools',
  version: async () => versionOf('pscp', ['-V'], /Release [\d.]+/),
  put: (server, { local, remote }) => pscp(server, local, `${server.username}@127.0.0.1:${remote}`),
  get: (server, { local, remote }) => pscp(server, `${server.username}@127.0.0.1:${remote}`, local),
  abortPut: (server, { local, remote, halfway }) =>
    pscp(server, local, `${server.username}@127.0.0.1:${remote}`, { killWhen: halfway }),
}
