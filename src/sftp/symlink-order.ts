/**
 * Which string of SYMLINK comes first from a client with this version (without `SSH-2.0-`).
 *
 * The draft says the link, OpenSSH sends the target, and nearly everybody follows OpenSSH. AsyncSSH and WinSCP
 * send the draft's order to every server that does not call itself OpenSSH (asyncssh `sftp.py`, WinSCP's
 * `SftpFileSystem.cpp`), and we do not.
 */
export function symlinkOrderFor(clientVersion: string): 'target-first' | 'link-first' {
  return /^(AsyncSSH|WinSCP)/i.test(clientVersion) ? 'link-first' : 'target-first'
}
