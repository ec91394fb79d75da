import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Scope } from '../../src/base/scope.ts'
import { createIdentity, type Identity } from '../../src/wire/certificate.ts'
import { openChannel } from '../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../src/wire/endpoint.ts'
import { buildPlugin, startPlugin } from '../helpers/plugin-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const missing = spawnSync('openssl', ['version']).status === 0 ? '' : ' (skipped: needs openssl)'

describe.skipIf(missing !== '')(`a certificate with something wrong in it (S-61)${missing}`, () => {
  let plugin: Awaited<ReturnType<typeof buildPlugin>>
  beforeAll(async () => {
    plugin = await buildPlugin('quick')
  })
  afterAll(() => plugin[Symbol.dispose]())

  it.each([
    ['for another name', { name: 'example.com' }],
    ['that has expired', { days: -1 }],
    ['for clients only', { purposes: 'clientAuth' }],
    ['for signing code', { purposes: 'codeSigning' }],
  ])('%s is refused by the host although it is the announced one', async (_what, wrong) => {
    const identity = madeByOpenssl(wrong)
    await expect(connectTo(identity, identity.certificateDer)).rejects.toMatchObject({
      code: 'untrusted-certificate',
    })
  })

  it('with another key and the same words is refused by the host', async () => {
    const announced = madeByOpenssl({})
    await expect(connectTo(madeByOpenssl({}), announced.certificateDer)).rejects.toMatchObject({
      code: 'untrusted-certificate',
    })
    await expect(connectTo(announced, announced.certificateDer)).resolves.toBeUndefined()
  })

  it.each([
    ['that has expired', { days: -1 }],
    ['for servers only', { purposes: 'serverAuth' }],
  ])('%s is refused by the plugin although its host announced it', async (_what, wrong) => {
    const identity = madeByOpenssl(wrong)
    await using process = await startPlugin(plugin.file, { identity })
    await expect(process.connect()).rejects.toMatchObject({ code: 'untrusted-certificate' })
  })

  it('in order is taken by the plugin, whoever made it', async () => {
    await using process = await startPlugin(plugin.file, { identity: madeByOpenssl({}) })
    const channel = await process.connect()
    await channel.close()
  })
})

/** Connects to a server that has `identity`, announced as `announced`. It answers nothing: being let in is enough. */
async function connectTo(identity: Identity, announced: Buffer): Promise<void> {
  await using scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const path = socketPathIn(folder.path)
  const host = await createIdentity()
  const server = createSecureServer({
    ...{ key: identity.privateKeyPem, cert: identity.certificatePem },
    ...{ ca: host.certificatePem, requestCert: true, rejectUnauthorized: true },
  })
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  scope.defer(() => void server.close())
  const tls = { identity: host, pluginCertificate: announced }
  const channel = await openChannel({ address: { network: 'unix', path }, tls })
  await channel.close()
}

/** A P-256 identity that is in order but for what is said. */
function madeByOpenssl({ name = 'localhost', days = 1, purposes = 'serverAuth,clientAuth' }): Identity {
  using folder = temporaryDirectory()
  const [key, request, certificate, extensions] = ['key', 'request', 'certificate', 'extensions'].map(
    (part) => folder.file(part),
  ) as [string, string, string, string] // four names, four paths
  writeFileSync(extensions, `subjectAltName=DNS:${name}\nextendedKeyUsage=${purposes}\n`)
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...['-keyout', key],
    ...['-subj', `/CN=${name}`],
    ...['-out', request],
  )
  openssl(
    'x509',
    '-req',
    ...['-in', request],
    ...['-signkey', key],
    ...['-days', String(days)],
    ...['-extfile', extensions],
    ...['-out', certificate],
  )
  const certificatePem = readFileSync(certificate, 'utf8')
  return {
    privateKeyPem: readFileSync(key, 'utf8'),
    certificatePem,
    certificateDer: new X509Certificate(certificatePem).raw,
  }
}

function openssl(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`)
}
