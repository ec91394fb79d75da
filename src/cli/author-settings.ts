import { checkPluginSettings, secretTexts } from '../config/plugin-settings.ts'
import type { BuiltPlugin } from '../packages/build-plugin.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** What a plugin under development runs with. */
export interface AuthorSettings {
  readonly settings: Readonly<Record<string, unknown>>
  /** Those of its texts that nobody may see. */
  readonly secrets: readonly string[]
}

/** The settings of the author's fixtures, held against his schema, defaults filled in. */
export function authorSettings({ name, schema, fixtures }: BuiltPlugin): AuthorSettings {
  if (schema === undefined) return { settings: fixtures.settings, secrets: [] }
  const { settings, problems } = checkPluginSettings(schema, fixtures.settings, { literalSecrets: true })
  if (problems.length === 0) return { settings, secrets: secretTexts(schema, settings) }
  const lines = problems.map(({ path, message }) => `  settings.${path.join('.')} ${message}`)
  throw new CommandError(
    exitCodes.invalid,
    [`The fixtures of "${name}" do not fit its settings.schema.json:`, ...lines].join('\n'),
  )
}
