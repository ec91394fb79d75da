import { resolve } from 'node:path'
import { packPlugin } from '../../packages/pack.ts'
import { programVersion } from '../../server/version.ts'
import { type CliCommand, flag, textOption } from '../command.ts'
import { print, printJson } from '../output.ts'

/** Makes the archives of a plugin's folder, with checksums and a bill of materials. */
export const pluginPack: CliCommand = {
  arguments: '[folder]',
  options: [
    ['--out <folder>', 'where the archives go; default: dist in the folder'],
    [
      '--node <path>',
      'absolute path of node for the first line of a JavaScript bundle; default: looked for in the usual places',
    ],
    ['--json', 'print as JSON'],
  ],
  withoutConfig: true,
  examples: ['plugin pack', 'plugin pack ./acme-auth --out ./release', 'plugin pack --node /usr/bin/node'],
  async run(input) {
    const folder = resolve(input.args[0] ?? '.')
    const out = resolve(folder, textOption(input, 'out') ?? 'dist')
    const node = textOption(input, 'node')
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
