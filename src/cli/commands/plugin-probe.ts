import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { millisecondsOf } from '../../config/units.ts'
import { openHostDeath } from '../../host/host-death.ts'
import type { OutputRecord } from '../../host/output.ts'
import { probePlugin, type ProbeStep } from '../../host/probe.ts'
import { resolvedEntries } from '../../server/locked-entries.ts'
import { withSettings } from '../../server/plugin-settings.ts'
import { type CliCommand, flag } from '../command.ts'
import { exitCodeOf, exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'
import { entryNamed } from '../plugin-entry-named.ts'
import { recordText } from '../plugin-words.ts'
import { readConfig } from '../read-config.ts'

/** Tries an entry out before `serve` does: verifies, launches, shakes hands, looks for every method, and stops it. */
export const pluginProbe: CliCommand = {
  arguments: '<name>',
  options: [
    ['--json', 'print as JSON'],
    ['--output', 'show what the plugin prints meanwhile'],
  ],
  examples: ['plugin probe ldap', 'plugin probe ldap --output'],
  async run(input) {
    const config = readConfig(input.configFile)
    const { plugin_host: settings } = config.settings
    const entries = await resolvedEntries(config, { frozen: false })
    const entry = await withSettings(entryNamed(entries, input.args[0] ?? ''), config)
    const steps: ProbeStep[] = []
    const json = flag(input, 'json')
    const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-probe-'))
    const hostDeath = await openHostDeath()
    try {
      await probePlugin(entry, {
        runFolder: folder,
        runFrom: settings.run_from,
        startTimeoutMs: millisecondsOf(settings.start_timeout),
        allowPlaintext: settings.allow_plaintext,
        environment: config.environment,
        hostDeath,
        onStep: (step) => {
          steps.push(step)
          if (!json)
            print(`ok   ${step.name.padEnd(10)} ${step.tookMs.toFixed(1).padStart(8)} ms  ${step.detail}`)
        },
        ...(flag(input, 'output') &&
          !json && { onOutput: (record: OutputRecord) => print(recordText(record)) }),
      })
      if (json) printJson({ name: entry.name, works: true, steps })
      return exitCodes.ok
    } catch (error) {
      if (json) printJson({ name: entry.name, works: false, steps, error: messageOf(error) })
      else print(`FAIL ${messageOf(error)}`)
      return exitCodeOf(error)
    } finally {
      hostDeath.close()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}
