import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { makeFolders } from '../../base/make-folders.ts'
import { systemClock } from '../../base/clock.ts'
import { newestVersion } from '../../packages/catalog-index.ts'
import { currentPlatform } from '../../packages/archive-name.ts'
import { openCatalogSource, type S3Credentials } from '../../packages/catalog-source.ts'
import { loadKit, saveKit } from '../../packages/kit.ts'
import { createCatalogKey, publish, readCatalogKey, revoke, type Publisher } from '../../packages/publish.ts'
import { type CliCommand, CommandError, type CommandInput, flag, textOption } from '../command.ts'
import { printDone } from '../done.ts'
import { exitCodes } from '../exit-codes.ts'
import { printJson, printTable } from '../output.ts'
import { packageContext } from '../package-context.ts'

/** Trusts a catalog from now on. */
export const catalogAdd: CliCommand = {
  arguments: '<name> <url>',
  options: [
    ['--key <key>', 'its key, "ed25519:..."; from its publisher, over another way than the catalog itself'],
    ['--json', 'print as JSON'],
  ],
  examples: [
    'catalog add corp https://plugins.example.com --key ed25519:BASE64',
    'catalog add local /srv/plugins --key ed25519:BASE64',
  ],
  async run(input) {
    const [name = '', url = ''] = input.args
    const key = textOption(input, 'key')
    if (key === undefined) throw new CommandError(exitCodes.usage, await whichKey(url))
    const { packages } = await packageContext(input).catalogs.add({ name, url, key })
    const count = Object.keys(packages).length
    printDone(input, `Added the catalog ${name} with ${count} packages`, { name, url, key, packages: count })
  },
}

/** A key that comes with the catalog proves nothing, but it can be compared with what the publisher says. */
async function whichKey(url: string): Promise<string> {
  const offered = await openCatalogSource(url)
    .read('catalog.pub', 1024)
    .catch(() => undefined)
  const hint =
    offered === undefined
      ? ''
      : `\nThe catalog says that its key is ${offered.toString('utf8').trim()}; compare it with its publisher`
  return `--key is missing: whoever holds the key of a catalog decides what runs here${hint}`
}

/** Lists the trusted catalogs in order. */
export const catalogList: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['catalog list'],
  async run(input) {
    const entries = await packageContext(input).catalogs.list()
    if (flag(input, 'json')) return printJson(entries)
    printTable([['name', 'address', 'key'], ...entries.map(({ name, url, key }) => [name, url, key])])
  },
}

/** Trusts a catalog no longer; what was installed from it stays. */
export const catalogRemove: CliCommand = {
  arguments: '<name>',
  options: [['--json', 'print as JSON']],
  examples: ['catalog remove corp'],
  async run(input) {
    const [name = ''] = input.args
    await packageContext(input).catalogs.remove(name)
    printDone(input, `Removed the catalog ${name}`, { name })
  },
}

/** Finds packages by a part of their name, description or slot. */
export const catalogSearch: CliCommand = {
  arguments: '[text]',
  options: [['--json', 'print as JSON']],
  examples: ['catalog search', 'catalog search ldap'],
  async run(input) {
    const [text = ''] = input.args
    const { catalogs, serverVersion } = packageContext(input)
    const { offers } = await catalogs.offers()
    const platform = currentPlatform() ?? 'any'
    const found = offers.flatMap(({ entry, index }) =>
      Object.entries(index.packages)
        .filter(([name, offer]) =>
          `${name} ${offer.slot} ${offer.description}`.toLowerCase().includes(text.toLowerCase()),
        )
        .map(([name, offer]) => ({
          ...{ name, catalog: entry.name, slot: offer.slot, description: offer.description },
          version: newestVersion(offer, { range: '*', platform, server: serverVersion }) ?? '-',
        })),
    )
    if (flag(input, 'json')) return printJson(found)
    printTable([
      ['name', 'version', 'slot', 'catalog', 'description'],
      ...found.map((one) => [one.name, one.version, one.slot, one.catalog, one.description]),
    ])
  },
}

/** Makes the key of a new catalog. */
export const catalogKey: CliCommand = {
  arguments: '<file>',
  options: [['--json', 'print as JSON']],
  withoutConfig: true,
  examples: ['catalog key corp.key'],
  async run(input) {
    const [file = ''] = input.args
    const publicKey = await createCatalogKey(file)
    const sentence = `The private key is in "${file}": keep it. The public key, for "catalog add":\n${publicKey}`
    printDone(input, sentence, { privateKeyFile: file, publicKey })
  },
}

