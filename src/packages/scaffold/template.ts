import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The text of a file in `templates`: kept as text, because it is no code of ours. */
export function template(file: string): string {
  return readFileSync(fileURLToPath(new URL(`templates/${file}`, import.meta.url)), 'utf8')
}
