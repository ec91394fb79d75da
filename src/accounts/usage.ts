import type { Database } from '../database/open-database.ts'
import type { Step } from '../database/writer.ts'
import { noCounters, type Counters } from './user-store.ts'

/** Whose counts they are. */
export type UsageOwner = { readonly kind: 'user' | 'folder'; readonly name: string }

/** What was counted, in the database: quota, transfers, last login. */
export interface Usage {
  of(owner: UsageOwner): Counters
  /** Adds to the quota counts; negative amounts take off. */
  addQuota(owner: UsageOwner, change: { readonly size: number; readonly files: number }): Promise<void>
  /** Sets the quota counts to what a scan found. */
  setQuota(owner: UsageOwner, counted: { readonly size: number; readonly files: number }): Promise<void>
  /** Adds transferred bytes. */
  addTransfer(username: string, bytes: { readonly upload: number; readonly download: number }): Promise<void>
  /** Notes the first upload or download. True for exactly one caller ever. */
  noteFirst(username: string, what: 'first_upload' | 'first_download', at: number): Promise<boolean>
  noteLogin(username: string, at: number): Promise<void>
  /** The step that forgets an owner, for the write that removes it. */
  forgetStep(owner: UsageOwner): Step
  /** The step that takes over counts for an owner that has none, for the write that makes it. */
  takeOverStep(owner: UsageOwner, counters: Partial<Counters>): Step
}

const columns = Object.keys(noCounters)

/** Creates the counters over the database. */
export function createUsage(database: Database, now: () => number): Usage {
  const select = database.query<Counters>(
    `select ${columns.join(', ')} from account_usage where kind = ? and name = ?`,
  )
  const ensure = ({ kind, name }: UsageOwner): Step => ({
    sql: 'insert into account_usage (kind, name) values (?, ?) on conflict do nothing',
    values: [kind, name],
  })
  // Counters may be behind after a power loss; a scan sets them right. An fsync for each would cost more.
  const write = async (...steps: Step[]): Promise<void> =>
    void (await database.writer.write(steps, { durable: false }))

  return {
    of: ({ kind, name }) => select.get(kind, name) ?? noCounters,
    addQuota: (owner, { size, files }) =>
      write(ensure(owner), {
        sql: `update account_usage set used_quota_size = max(0, used_quota_size + ?),
              used_quota_files = max(0, used_quota_files + ?), last_quota_update = ? where kind = ? and name = ?`,
        values: [size, files, now(), owner.kind, owner.name],
      }),
    setQuota: (owner, { size, files }) =>
      write(ensure(owner), {
        sql: `update account_usage set used_quota_size = ?, used_quota_files = ?, last_quota_update = ?
              where kind = ? and name = ?`,
        values: [size, files, now(), owner.kind, owner.name],
      }),
    addTransfer: (name, { upload, download }) =>
      write(ensure({ kind: 'user', name }), {
        sql: `update account_usage set used_upload_data_transfer = used_upload_data_transfer + ?,
              used_download_data_transfer = used_download_data_transfer + ? where kind = 'user' and name = ?`,
        values: [upload, download, name],
      }),
    async noteFirst(name, what, at) {
      const steps = [
        ensure({ kind: 'user', name }),
        {
          sql: `update account_usage set ${what} = ? where kind = 'user' and name = ? and ${what} = 0`,
          values: [at, name],
          mustChange: true,
        },
      ]
      return (await database.writer.write(steps)).applied
    },
    noteLogin: (name, at) =>
      write(ensure({ kind: 'user', name }), {
        sql: `update account_usage set last_login = ? where kind = 'user' and name = ?`,
        values: [at, name],
      }),
    forgetStep: ({ kind, name }) => ({
      sql: 'delete from account_usage where kind = ? and name = ?',
      values: [kind, name],
    }),
    takeOverStep: ({ kind, name }, counters) => ({
      sql: `insert into account_usage (kind, name, ${columns.join(', ')})
            values (?, ?, ${columns.map(() => '?').join(', ')}) on conflict do nothing`,
      values: [kind, name, ...Object.values({ ...noCounters, ...counters })],
    }),
  }
}
