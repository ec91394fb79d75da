import { createHash, createHmac } from 'node:crypto'
import { createWriteStream, existsSync } from 'node:fs'
import { copyFile, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, isAbsolute, resolve, sep } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { makeFolders } from '../base/make-folders.ts'
import { messageOf, PackageError } from '../base/errors.ts'
import { largestIndexBytes } from './catalog-index.ts'

/** A place that holds a catalog's files: nothing runs there. Every failure to reach it is `unreachable`. */
export interface CatalogSource {
  /** A small file, whole; undefined when it is not there. Throws `too-large` past `mostBytes`. */
  read(file: string, mostBytes: number): Promise<Buffer | undefined>
  /** A file into a file of ours. Throws `too-large` past `mostBytes`. */
  fetch(file: string, target: string, mostBytes: number): Promise<void>
  /** Puts a file there. Left out where nobody can write (a plain web server). */
  readonly write?: (file: string, bytes: Buffer) => Promise<void>
}

/** Credentials of an S3 bucket, from the environment's usual names. */
export interface S3Credentials {
  readonly accessKey: string
  readonly secretKey: string
  /** Comes with credentials that hold for an hour, as build machines get them. */
  readonly sessionToken?: string
}

/** Opens a folder, an `https://` (or loopback `http://`) address, or `s3://bucket/prefix?endpoint=...&region=...`. */
export function openCatalogSource(url: string, credentials?: S3Credentials): CatalogSource {
  if (url.startsWith('s3://')) return s3Source(new URL(url), credentials)
  if (/^https?:\/\//.test(url)) return webSource(checkedWebUrl(url))
  return folderSource(resolve(url.replace(/^file:\/\//, '')))
}

function folderSource(root: string): CatalogSource {
  const inside = (file: string): string => {
    const path = resolve(root, file)
    if (isAbsolute(file) || !path.startsWith(root + sep))
      throw new PackageError('unsafe-path', `A catalog names "${file}" outside itself`)
    return path
  }
  return {
    async read(file, mostBytes) {
      try {
        const path = inside(file)
        checkSize(file, (await stat(path)).size, mostBytes)
        return await readFile(path)
      } catch (error) {
        return missingOr(error, root)
      }
    },
    async fetch(file, target, mostBytes) {
      const path = inside(file)
      try {
        checkSize(file, (await stat(path)).size, mostBytes)
        await copyFile(path, target)
      } catch (error) {
        throw unreachable(path, error)
      }
    },
    async write(file, bytes) {
      const path = inside(file)
      makeFolders(dirname(path))
      await writeFile(`${path}.part`, bytes)
      await rename(`${path}.part`, path)
    },
  }
}

/** An index is small: a catalog that takes longer for it is as good as away. */
const indexTimeoutMs = 30_000
/** An archive of the largest size still comes through a slow line. */
const archiveTimeoutMs = 600_000

function webSource(base: string): CatalogSource {
  const get = async (file: string, timeoutMs: number): Promise<Response> => {
    const url = new URL(file, base)
    try {
      return await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    } catch (error) {
      throw unreachable(url.href, error)
    }
  }
  return {
    async read(file, mostBytes) {
      const response = await get(file, mostBytes > largestIndexBytes ? archiveTimeoutMs : indexTimeoutMs)
      if (response.status === 404) return undefined
      return collect(file, accepted(response), mostBytes)
    },
    async fetch(file, target, mostBytes) {
      const response = accepted(await get(file, archiveTimeoutMs))
      try {
        await pipeline(
          Readable.fromWeb(bodyOf(response)),
          bounded(file, mostBytes),
          createWriteStream(target),
        )
      } catch (error) {
        throw unreachable(response.url, error)
      }
    },
  }
}

/** Reads over plain HTTPS; writes with requests signed as AWS Signature Version 4 says. */
function s3Source(url: URL, credentials: S3Credentials | undefined): CatalogSource {
  const region = url.searchParams.get('region') ?? 'us-east-1'
  const endpoint = checkedWebUrl(url.searchParams.get('endpoint') ?? `https://s3.${region}.amazonaws.com`)
  const parts = [url.host, ...url.pathname.split('/').filter((part) => part !== '')]
  const base = new URL(`/${parts.map(strictlyEncoded).join('/')}/`, endpoint)
  const reader = webSource(base.href)
  if (credentials === undefined) return reader
  return {
    ...reader,
    async write(file, bytes) {
      const target = new URL(file, base)
      const headers = signedHeaders(target, bytes, { region, credentials, now: new Date() })
      const response = await fetch(target, {
        method: 'PUT',
        headers,
        body: new Uint8Array(bytes),
        signal: AbortSignal.timeout(120_000),
      }).catch((error: unknown) => {
        throw unreachable(target.href, error)
      })
      accepted(response)
      await response.arrayBuffer()
    },
  }
}

/** The headers of a signed PUT. Exported for the published test vectors. */
export function signedHeaders(
  url: URL,
  body: Buffer,
  {
    region,
    credentials,
    now,
  }: { readonly region: string; readonly credentials: S3Credentials; readonly now: Date },
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const bodyHash = createHash('sha256').update(body).digest('hex')
  const { sessionToken } = credentials
  const headers = {
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': time,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
  }
  const lines = Object.entries({ host: url.host, ...headers })
  const signed = lines.map(([name]) => name).join(';')
  const request = [
    ...['PUT', url.pathname, ''],
    ...lines.map(([name, value]) => `${name}:${value}`),
    ...['', signed, bodyHash],
  ]
  const scope = `${day}/${region}/s3/aws4_request`
  const hash = createHash('sha256').update(request.join('\n')).digest('hex')
  const text = ['AWS4-HMAC-SHA256', time, scope, hash].join('\n')
  const key = [day, region, 's3', 'aws4_request'].reduce<Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    Buffer.from(`AWS4${credentials.secretKey}`),
  )
  const signature = createHmac('sha256', key).update(text).digest('hex')
  const credential = `Credential=${credentials.accessKey}/${scope}`
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${signed}, Signature=${signature}`,
  }
}

/** A part of a path as the signature wants it: everything but letters, digits and four marks is escaped. */
function strictlyEncoded(part: string): string {
  return encodeURIComponent(decodeURIComponent(part)).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** Plain HTTP only on this machine: an index is signed, but who asks for what is nobody's business. */
function checkedWebUrl(text: string): string {
  const url = new URL(text.endsWith('/') ? text : `${text}/`)
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  if (url.protocol === 'http:' && !loopback)
    throw new PackageError('unreachable', `A catalog is read over https, not "${url.origin}"`)
  return url.href
}

function accepted(response: Response): Response {
  if (response.ok) return response
  throw unreachable(response.url, new Error(`it answered ${response.status}`))
}

function bodyOf(response: Response): ReadableStream {
  if (response.body === null) throw new Error('an empty answer')
  return response.body
}

async function collect(file: string, response: Response, mostBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of Readable.fromWeb(bodyOf(response)).pipe(bounded(file, mostBytes))) {
      chunks.push(Buffer.from(chunk as Uint8Array)) // a byte stream
    }
  } catch (error) {
    throw unreachable(response.url, error)
  }
  return Buffer.concat(chunks)
}

function bounded(file: string, mostBytes: number): Transform {
  let total = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length
      if (total > mostBytes) done(tooLarge(file, mostBytes))
      else done(null, chunk)
    },
  })
}

function checkSize(file: string, size: number, mostBytes: number): void {
  if (size > mostBytes) throw tooLarge(file, mostBytes)
}

function tooLarge(file: string, mostBytes: number): PackageError {
  return new PackageError('too-large', `"${file}" has more than the ${mostBytes} bytes that are allowed`)
}

/** A file that is not there is no failure as long as the catalog itself is. */
function missingOr(error: unknown, root: string): undefined {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
  if (isMissing && existsSync(root)) return undefined
  throw unreachable(root, error)
}

function unreachable(where: string, cause: unknown): PackageError {
  if (cause instanceof PackageError) return cause
  return new PackageError('unreachable', `Cannot reach "${where}": ${rootOf(cause)}`, { cause })
}

/** What is behind "fetch failed". */
function rootOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : messageOf(error)
}
