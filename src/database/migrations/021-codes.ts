import type { Migration } from './migration.ts'

/** Which one-time code a user has used last, and how often wrong ones came: a restart must not make a code good again. */
export const codes: Migration = {
  name: '021-codes',
  sql: `
    create table account_code (
      username text primary key,
      used_step integer not null,
      failures integer not null,
      until_ms integer not null
    ) strict, without rowid;
  `,
}
