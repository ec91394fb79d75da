import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startFakeBucket } from '../helpers/fake-bucket.ts'
import { type CommandResult, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { makePackage, type MadePackage } from '../packages/make-package.ts'

describe('a catalog in a bucket', () => {
  it(
    'is published with signed requests, read over plain HTTP, and revoked',
    { timeout: 40_000 },
    async () => {
      const keys = {
        accessKey: 'AKIAEXAMPLE',
        secretKey: 'secret/example+key',
        sessionToken: 'for/an+hour==',
      }
      await using bucket = await startFakeBucket({ region: 'eu-central-1', ...keys })
      await using work = workplace()
      const url = `s3://plugins/corp (new)/it's?region=eu-central-1&endpoint=${bucket.endpoint}`
      const signed = {
        AWS_ACCESS_KEY_ID: keys.accessKey,
        AWS_SECRET_ACCESS_KEY: keys.secretKey,
        AWS_SESSION_TOKEN: keys.sessionToken,
      }
      const key = await work.newKey()
      const archive = await work.archive({})
      const publish = ['catalog', 'publish', url, archive, '--key', work.file('key')]
      expect(await work.run(publish, { ...signed, AWS_SECRET_ACCESS_KEY: 'another' })).toMatchObject({
        ...{ status: 7, stderr: said('403') },
      })
      expect(bucket.refusals).toEqual(['another signature'])
      expect(await work.run(publish, signed)).toMatchObject({ status: 0 })
      const place = "/plugins/corp (new)/it's"
      expect([...bucket.objects.keys()].sort()).toEqual(
        [basename(archive), 'catalog.pub', 'index.json', 'index.json.sig']
          .map((name) => `${place}/${name}`)
          .sort(),
      )
      expect(await work.about('catalog', 'add', 'corp', url, '--key', key)).toMatchObject({ status: 0 })
      expect(await work.about('plugin', 'install', 'acme-auth')).toMatchObject({
        ...{ status: 0, stdout: said('from the catalog corp') },
      })
      const revoke = [
        'catalog',
        'revoke',
        url,
        'acme-auth@1.0.0',
        '--key',
        work.file('key'),
        '--reason',
        'bad',
      ]
      expect(await work.run(revoke, signed)).toMatchObject({ status: 0 })
      expect(await work.about('plugin', 'install', 'acme-auth')).toMatchObject({
        status: 5,
        stderr: said('bad'),
      })
    },
  )
})

describe('for programs', () => {
  it('every step from a new key to the removal says in JSON what it did', { timeout: 60_000 }, async () => {
    await using work = workplace()
    const { file, archive } = work
    const json = async (...args: readonly string[]): Promise<unknown> => {
      // These are about no server.
      const plain = ['key', 'publish', 'revoke', 'new', 'init'].some((word) =>
        args.slice(0, 2).includes(word),
      )
      const { status, stdout, stderr } = await (plain
        ? work.run([...args, '--json'])
        : work.about(...args, '--json'))
      expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: '' })
      return JSON.parse(stdout)
    }
    const made = (await json('catalog', 'key', file('key'))) as { publicKey: string } // as documented
    const key = made.publicKey
    expect(made).toEqual({ privateKeyFile: file('key'), publicKey: said('ed25519:') })
    const url = file('catalog')
    const publish = async (version: string): Promise<unknown> =>
      json('catalog', 'publish', url, await archive({ version }), '--key', file('key'))
    expect(await publish('1.0.0')).toMatchObject({ sequence: 1, archives: [said('acme-auth-1.0.0')] })
    expect(await json('catalog', 'add', 'corp', url, '--key', key)).toEqual({
      ...{ name: 'corp', url, key, packages: 1 },
    })
    await json('plugin', 'install', 'acme-auth')
    expect(await json('plugin', 'enable', 'acme-auth')).toEqual({
      ...{ name: 'acme-auth', package: 'acme-auth', ready: false },
    })
    await publish('1.1.0')
    const update = { name: 'acme-auth', locked: '1.0.0', version: '1.1.0', newest: '1.1.0' }
    const change = { what: 'version', from: '1.0.0', to: '1.1.0' }
    expect(await json('plugin', 'update', 'acme-auth')).toMatchObject({
      ...update,
      ...{ changes: [change, { what: 'digest' }], taken: null },
    })
    expect(await json('plugin', 'update', 'acme-auth', '--yes')).toMatchObject({
      ...update,
      taken: 'no server',
    })
    expect(await json('plugin', 'disable', 'acme-auth')).toEqual({ name: 'acme-auth', stopped: false })
    expect(await json('plugin', 'remove', 'acme-auth')).toEqual({
      name: 'acme-auth',
      versions: expect.arrayContaining(['1.0.0', '1.1.0']),
    })
    expect(
      await json('catalog', 'revoke', url, 'acme-auth@1.0.0', '--key', file('key'), '--reason', 'bad'),
    ).toEqual({ name: 'acme-auth', version: '1.0.0', reason: 'bad' })
    const kit = file('kit.tgz')
    expect(await json('catalog', 'save', 'corp', kit)).toMatchObject({ name: 'corp', file: kit, key })
    expect(await json('catalog', 'remove', 'corp')).toEqual({ name: 'corp' })
    expect(await json('catalog', 'load', 'corp', kit, '--key', key)).toEqual({
      ...{ name: 'corp', file: kit, key },
    })
    expect(await json('plugin', 'new', 'acme-new', '--slot', 'auth', '--dir', file('new'))).toMatchObject({
      ...{ name: 'acme-new', slot: 'auth', language: 'typescript', folder: file('new') },
    })
    expect(await json('init', file('other.json'))).toEqual({ file: file('other.json') })
  })
})

