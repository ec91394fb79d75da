import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { openHostDeath } from '../../host/host-death.ts'
import { buildPlugin } from '../../packages/build-plugin.ts'
import type { KitBudgets } from '../../packages/contract-kit/kit-check.ts'
import { type KitReport, type KitResult, runContractKit } from '../../packages/contract-kit/run-kit.ts'
import { authorSettings } from '../author-settings.ts'
import { chosenSlot } from '../chosen-slot.ts'
import { type CliCommand, type CommandInput, CommandError, flag, textOption } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { print, printJson } from '../output.ts'

/** Runs the contract of a slot, and what a plugin promises as a process, over a plugin in any language. */
export const pluginTest: CliCommand = {
  arguments: '[target]',
  options: [
    ['--slot <slot>', 'what it fills; a folder with a plugin.json says it itself'],
    ['--fixtures <file>', '{"settings": ..., "samples": ...}; default: test/fixtures.json of the folder'],
    ['--interpreter <path>', 'runs the entry instead of the interpreter of the plugin.json'],
    ['--report <file>', 'write the whole report as JSON'],
    ['--start-budget <ms>', 'longest time to the first answer; default 10000'],
    ['--answer-budget <ms>', 'longest time for one answer; default half the deadline of the slot'],
    ['--only <words>', 'look only at promises that begin with these words'],
    ['--json', 'print as JSON'],
  ],
  withoutConfig: true,
  examples: [
    'plugin test',
    'plugin test ./acme-auth --report report.json',
    'plugin test ./plugin --slot auth --fixtures f.json',
  ],
  async run(input) {
    const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-test-'))
    const hostDeath = await openHostDeath()
    const json = flag(input, 'json')
    try {
      const slot = chosenSlot(textOption(input, 'slot'))
      const interpreter = textOption(input, 'interpreter')
      const fixtures = textOption(input, 'fixtures')
      const only = textOption(input, 'only')
      const plugin = await buildPlugin({
        ...{ target: input.args[0] ?? '.', into: join(folder, 'build') },
        ...(slot !== undefined && { slot }),
        ...(interpreter !== undefined && { interpreter: resolve(interpreter) }),
        ...(fixtures !== undefined && { fixtures: resolve(fixtures) }),
      })
      const report = await runContractKit({
        ...{ plugin, folder, hostDeath, budgets: budgetsOf(input), ...authorSettings(plugin) },
        environment: plugin.environment,
        ...(only !== undefined && { only }),
        onResult: (result) => {
          if (!json) tell(result)
        },
      })
      const file = textOption(input, 'report')
      if (file !== undefined) writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`)
      if (json) printJson(report)
      else print(`\n${summary(report)}`)
      return report.broken === 0 ? exitCodes.ok : exitCodes.contract
    } finally {
      hostDeath.close()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

function budgetsOf(input: CommandInput): Partial<KitBudgets> {
  const startMs = millisecondsOption(input, 'startBudget')
  const answerMs = millisecondsOption(input, 'answerBudget')
  return { ...(startMs !== undefined && { startMs }), ...(answerMs !== undefined && { answerMs }) }
}

function millisecondsOption(input: CommandInput, name: string): number | undefined {
  const text = textOption(input, name)
  if (text === undefined) return undefined
  if (/^\d{1,7}$/.test(text)) return Number(text)
  throw new CommandError(exitCodes.usage, `A budget is a number of milliseconds, not "${text}"`)
}

const marks = { kept: 'ok  ', broken: 'FAIL', skipped: '-   ' } as const

function tell({ outcome, promise, why, tookMs }: KitResult): void {
  print(`${marks[outcome]} ${String(tookMs).padStart(6)} ms  ${promise}`)
  if (why !== undefined) print(`                 ${why.replaceAll('\n', '\n                 ')}`)
}

function summary({ plugin, slot, kept, broken, skipped }: KitReport): string {
  const words = `"${plugin}" keeps ${kept} promises of the slot ${slot}`
  const rest = skipped === 0 ? '' : `; ${skipped} could not be looked at`
  return broken === 0 ? `${words}${rest}` : `${words} and breaks ${broken}${rest}`
}
