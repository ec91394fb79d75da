import { readFileSync } from 'node:fs'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { ConfigError, messageOf } from '../base/errors.ts'
import type { ProgramMeter } from './meters.ts'

/** What `/readyz` answers: 503 when it is not ready. */
export interface Readiness {
  readonly ready: boolean
  /** Each part by name, also those that the server is ready without. */
  readonly parts: Readonly<Record<string, { readonly ready: boolean; readonly required: boolean }>>
}

/** How the listener is made. */
export interface TelemetryOptions {
  readonly port: number
  readonly address: string
  readonly meter: ProgramMeter
  /** Asked at every request. */
  readonly readiness: () => Readiness | Promise<Readiness>
  readonly certificateFile?: string
  readonly certificateKeyFile?: string
  /** 12 or 13; default 12. */
  readonly minTlsVersion?: number
  /** Whether a name and a password may ask; default: everybody may. */
  readonly mayAsk?: (name: string, password: string) => Promise<boolean>
}

/** The open listener. */
export interface TelemetryServer {
  readonly port: number
  close(): Promise<void>
}

/** Opens the listener for `/healthz`, `/readyz` and `/metrics`. */
export async function openTelemetryServer(options: TelemetryOptions): Promise<TelemetryServer> {
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response, options).catch((error: unknown) =>
      send(response, 500, { error: messageOf(error) }),
    )
  }
  const server = options.certificateFile === undefined ? createServer(handle) : secureServer(options, handle)
  server.headersTimeout = 10_000
  server.requestTimeout = 10_000
  server.maxConnections = 64
  await listen(server, options)
  return {
    port: (server.address() as AddressInfo).port, // it listens on TCP
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function secureServer(
  options: TelemetryOptions,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  return createSecureServer(
    {
      cert: readFileSync(options.certificateFile ?? ''),
      key: readFileSync(options.certificateKeyFile ?? ''),
      minVersion: options.minTlsVersion === 13 ? 'TLSv1.3' : 'TLSv1.2',
    },
    handle,
  )
}

function listen(server: Server, { port, address }: TelemetryOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new ConfigError(
          'address-in-use',
          `Cannot listen on ${address}:${port} for telemetry: ${error.message}`,
        ),
      ),
    )
    server.listen({ port, ...(address === '' ? {} : { host: address }) }, resolve)
  })
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: TelemetryOptions,
): Promise<void> {
  const path = (request.url ?? '').split('?')[0]
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(response, 405, { error: 'Only GET is answered' })
  if (path === '/healthz') return send(response, 200, { status: 'ok' })
  if (!(await isAllowed(request, options))) {
    response.setHeader('www-authenticate', 'Basic realm="telemetry"')
    return send(response, 401, { error: 'A name and a password are needed' })
  }
  if (path === '/readyz') {
    const { ready, parts } = await options.readiness()
    return send(response, ready ? 200 : 503, { ready, parts })
  }
  if (path === '/metrics') {
    const { text, contentType } = await options.meter.read()
    response.writeHead(200, { 'content-type': contentType })
    response.end(text)
    return
  }
  send(response, 404, { error: 'There are /healthz, /readyz and /metrics' })
}

async function isAllowed(request: IncomingMessage, { mayAsk }: TelemetryOptions): Promise<boolean> {
  if (mayAsk === undefined) return true
  const [scheme, encoded = ''] = (request.headers.authorization ?? '').split(' ')
  if (scheme?.toLowerCase() !== 'basic') return false
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const cut = text.indexOf(':')
  return cut > 0 && (await mayAsk(text.slice(0, cut), text.slice(cut + 1)))
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return void response.end()
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(`${JSON.stringify(body)}\n`)
}
