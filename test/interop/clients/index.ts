import { curlDriver } from './curl.ts'
import type { ClientDriver } from './driver.ts'
import { goPkgSftp } from './go.ts'
import { lftp } from './lftp.ts'
import { ssh2SftpClient } from './node.ts'
import { opensshScp, opensshSftp } from './openssh.ts'
import { pscpDriver, psftpDriver } from './putty.ts'
import { asyncssh, paramiko } from './python.ts'
import { rcloneDriver } from './rclone.ts'
import { sshfs } from './sshfs.ts'

/** Every stock client that we are seen to work with. */
export const clients: readonly ClientDriver[] = [
  ...[opensshSftp, opensshScp, lftp, rcloneDriver, psftpDriver, pscpDriver],
  ...[curlDriver, paramiko, asyncssh, sshfs, ssh2SftpClient, goPkgSftp],
]