describe('a release page', () => {
  it('is a catalog: its assets are read through whatever it redirects to', { timeout: 120_000 }, async () => {
    await using work = workplace()
    const key = await work.newKey()
    await work.publish({})
    await using page = await startReleasePage(work.file('catalog'))
    expect(await work.about('catalog', 'add', 'acme', page.url, '--key', key)).toMatchObject({ status: 0 })
    expect(await work.about('plugin', 'install', 'acme/acme-auth@^1')).toMatchObject({ status: 0 })
  })
})

describe('what goes wrong with a catalog has its own code', () => {
  it('another signature is 5, nobody there is 7, a name in two is 3', { timeout: 120_000 }, async () => {
    await using work = workplace()
    const key = await work.newKey()
    await work.publish({})
    const { about, file } = work
    expect(await about('catalog', 'add', 'corp', file('catalog'))).toMatchObject({
      ...{ status: 2, stderr: said(`its key is ${key}; compare it`) },
    })
    expect(await about('catalog', 'add', 'corp', file('catalog'), '--key', key)).toMatchObject({ status: 0 })
    await work.publish({ name: 'other' }, 'second')
    expect(await about('catalog', 'add', 'second', file('second'), '--key', key)).toMatchObject({ status: 0 })

    rmSync(file('second'), { recursive: true })
    rmSync(join(work.state, 'packages/catalogs/second.index.json'))
    const skipped = await about('plugin', 'install', 'acme-auth')
    expect(skipped).toMatchObject({ status: 0, stderr: said('catalog skipped: name second') })
    expect(await about('plugin', 'install', 'other')).toMatchObject({ status: 7, stderr: said('second') })
    expect(await about('plugin', 'install', 'corp/other')).toMatchObject({ status: 4 })
    expect(await about('plugin', 'install', 'acme-auth@^9')).toMatchObject({
      status: 4,
      stderr: said('1.0.0'),
    })

    await work.publish({ content: 'another' }, 'second')
    expect(await about('plugin', 'install', 'acme-auth')).toMatchObject({
      ...{ status: 3, stderr: said('say "corp/acme-auth" or "second/acme-auth"') },
    })
    expect(await about('plugin', 'install', 'corp/acme-auth')).toMatchObject({ status: 0 })

    const index = readFileSync(file('catalog/index.json'), 'utf8')
    writeFileSync(file('catalog/index.json'), index.replace('"slot": "auth"', '"slot": "kms"'))
    expect(await about('plugin', 'install', 'corp/acme-auth')).toMatchObject({
      ...{ status: 5, stderr: said('not signed by the key') },
    })
    expect(await about('plugin', 'install', 'second/acme-auth')).toMatchObject({ status: 5 })
  })

  it('a version that is published with other bytes is 5', { timeout: 120_000 }, async () => {
    await using work = workplace()
    await work.newKey()
    await work.publish({})
    const again = ['catalog', 'publish', work.file('catalog'), await work.archive({ content: 'other' })]
    expect(await work.run([...again, '--key', work.file('key')])).toMatchObject({
      ...{ status: 5, stderr: said('publish a new version') },
    })
  })
})

describe('a version that is revoked after it was installed', () => {
  it('goes on running and is named by every command and at each start, without asking the catalog', async () => {
    await using work = workplace()
    const { about, file } = work
    const key = await work.newKey()
    await work.publish({})
    await work.publish({ version: '1.1.0' })
    await about('catalog', 'add', 'corp', file('catalog'), '--key', key)
    const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
    const entry = {
      name: 'a',
      type: 'auth',
      source: 'acme-auth',
      auth_options: { scope: 1 },
      required: false,
    }
    writeFileSync(work.config, JSON.stringify({ sftpd, plugins: [entry] }))
    await about('plugin', 'install', 'acme-auth@1.1.0')
    await about('plugin', 'install', 'acme-auth@1.0.0')
    const revoke = ['catalog', 'revoke', file('catalog'), 'acme-auth@1.0.0', '--key', file('key')]
    expect(await work.run([...revoke, '--reason', 'accepts empty passwords'])).toMatchObject({ status: 0 })
    expect(await about('plugin', 'verify')).toMatchObject({ status: 0 })
    // Whoever asks the catalog next learns of it; after that the catalog may be gone.
    expect(await about('catalog', 'search')).toMatchObject({ status: 0 })
    rmSync(file('catalog'), { recursive: true })
    const reason = 'is revoked by the catalog "corp": accepts empty passwords'
    expect(await about('plugin', 'verify')).toMatchObject({ status: 5, stdout: said(reason) })
    expect(await about('plugin', 'list')).toMatchObject({ stdout: said('REVOKED'), stderr: said(reason) })
    expect(await about('doctor')).toMatchObject({ stdout: said(`"acme-auth" 1.0.0 ${reason}`) })
    {
      await using server = await startServerProcess(work.config)
      expect(server.log()).toMatch(/"version":"1.0.0","catalog":"corp".*"msg":"plugin version revoked"/)
    }
    // Another version is free of it, and there is no way back.
    expect(await about('plugin', 'enable', 'acme-auth@1.1.0', '--as', 'a')).toMatchObject({ status: 0 })
    expect(await about('plugin', 'verify')).toMatchObject({ status: 0 })
    expect(await about('plugin', 'enable', 'acme-auth@1.0.0', '--as', 'a')).toMatchObject({
      ...{ status: 5, stderr: said(reason) },
    })
    expect(await about('plugin', 'verify')).toMatchObject({ status: 0 })
  })
})

