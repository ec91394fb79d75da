import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { openHostDeath } from '../../host/host-death.ts'
import { type BuiltPlugin, buildPlugin } from '../../packages/build-plugin.ts'
import { runContractKit } from '../../packages/contract-kit/run-kit.ts'
import { packPlugin } from '../../packages/pack.ts'
import { programVersion } from '../../server/version.ts'
import { type AuthorSettings, authorSettings } from '../author-settings.ts'
import { type CliCommand, CommandError, flag, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Makes the archives of a plugin's folder, with checksums and a bill of materials, and starts what was made once. */
export const pluginPack: CliCommand = {
  arguments: '[folder]',
  options: [
    ['--out <folder>', 'where the archives go; default: dist in the folder'],
    [
      '--node <path>',
      'absolute path of node for the first line of a JavaScript bundle; default: looked for in the usual places',
    ],
    ['--no-start', 'do not start the result with the settings of test/fixtures.json'],
    ['--json', 'print as JSON'],
  ],
  withoutConfig: true,
  examples: ['plugin pack', 'plugin pack ./acme-auth --out ./release', 'plugin pack --node /usr/bin/node'],
  async run(input) {
    const folder = resolve(input.args[0] ?? '.')
    const out = resolve(folder, textOption(input, 'out') ?? 'dist')
    const node = textOption(input, 'node')
    if (input.options['start'] !== false && existsSync(join(folder, 'test/fixtures.json')))
      await requireToStart(folder)
    const packed = await packPlugin({
      folder,
      out,
      tool: programVersion(),
      ...(node === undefined ? {} : { node }),
    })
    if (flag(input, 'json')) return printJson(packed)
    for (const { sha256, file } of packed.archives) print(`${sha256}  ${file}`)
    if (packed.bundle === undefined) return
    print(`${packed.bundle.sha256}  ${packed.bundle.file}`)
    print('Other go-plugin hosts start the last one directly; here it is "cmd" and "sha256sum" of an entry.')
  },
}

/**
 * What does not start on its author's machine is not handed around: throws, with exit code 10, what it said. Where the
 * libraries of an interpreter may be all that is missing, or the fixtures fit no more, that is only said.
 */
async function requireToStart(folder: string): Promise<void> {
  const workplace = mkdtempSync(join(tmpdir(), 'sftpgo-ts-pack-'))
  const hostDeath = await openHostDeath()
  try {
    const plugin = await buildPlugin({ target: folder, into: join(workplace, 'build') })
    const settings = settingsOrNote(plugin)
    if (settings === undefined) return
    const { results } = await runContractKit({
      ...{ plugin, folder: workplace, hostDeath, environment: plugin.environment, ...settings },
      only: 'prints a handshake',
    })
    const broken = results.find(({ outcome }) => outcome === 'broken')
    if (broken === undefined) return
    const said = `"${plugin.name}" does not start: ${broken.why ?? broken.promise}`
    if (plugin.program.interpreterSha256 !== undefined) return note(said)
    throw new CommandError(
      exitCodes.contract,
      `Nothing was packed: ${said}\n--no-start packs it all the same`,
    )
  } finally {
    hostDeath.close()
    rmSync(workplace, { recursive: true, force: true })
  }
}

function settingsOrNote(plugin: BuiltPlugin): AuthorSettings | undefined {
  try {
    return authorSettings(plugin)
  } catch (error) {
    note(`Not started before packing. ${messageOf(error)}`)
    return undefined
  }
}

function note(text: string): void {
  process.stderr.write(`${text}\n`)
}
