// A notifier in a process of its own, over mutual TLS: what `npm run bench events` and its relatives deliver to.
import { servedIn, slots } from '../../src/slots/index.ts'
import { createIdentity } from '../../src/wire/certificate.ts'
import { openPluginServer } from '../../src/wire/server.ts'

const [socketPath = '', hostCertificate = ''] = process.argv.slice(2)
const identity = await createIdentity()
let heard = 0
const server = await openPluginServer({
  listen: { network: 'unix', path: socketPath },
  tls: { identity, clientCertificatePem: Buffer.from(hostCertificate, 'base64').toString() },
  ...servedIn(slots.notifier, {
    async notifyFile() {
      heard += 1
    },
  }),
})
process.on('message', () => process.send?.({ heard }))
process.on('disconnect', () => {
  server.stop()
  process.exit(0)
})
process.send?.({ address: server.address, certificate: identity.certificateDer.toString('base64') })
