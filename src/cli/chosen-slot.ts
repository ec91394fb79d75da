import { slots, type SlotName } from '../slots/index.ts'
import { CommandError } from './command.ts'
import { exitCodes } from './exit-codes.ts'

/** The slot that an option names; undefined where it was not given. */
export function chosenSlot(text: string | undefined): SlotName | undefined {
  if (text === undefined) return undefined
  const names = Object.keys(slots) as SlotName[] // the keys of the table are the names
  const found = names.find((name) => name === text)
  if (found !== undefined) return found
  throw new CommandError(exitCodes.usage, `--slot does not know "${text}"; it takes ${names.join(', ')}`)
}
