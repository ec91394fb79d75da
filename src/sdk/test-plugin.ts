import { Scope } from '../base/scope.ts'
import { connectSlot, servedIn, slots, type SlotApi, type SlotName, type SlotOffer } from '../slots/index.ts'
import type { AnySlot, Reading } from '../slots/slot.ts'
import { createIdentity } from '../wire/certificate.ts'
import { openChannel } from '../wire/client.ts'
import { openSocketFolder, socketPathIn } from '../wire/endpoint.ts'
import { openPluginServer } from '../wire/server.ts'

/** An author's object as the server sees it: asked over a real socket with mutual TLS, in this process. */
export interface TestPlugin<N extends SlotName> extends AsyncDisposable {
  readonly api: SlotApi<N>
  close(): Promise<void>
}

/** How it is asked. */
export interface TestPluginOptions extends Reading {
  /** How long a call may take. Default: the slot's own time. */
  readonly timeoutMs?: number
}

/** Serves `offer` and connects to it, for the tests of a plugin. */
export async function openTestPlugin<N extends SlotName>(
  name: N,
  offer: SlotOffer<N>,
  options: TestPluginOptions = {},
): Promise<TestPlugin<N>> {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const [host, plugin] = await Promise.all([createIdentity(), createIdentity()])
  const slot: AnySlot = slots[name]
  const server = await openPluginServer({
    listen: { network: 'unix', path: socketPathIn(folder.path) },
    tls: { identity: plugin, clientCertificatePem: host.certificatePem },
    ...servedIn(slot, offer),
  })
  scope.defer(() => server.stop())
  const tls = { identity: host, pluginCertificate: plugin.certificateDer }
  const channel = scope.own(await openChannel({ address: server.address, tls }))
  const api = connectSlot(name, channel, { timeoutMs: slot.callTimeoutMs, ...options })
  return { api, close: () => scope.close(), [Symbol.asyncDispose]: () => scope.close() }
}
