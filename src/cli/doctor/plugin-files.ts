import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { messageOf } from '../../base/errors.ts'
import type { Config } from '../../config/load-config.ts'
import { pluginName } from '../../config/plugin-rules.ts'
import type { PluginSettings } from '../../gen/settings.ts'
import { type Finding, about } from './finding.ts'

/** Whether every configured plugin is there with the bytes that were approved. */
export function checkPluginFiles({ settings }: Config): Promise<Finding[]> {
  return Promise.all(settings.plugins.map((plugin, index) => checkPlugin(plugin, pluginName(plugin, index))))
}

async function checkPlugin({ cmd, sha256sum, enabled, dev }: PluginSettings, name: string): Promise<Finding> {
  const { ok, warning, failure } = about(`plugin ${name}`)
  if (!enabled) return ok('not enabled')
  if (cmd === undefined) return ok('comes from a catalog; "sftpgo-ts plugin verify" checks it')
  try {
    const digest = await digestOf(cmd)
    if (sha256sum === undefined) {
      return dev
        ? warning('has no checksum: it runs only with --dev-plugins')
        : failure(`has no checksum; its bytes have "sha256sum": "${digest}"`)
    }
    if (digest === sha256sum.toLowerCase()) return ok('has the approved bytes')
    return failure(`does not have the approved bytes: ${cmd} has ${digest}`)
  } catch (error) {
    return failure(`cannot be read: ${messageOf(error)}`)
  }
}

async function digestOf(cmd: string): Promise<string> {
  const file = statSync(cmd).isDirectory() ? join(cmd, 'plugin.json') : cmd
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}
