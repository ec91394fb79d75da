import { join } from 'node:path'
import { programDriver } from './program.ts'
import { versionOf } from './run.ts'

// Debian's libraries belong to Debian's Python; another python3 may come first in PATH.
const python = '/usr/bin/python3'

/** paramiko. */
export const paramiko = programDriver({
  name: 'paramiko',
  needs: 'python3-paramiko',
  version: async () => versionOf(python, ['-c', 'import paramiko; print(paramiko.__version__)'], /^[\d.]+/),
  command: [python, join(import.meta.dirname, 'paramiko_client.py')],
})

/** asyncssh. */
export const asyncssh = programDriver({
  name: 'asyncssh',
  needs: 'python3-asyncssh',
  version: async () => versionOf(python, ['-c', 'import asyncssh; print(asyncssh.__version__)'], /^[\d.]+/),
  command: [python, join(import.meta.dirname, 'asyncssh_client.py')],
})
