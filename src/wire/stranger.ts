import type { Client } from '@grpc/grpc-js'
import type { Identity } from './certificate.ts'
import type { PluginAddress } from './handshake.ts'

/** Where the stranger asks, and as whom. */
export interface StrangerOptions {
  readonly address: PluginAddress
  readonly identity: Identity
  /** DER, as the first line has it. */
  readonly pluginCertificate: Uint8Array
  readonly timeoutMs: number
}

/**
 * What a plugin answers to another gRPC library, grpc-js. Our own HTTP/2 is that of host and SDK both, so only somebody
 * else notices a plugin that understands nobody but us. The library is loaded when it is asked for, by the kit alone.
 *
 * Gives the number of the status and the bytes of the answer; 14 (UNAVAILABLE) when they could not talk.
 */
export async function askAsStranger(
  options: StrangerOptions,
  path: string,
  message: Uint8Array,
): Promise<{ readonly code: number; readonly answer: Buffer | undefined }> {
  const { address, identity, pluginCertificate, timeoutMs } = options
  const { Client, credentials } = await import('@grpc/grpc-js')
  const secured = credentials.createSsl(
    Buffer.from(pemOf(pluginCertificate)),
    Buffer.from(identity.privateKeyPem),
    Buffer.from(identity.certificatePem),
  )
  const client = new Client(targetOf(address), secured, {
    'grpc.ssl_target_name_override': 'localhost',
    'grpc.enable_http_proxy': 0,
  })
  try {
    return await asked(client, path, { message, timeoutMs })
  } finally {
    client.close()
  }
}

function asked(
  client: Client,
  path: string,
  { message, timeoutMs }: { readonly message: Uint8Array; readonly timeoutMs: number },
): Promise<{ readonly code: number; readonly answer: Buffer | undefined }> {
  const asIs = (bytes: Buffer): Buffer => bytes
  return new Promise((resolve) => {
    const deadline = Date.now() + timeoutMs
    client.makeUnaryRequest(path, asIs, asIs, Buffer.from(message), { deadline }, (error, answer) =>
      resolve({ code: error?.code ?? 0, answer }),
    )
  })
}

function targetOf(address: PluginAddress): string {
  return address.network === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`
}

function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
