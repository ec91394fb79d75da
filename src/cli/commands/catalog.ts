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
import { exitCodes } from '../exit-codes.ts'
import { print, printJson, printTable } from '../output.ts'
import { packageContext } from '../package-context.ts'

/** Trusts a catalog from now on. */
export const catalogAdd: CliCommand = {
  arguments: '<name> <url>',
  options: [
    ['--key <key>', 'its key, "ed25519:..."; from its publisher, over another way than the catalog itself'],
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
    print(`Added the catalog ${name} with ${Object.keys(packages).length} packages`)
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
  examples: ['catalog remove corp'],
  async run(input) {
    const [name = ''] = input.args
    await packageContext(input).catalogs.remove(name)
    print(`Removed the catalog ${name}`)
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
  withoutConfig: true,
  examples: ['catalog key corp.key'],
  async run(input) {
    const [file = ''] = input.args
    print(`The private key is in "${file}": keep it. The public key, for "catalog add":`)
    print(await createCatalogKey(file))
  },
}

/** Puts archives into a catalog and signs its index. */
export const catalogPublish: CliCommand = {
  arguments: '<url> <archives...>',
  options: [['--key <file>', 'the private key of the catalog']],
  withoutConfig: true,
  examples: [
    'catalog publish /srv/plugins dist/acme-auth-1.2.0-any.tgz --key corp.key',
    'catalog publish "s3://plugins/corp?region=eu-central-1" *.tgz --key corp.key',
  ],
  async run(input) {
    const [url = '', ...archives] = input.args
    const index = await publish(archives, await publisherOf(url, input))
    print(
      `Published ${archives.length} archives; the index is number ${index.sequence}, good until ${new Date(index.expires).toISOString().slice(0, 10)}`,
    )
  },
}

/** Withdraws a version: nobody installs it any more. */
export const catalogRevoke: CliCommand = {
  arguments: '<url> <package>',
  options: [
    ['--key <file>', 'the private key of the catalog'],
    ['--reason <text>', 'why, for whoever wanted to install it'],
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
    print(`Revoked ${name} ${version}`)
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
  examples: ['catalog save corp corp-kit.tgz'],
  async run(input) {
    const [name = '', file = ''] = input.args
    const entry = (await packageContext(input).catalogs.list()).find((one) => one.name === name)
    if (entry === undefined) throw new CommandError(exitCodes.notFound, `There is no catalog "${name}"`)
    print(`Saved ${name}: sha256 ${await saveKit(entry, file)}`)
    print(`Load it there with "sftpgo-ts catalog load ${name} ${file} --key ${entry.key}"`)
  },
}

/** Takes a catalog out of one file. */
export const catalogLoad: CliCommand = {
  arguments: '<name> <file>',
  options: [['--key <key>', 'its key, "ed25519:..."']],
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
    print(`Loaded the catalog ${name}`)
  },
}
