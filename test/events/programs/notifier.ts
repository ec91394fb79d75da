// A notifier in a process of its own: notes each event in a file before it answers.
// Arguments: socket, ledger, key, certificate, the host's certificate (files).
import { openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { servedIn, slots } from '../../../src/slots/index.ts'
import type { FileNotice } from '../../../src/slots/notifier/contract.ts'
import { openPluginServer } from '../../../src/wire/server.ts'

const [socket = '', ledger = '', key = '', certificate = '', hostCertificate = ''] = process.argv.slice(2)
const note = openSync(ledger, 'a')
rmSync(socket, { force: true })
await openPluginServer({
  listen: { network: 'unix', path: socket },
  tls: {
    identity: {
      privateKeyPem: readFileSync(key, 'utf8'),
      certificatePem: readFileSync(certificate, 'utf8'),
      certificateDer: Buffer.alloc(0),
    },
    clientCertificatePem: readFileSync(hostCertificate, 'utf8'),
  },
  ...servedIn(slots.notifier, {
    async notifyFile({ action, username, path, targetPath, size, status, metadata }: FileNotice) {
      const key = `${action} ${path} ${targetPath} ${size}`
      writeSync(note, `${JSON.stringify([metadata['event_id'], username, key, status])}\n`)
    },
  }),
})
console.log('ready')
