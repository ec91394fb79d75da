import type { Migration } from './migration.ts'
import { events } from './010-events.ts'
import { accounts } from './020-accounts.ts'
import { codes } from './021-codes.ts'

/** Every step, oldest first. New ones go to the end; a part of the product adds a file and a line here. */
export const migrations: readonly Migration[] = [events, accounts, codes]
