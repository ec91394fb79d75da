import { createServer } from 'node:http'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openCatalogSource, signedHeaders } from '../../src/packages/catalog-source.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-source-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a folder as a source', () => {
  it('reads, fetches and writes', async () => {
    const source = openCatalogSource(folder)
    await source.write?.('archives/a', Buffer.from('bytes'))
    expect(await source.read('archives/a', 100)).toEqual(Buffer.from('bytes'))
    await source.fetch('archives/a', join(folder, 'copy'), 100)
    expect(readFileSync(join(folder, 'copy'), 'utf8')).toBe('bytes')
  })

  it('tells a missing file from a missing catalog', async () => {
    expect(await openCatalogSource(folder).read('index.json', 100)).toBeUndefined()
    await expect(openCatalogSource(join(folder, 'none')).read('index.json', 100)).rejects.toMatchObject({
      code: 'unreachable',
    })
  })

  it('bounds what it reads and stays inside', async () => {
    writeFileSync(join(folder, 'big'), Buffer.alloc(101))
    await expect(openCatalogSource(folder).read('big', 100)).rejects.toMatchObject({ code: 'too-large' })
    await expect(openCatalogSource(folder).read('../x', 100)).rejects.toMatchObject({ code: 'unsafe-path' })
  })
})

describe('a web server as a source', () => {
  it('reads and fetches, bounded, and tells 404 from a server in trouble', async () => {
    await using web = await serve((path) => ({
      status: { '/c/a': 200, '/c/b': 404 }[path] ?? 500,
      body: Buffer.alloc(5000, 1),
    }))
    const source = openCatalogSource(`http://127.0.0.1:${web.port}/c`)
    expect(await source.read('a', 5000)).toHaveLength(5000)
    await expect(source.read('a', 4999)).rejects.toMatchObject({ code: 'too-large' })
    await expect(source.fetch('a', join(folder, 'a'), 4999)).rejects.toMatchObject({ code: 'too-large' })
    await source.fetch('a', join(folder, 'b'), 5000)
    expect(readFileSync(join(folder, 'b'))).toHaveLength(5000)
    expect(await source.read('b', 10)).toBeUndefined()
    await expect(source.read('c', 10)).rejects.toMatchObject({ code: 'unreachable' })
    expect(source.write).toBeUndefined()
  })

  it('reads over plain http on this machine only', () => {
    expect(() => openCatalogSource('http://example.test/catalog')).toThrow(/over https/)
  })

  it('says so when nobody answers', async () => {
    const { port } = await serve(() => ({ status: 200, body: Buffer.alloc(0) })).then(async (web) => {
      await web[Symbol.asyncDispose]()
      return web
    })
    await expect(openCatalogSource(`http://127.0.0.1:${port}/`).read('a', 10)).rejects.toMatchObject({
      code: 'unreachable',
    })
  })
})

describe('an S3 bucket as a source', () => {
  it("signs a PUT as the vendor's own library does", () => {
    // Made with botocore's S3SigV4Auth for the same request, key and time.
    const headers = signedHeaders(
      new URL('https://s3.example.test/plugins/corp/archives/acme-auth-1.2.0-any.tgz'),
      Buffer.from('the bytes of an archive'),
      {
        region: 'eu-central-1',
        credentials: { accessKey: 'AKIAEXAMPLE', secretKey: 'secret/example+key' },
        now: new Date('2026-01-02T03:04:05Z'),
      },
    )
    expect(headers).toEqual({
      'x-amz-date': '20260102T030405Z',
      'x-amz-content-sha256': 'e0c96bc59e62994acbbd40a10aaf23bb4064d94f26c1ef42a03c6f4d62d55900',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260102/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=eae71b159be6cc5f0cd410a1167017f2904b492e824093ca925912b569250a2e',
    })
  })

  it('reads without a signature and writes with one', async () => {
    const asked: string[] = []
    await using web = await serve((path, method, authorization) => {
      asked.push(`${method} ${path} ${authorization === undefined ? 'open' : 'signed'}`)
      return { status: 200, body: Buffer.from('x') }
    })
    const url = `s3://plugins/corp?region=eu-central-1&endpoint=http://127.0.0.1:${web.port}`
    const source = openCatalogSource(url, { accessKey: 'A', secretKey: 'S' })
    await source.read('index.json', 10)
    await source.write?.('index.json', Buffer.from('{}'))
    expect(asked).toEqual(['GET /plugins/corp/index.json open', 'PUT /plugins/corp/index.json signed'])
    expect(openCatalogSource(url).write).toBeUndefined()
  })
})

type Answer = (
  path: string,
  method: string,
  authorization: string | undefined,
) => { readonly status: number; readonly body: Buffer }

async function serve(answer: Answer): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((request, response) => {
    const { status, body } = answer(request.url ?? '', request.method ?? '', request.headers.authorization)
    request.resume()
    response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port, // it listens on an address, not on a path
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
