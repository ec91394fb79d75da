import {
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  closeSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClientDriver, ServerAddress, Transfer } from './driver.ts'
import { run, versionOf } from './run.ts'

/** Mounts the server, does the work through the file system, unmounts. */
async function mounted<T>(server: ServerAddress, work: (root: string) => T | Promise<T>): Promise<T> {
  const root = join(server.folder, 'mount')
  mkdirSync(root, { recursive: true })
  const settings = [
    `IdentityFile=${server.keyFile}`,
    'IdentitiesOnly=yes',
    `UserKnownHostsFile=${server.knownHosts}`,
  ]
  const options = [...settings, 'BatchMode=yes', 'dir_cache=no', 'ssh_command=ssh -F /dev/null'].flatMap(
    (o) => ['-o', o],
  )
  await run('sshfs', ['-p', String(server.port), ...options, `${server.username}@127.0.0.1:/`, root])
  try {
    return await work(root)
  } finally {
    // The kernel sends the end of a file after close() returned, and an unmount drops it if sshfs has not read it yet.
    // What is asked after it is read after it.
    readdirSync(root)
    await run('fusermount3', ['-u', root])
  }
}

const put: Transfer = (server, { local, remote }) =>
  mounted(server, (root) => copyFile(local, join(root, remote)))

/** sshfs: the file system calls of ordinary programs. */
export const sshfs: ClientDriver = {
  name: 'sshfs',
  needs: 'sshfs',
  async version() {
    return existsSync('/dev/fuse') ? versionOf('sshfs', ['-V'], /SSHFS version [\d.]+/) : undefined
  },
  put,
  get: (server, { local, remote }) => mounted(server, (root) => copyFile(join(root, remote), local)),
  list: (server, remote) => mounted(server, (root) => readdirSync(join(root, remote))),
  renameOver: (server, from, to) => mounted(server, (root) => renameSync(join(root, from), join(root, to))),
  remove: (server, remote) => mounted(server, (root) => unlinkSync(join(root, remote))),
  resumePut: (server, { local, remote }) => mounted(server, (root) => appendRest(local, join(root, remote))),
  resumeGet: (server, { local, remote }) => mounted(server, (root) => appendRest(join(root, remote), local)),
}

/** Copies what `to` still lacks of `from`. */
function appendRest(from: string, to: string): void {
  const source = openSync(from, 'r')
  const target = openSync(to, 'r+')
  const chunk = Buffer.alloc(1 << 17)
  let position = statSync(to).size
  for (
    let n = readSync(source, chunk, 0, chunk.length, position);
    n > 0;
    n = readSync(source, chunk, 0, chunk.length, position)
  ) {
    writeSync(target, chunk, 0, n, position)
    position += n
  }
  closeSync(source)
  closeSync(target)
}