describe('everything that is declared', () => {
  it(
    'is installed by one command as it is locked, and serve says so for the rest',
    { timeout: 60_000 },
    async () => {
      await using work = workplace()
      const { about, file } = work
      const key = await work.newKey()
      await work.publish({})
      await about('catalog', 'add', 'corp', file('catalog'), '--key', key)
      const plugins = [
        { name: 'a', type: 'auth', source: 'corp/acme-auth', version: '^1', auth_options: { scope: 1 } },
        { name: 'b', type: 'auth', source: 'acme-more', auth_options: { scope: 1 } },
      ]
      const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
      writeFileSync(work.config, JSON.stringify({ sftpd, plugins }))
      const one = await about('plugin', 'install')
      expect(one).toMatchObject({
        status: 4,
        stdout: said('Installed acme-auth 1.0.0'),
        stderr: said('acme-more'),
      })
      await work.publish({ name: 'acme-more' })
      await work.publish({ version: '1.1.0' })
      expect(await about('plugin', 'install')).toMatchObject({ status: 0, stdout: said('acme-more 1.0.0') })
      const lock = JSON.parse(readFileSync(file('one.lock.json'), 'utf8'))
      expect(lock.plugins['acme-auth']).toMatchObject({ version: '1.0.0', from: 'corp', signer: key })

      writeFileSync(work.config, JSON.stringify({ sftpd, plugins: [{ ...plugins[0], version: '^1.1' }] }))
      expect(await about('serve')).toMatchObject({
        ...{ status: 5, stderr: said('run "sftpgo-ts plugin install corp/acme-auth@^1.1"') },
      })
      expect(await about('plugin', 'install')).toMatchObject({
        status: 0,
        stdout: said('acme-auth 1.1.0 (was 1.0.0)'),
      })
    },
  )
})

/** A folder with a configuration, and the product's commands, which run while this process answers them. */
function workplace() {
  const folder = temporaryDirectory()
  const config = folder.file('one.json')
  writeFileSync(config, '{}')
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CommandResult> =>
    new Promise((settle) => {
      const child = spawn(process.execPath, [resolve('dist/main.js'), ...args], {
        env: { ...process.env, ...env },
      })
      let stdout = ''
      let stderr = ''
      child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
      child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
      child.once('close', (status) => settle({ status, stdout, stderr }))
    })
  const archive = (made: MadePackage): Promise<string> => makePackage(folder.path, made)
  return {
    ...{ run, config, archive, state: folder.file('one.state') },
    file: (name: string) => folder.file(name),
    about: (...args: readonly string[]) => run([...args, '--config', config]),
    async newKey(): Promise<string> {
      const { stdout } = await run(['catalog', 'key', folder.file('key')])
      return /ed25519:\S+/.exec(stdout)?.[0] ?? ''
    },
    async publish(made: MadePackage, catalog = 'catalog'): Promise<void> {
      const args = ['catalog', 'publish', folder.file(catalog), await archive(made)]
      expect(await run([...args, '--key', folder.file('key')])).toMatchObject({ status: 0 })
    },
    async [Symbol.asyncDispose]() {
      folder[Symbol.dispose]()
    },
  }
}

/** A web server that sends every asset on to another address, as GitHub's release pages do. */
async function startReleasePage(folder: string) {
  const server = createServer((request, response) => {
    const [, kind, name = ''] =
      /^\/(acme\/releases\/download\/catalog|store)\/([\w.-]+)$/.exec(request.url ?? '') ?? []
    if (kind === undefined) return void response.writeHead(404).end()
    if (kind !== 'store') return void response.writeHead(302, { location: `/store/${name}` }).end()
    response.end(readFileSync(join(folder, name)))
  })
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  const { port } = server.address() as AddressInfo // it listens on an address, not on a path
  return {
    url: `http://127.0.0.1:${port}/acme/releases/download/catalog`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((settle) => server.close(settle))
    },
  }
}

function said(text: string): unknown {
  return expect.stringContaining(text)
}
