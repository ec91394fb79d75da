import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { programDriver } from './program.ts'

/** ssh2-sftp-client: the same SSH library on both ends, so the weakest evidence. */
export const ssh2SftpClient = programDriver({
  name: 'ssh2-sftp-client',
  needs: 'npm',
  async version() {
    const main = createRequire(import.meta.url).resolve('ssh2-sftp-client')
    const manifest: unknown = JSON.parse(readFileSync(join(main, '../../package.json'), 'utf8'))
    return typeof manifest === 'object' && manifest !== null && 'version' in manifest
      ? String(manifest.version)
      : undefined
  },
  command: [process.execPath, join(import.meta.dirname, 'ssh2-sftp-client.mjs')],
})
