import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One call that the plugin `recorder` has written down. */
export interface RecorderNote {
  readonly id: string
  readonly action: string
  readonly username: string
  readonly path: string
  readonly status: number
  readonly target: string
  readonly size: number
}

/** What the plugin `recorder` was told so far, in order; a line that is being written is left out. */
export function recorderNotes(folder: string): RecorderNote[] {
  return readFileSync(join(folder, 'heard'), 'utf8')
    .split('\n')
    .filter((line) => line.endsWith(']'))
    .map((line) => {
      const [id, action, username, path, status, target, size] = JSON.parse(line) as RecordedLine // the recorder's
      return { id, action, username, path, status, target, size }
    })
}

type RecordedLine = [string, string, string, string, number, string, number]
