import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An object store on loopback: anybody reads, and who writes has to sign as AWS Signature Version 4 says. */
export interface FakeBucket extends AsyncDisposable {
  readonly endpoint: string
  /** Objects by their path. */
  readonly objects: Map<string, Buffer>
  /** Why writes were refused. */
  readonly refusals: readonly string[]
}

interface BucketOptions {
  readonly region: string
  readonly accessKey: string
  readonly secretKey: string
  /** Wanted with each write when it is given. */
  readonly sessionToken?: string
}

/** Starts one. The signature is computed from the request as it arrived, header by header as the vendor describes it. */
export async function startFakeBucket(options: BucketOptions): Promise<FakeBucket> {
  const objects = new Map<string, Buffer>()
  const refusals: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const path = decodeURIComponent(request.url ?? '')
      if (request.method === 'GET') {
        const found = objects.get(path)
        return void response.writeHead(found === undefined ? 404 : 200).end(found)
      }
      const refusal = whyRefused(request, body, options)
      if (refusal !== undefined) {
        refusals.push(refusal)
        return void response.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code></Error>')
      }
      objects.set(path, body)
      response.writeHead(200).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on an address, not on a path
    objects,
    refusals,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const form =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/

function whyRefused(request: IncomingMessage, body: Buffer, options: BucketOptions): string | undefined {
  const [, accessKey, day, region, signedHeaders = '', signature = ''] =
    form.exec(request.headers.authorization ?? '') ?? []
  if (accessKey === undefined || day === undefined || region === undefined) return 'not signed'
  if (accessKey !== options.accessKey || region !== options.region) return 'another key or region'
  const header = (name: string): string => String(request.headers[name] ?? '').trim()
  const time = header('x-amz-date')
  if (!time.startsWith(day) || Math.abs(Date.parse(isoOf(time)) - Date.now()) > 15 * 60_000)
    return 'another time'
  if (header('x-amz-content-sha256') !== sha256(body)) return 'another body'
  const names = signedHeaders.split(';')
  for (const name of ['host', ...Object.keys(request.headers).filter((one) => one.startsWith('x-amz-'))])
    if (!names.includes(name)) return `${name} is not signed`
  if (options.sessionToken !== undefined && header('x-amz-security-token') !== options.sessionToken)
    return 'no session'
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  const canonical = [
    request.method ?? '',
    path,
    query,
    ...[...names].sort().map((name) => `${name}:${header(name)}`),
    '',
    signedHeaders,
    sha256(body),
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, `${day}/${region}/s3/aws4_request`, sha256(canonical)].join('\n')
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${options.secretKey}`,
  )
  const expected = createHmac('sha256', key).update(toSign).digest()
  return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? undefined : 'another signature'
}

function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** `20260102T030405Z` with its marks. */
function isoOf(time: string): string {
  return time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
}