/** Puts archives into a catalog and signs its index. */
export const catalogPublish: CliCommand = {
  arguments: '<url> <archives...>',
  options: [
    ['--key <file>', 'the private key of the catalog'],
    ['--json', 'print as JSON'],
  ],
  withoutConfig: true,
  examples: [
    'catalog publish /srv/plugins dist/acme-auth-1.2.0-any.tgz --key corp.key',
    'catalog publish "s3://plugins/corp?region=eu-central-1" *.tgz --key corp.key',
  ],
  async run(input) {
    const [url = '', ...archives] = input.args
    const { sequence, expires } = await publish(archives, await publisherOf(url, input))
    const until = new Date(expires).toISOString()
    printDone(
      input,
      `Published ${archives.length} archives; the index is number ${sequence}, good until ${until.slice(0, 10)}`,
      { archives, sequence, expires: until },
    )
  },
}

/** Withdraws a version: nobody installs it any more. */
export const catalogRevoke: CliCommand = {
  arguments: '<url> <package>',
  options: [
    ['--key <file>', 'the private key of the catalog'],
    ['--reason <text>', 'why, for whoever wanted to install it'],
    ['--json', 'print as JSON'],
  ],
  withoutConfig: true,
  examples: ['catalog revoke /srv/plugins acme-auth@1.2.0 --key corp.key --reason "accepts empty passwords"'],
  async run(input) {
    const [url = '', wanted = ''] = input.args
    const [name = '', version] = wanted.split('@', 2)
    const reason = textOption(input, 'reason')
    if (version === undefined || reason === undefined)
      throw new CommandError(exitCodes.usage, 'A revocation names NAME@VERSION and a --reason')
    await revoke(name, version, reason, await publisherOf(url, input))
    printDone(input, `Revoked ${name} ${version}`, { name, version, reason })
  },
}

async function publisherOf(url: string, input: CommandInput): Promise<Publisher> {
  const key = textOption(input, 'key')
  if (key === undefined)
    throw new CommandError(exitCodes.usage, '--key FILE is missing: "catalog key FILE" makes one')
  if (!url.includes('://')) makeFolders(url)
  return {
    source: openCatalogSource(url, s3Credentials()),
    privateKey: await readCatalogKey(key),
    clock: systemClock,
  }
}

function s3Credentials(): S3Credentials | undefined {
  const { env } = process
  const { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey } = env
  const sessionToken = env['AWS_SESSION_TOKEN']
  if (accessKey === undefined || secretKey === undefined) return undefined
  return { accessKey, secretKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}

/** Writes a trusted catalog into one file, for a machine without network. */
export const catalogSave: CliCommand = {
  arguments: '<name> <file>',
  options: [['--json', 'print as JSON']],
  examples: ['catalog save corp corp-kit.tgz'],
  async run(input) {
    const [name = '', file = ''] = input.args
    const entry = (await packageContext(input).catalogs.list()).find((one) => one.name === name)
    if (entry === undefined) throw new CommandError(exitCodes.notFound, `There is no catalog "${name}"`)
    const sha256 = await saveKit(entry, file)
    const next = `Load it there with "sftpgo-ts catalog load ${name} ${file} --key ${entry.key}"`
    printDone(input, `Saved ${name}: sha256 ${sha256}\n${next}`, { name, file, sha256, key: entry.key })
  },
}

/** Takes a catalog out of one file. */
export const catalogLoad: CliCommand = {
  arguments: '<name> <file>',
  options: [
    ['--key <key>', 'its key, "ed25519:..."'],
    ['--json', 'print as JSON'],
  ],
  examples: ['catalog load corp corp-kit.tgz --key ed25519:BASE64'],
  async run(input) {
    const [name = '', file = ''] = input.args
    const key = textOption(input, 'key')
    if (key === undefined) {
      const digest = createHash('sha256').update(readFileSync(file)).digest('hex')
      throw new CommandError(
        exitCodes.usage,
        `--key is missing: whoever holds the key of a catalog decides what runs here (the kit has sha256 ${digest})`,
      )
    }
    const { catalogs, kits } = packageContext(input)
    await loadKit(file, { name, key, folder: kits, catalogs })
    printDone(input, `Loaded the catalog ${name}`, { name, file, key })
  },
}
