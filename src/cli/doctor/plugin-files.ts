import { messageOf } from '../../base/errors.ts'
import type { Config } from '../../config/load-config.ts'
import type { PluginEntry } from '../../host/plugin-entry.ts'
import { saidOf } from '../../packages/revocations.ts'
import { resolvedEntries } from '../../server/locked-entries.ts'
import { revokedPackages } from '../../server/revoked-packages.ts'
import { verifyEntries } from '../verify-entries.ts'
import { type Finding, about } from './finding.ts'

/** Whether every configured plugin is there with the bytes that were approved: what a start would find. */
export async function checkPluginFiles(config: Config): Promise<Finding[]> {
  try {
    const entries = await resolvedEntries(config, { frozen: false })
    const revoked = (await revokedPackages(config)).map((one) =>
      about(`package ${one.name}`).warning(`${saidOf(one)}; take another version`),
    )
    return [...(await Promise.all(entries.map(checkPlugin))).flat(), ...revoked]
  } catch (error) {
    return [about('plugins').failure(messageOf(error))]
  }
}

async function checkPlugin(entry: PluginEntry): Promise<Finding[]> {
  const { ok, warning, failure } = about(`plugin ${entry.name}`)
  if (entry.enabled === false) return [ok('not enabled')]
  if (entry.sha256sum === undefined && entry.dev === true)
    return [warning('has no checksum: it runs only with --dev-plugins')]
  const [found] = await verifyEntries([entry])
  if (found === undefined) return []
  if (found.verified) return [ok(`has the approved bytes: ${found.detail}`)]
  const mismatch = found.code === 'checksum-mismatch' ? 'does not have the approved bytes: ' : ''
  return [failure(`${mismatch}${found.detail}`)]
}
