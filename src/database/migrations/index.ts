import type { Migration } from './migration.ts'
import { events } from './010-events.ts'
import { accounts } from './020-accounts.ts'

/** Every step, oldest first. New ones go to the end; a part of the product adds a file and a line here. */
export const migrations: readonly Migration[] = [events, accounts]
