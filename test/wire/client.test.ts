import { describe, expect, it } from 'vitest'
import { Empty } from '../../src/gen/google/protobuf/empty.ts'
import { HealthDefinition } from '../../src/gen/health.ts'
import { IPFilterDefinition } from '../../src/gen/slots/ipfilter.ts'
import { createIdentity } from '../../src/wire/certificate.ts'
import { openChannel } from '../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../src/wire/endpoint.ts'
import { openPluginServer, serve } from '../../src/wire/server.ts'

describe('a channel', () => {
  it('calls over mutual TLS', async () => {
    await using folder = await openSocketFolder()
    const host = await createIdentity()
    const plugin = await createIdentity()
    const server = await openPluginServer({
      listen: { network: 'unix', path: socketPathIn(folder.path) },
      tls: { identity: plugin, clientCertificatePem: host.certificatePem },
      services: [
        serve(IPFilterDefinition, { checkIP: async () => ({}), reload: async () => ({}) }),
        serve(HealthDefinition, {
          check: async () => ({ status: 1 }),
          async *watch() {
            yield { status: 1 }
          },
        }),
      ],
    })
    const channel = await openChannel({
      address: server.address,
      tls: { identity: host, pluginCertificate: plugin.certificateDer },
    })
    const { checkIP } = channel.caller(IPFilterDefinition, { timeoutMs: 1000 })
    await expect(checkIP({ ip: '127.0.0.1', protocol: 'SSH' })).resolves.toEqual(
      Empty.decode(new Uint8Array()),
    )
    await channel.close()
    server.stop()
  })
})
