import { slots, connectSlot, type SlotApi, type SlotName, type SlotOffer } from '../../src/slots/index.ts'
import type { AnySlot, Reading } from '../../src/slots/slot.ts'
import { createIdentity } from '../../src/wire/certificate.ts'
import { openChannel, type Channel } from '../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../src/wire/endpoint.ts'
import { openPluginServer } from '../../src/wire/server.ts'
import { Scope } from '../../src/base/scope.ts'

/** A slot's contract over a real socket with mutual TLS, answered by `offer` in this process. */
export interface ServedSlot<N extends SlotName> extends AsyncDisposable {
  readonly api: SlotApi<N>
  readonly channel: Channel
}

/** Serves `offer` and connects to it. */
export async function serveSlot<N extends SlotName>(
  name: N,
  offer: SlotOffer<N>,
  options: Reading & { readonly timeoutMs?: number } = {},
): Promise<ServedSlot<N>> {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const [host, plugin] = [await createIdentity(), await createIdentity()]
  const slot = slots[name] as unknown as AnySlot
  const server = await openPluginServer({
    listen: { network: 'unix', path: socketPathIn(folder.path) },
    tls: { identity: plugin, clientCertificatePem: host.certificatePem },
    services: [{ description: slot.service, handlers: slot.handlers(offer) }],
  })
  scope.defer(() => server.stop())
  const channel = scope.own(
    await openChannel({
      address: server.address,
      tls: { identity: host, pluginCertificate: plugin.certificateDer },
    }),
  )
  const api = connectSlot(name, channel, { timeoutMs: 5_000, ...options })
  return { api, channel, [Symbol.asyncDispose]: () => scope.close() }
}
