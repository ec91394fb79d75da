import { loadConfig } from '../../config/load-config.ts'
import { formatProblem } from '../../config/problems.ts'
import { shippedSchemaOf } from '../../server/shipped-schemas.ts'
import { type CliCommand, flag } from '../command.ts'
import { type Finding, about } from '../doctor/finding.ts'
import { checkInstallation } from '../doctor/installation.ts'
import { checkMachine } from '../doctor/machine.ts'
import { checkPluginFiles } from '../doctor/plugin-files.ts'
import { exitCodes } from '../exit-codes.ts'
import { printJson, printTable } from '../output.ts'

/** Looks at this machine and this configuration, and says what stands in the way. */
export const doctor: CliCommand = {
  options: [['--json', 'print as JSON']],
  examples: ['doctor', 'doctor --config /etc/sftpgo-ts/sftpgo.config.json'],
  async run(input) {
    const { config, problems } = loadConfig(input.configFile, process.env, {
      pluginSchemaOf: shippedSchemaOf,
    })
    const mistakes = problems.map((problem) => about('configuration').failure(formatProblem(problem)))
    const findings: Finding[] = [
      ...(await checkMachine()),
      ...(mistakes.length > 0 ? mistakes : [about('configuration').ok(input.configFile)]),
      ...(config === undefined ? [] : await checkInstallation(config)),
      ...(config === undefined ? [] : await checkPluginFiles(config)),
    ]
    const healthy = findings.every(({ outcome }) => outcome !== 'failure')
    if (flag(input, 'json')) printJson({ healthy, findings })
    else printTable(findings.map(({ subject, outcome, message }) => [marks[outcome], subject, message]))
    return healthy ? exitCodes.ok : exitCodes.unexpected
  },
}

const marks = { ok: 'ok', warning: 'WARN', failure: 'FAIL' } as const
