import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { needsOpenSsh, startExample } from '../../test/helpers/example-server.ts'
import { until } from '../../test/helpers/until.ts'

it.skipIf(needsOpenSsh !== '')(
  `notifier-jsonl writes a line for each upload and each removal, in order${needsOpenSsh}`,
  async () => {
    await using example = await startExample('notifier-jsonl', (file) => ({
      settings: { file: file('events.jsonl') },
      entry: { notifier_options: { fs_events: ['upload', 'delete'] } },
    }))
    const { file, server } = example
    writeFileSync(file('report.txt'), 'twelve bytes')
    const put = await example.sftp('demo', server.password ?? '', 'put report.txt', 'rm report.txt')
    expect(put).toMatchObject({ status: 0 })
    const lines = (): string[] =>
      existsSync(file('events.jsonl')) ? readFileSync(file('events.jsonl'), 'utf8').trimEnd().split('\n') : []
    await until('two lines', () => lines().length === 2)
    const [upload, removal] = lines().map((line) => JSON.parse(line) as { readonly id: string })
    expect(upload).toMatchObject({
      ...{ action: 'upload', username: 'demo', path: '/report.txt', bytes: 12, ok: true },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
    expect(removal).toMatchObject({ action: 'delete', path: '/report.txt', ok: true })
    expect(new Set([upload?.id, removal?.id, '']).size).toBe(3)
  },
  60_000,
)
