import { describe, expect, it } from 'vitest'
import { createOutputReader, type OutputLimits, type OutputRecord } from '../../src/host/output.ts'

const stamp = '2026-01-02T03:04:05.123456Z'

function reader(limits?: OutputLimits) {
  const records: OutputRecord[] = []
  let time = 0
  const output = createOutputReader(
    (record) => records.push(record),
    limits,
    () => time,
    () => 0,
  )
  return {
    records,
    output,
    pass: (ms: number) => (time += ms),
    say: (text: string) => output.take(Buffer.from(text), 'stderr'),
  }
}

function only(text: string): OutputRecord | undefined {
  const { records, say } = reader()
  say(`${text}\n`)
  return records[0]
}

describe('what a plugin prints', () => {
  it.each([
    ['[TRACE] a', 'trace'],
    ['[DEBUG] a', 'debug'],
    ['[INFO]  a', 'info'],
    ['[WARN] a', 'warn'],
    ['[ERROR] a', 'error'],
    ['[ERR] a', 'debug'],
    ['[info] a', 'debug'],
    [' [INFO] a', 'debug'],
    ['2026 [INFO] a', 'debug'],
    ['', 'debug'],
  ])('has the level of its tag: %j is %s', (text, level) => {
    expect(only(text)).toMatchObject({ level, message: text })
  })

  it('keeps level, message, module and pairs of a log line in JSON', () => {
    const line = { '@level': 'WARN', '@message': 'slow', '@timestamp': stamp, '@module': 'ldap', tries: 3 }
    expect(only(JSON.stringify(line))).toMatchObject({
      level: 'warn',
      message: 'slow',
      fields: { '@module': 'ldap', tries: 3 },
    })
  })

  it.each([
    ['an unknown level', { '@level': 'fatal', '@message': 'm' }],
    ['no level', { '@message': 'm' }],
    ['a message that is a number', { '@level': 'info', '@message': 5 }],
    ['a level that is null', { '@level': null, '@message': 'm' }],
    ['a timestamp that is an object', { '@level': 'info', '@message': 'm', '@timestamp': {} }],
    [
      'milliseconds in its time',
      { '@level': 'info', '@message': 'm', '@timestamp': '2026-01-02T03:04:05.123Z' },
    ],
  ])('shows JSON with %s as it came', (_, line) => {
    expect(only(JSON.stringify(line))).toMatchObject({ level: 'debug', message: JSON.stringify(line) })
  })

  it('takes deep nesting, a __proto__ key and duplicate keys without harm', () => {
    const deep = `{"@level":"info","@message":"m","a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`
    expect(only(deep)?.level).toBe('info')
    const proto = only('{"@level":"info","@message":"m","__proto__":{"polluted":1}}')
    expect(proto?.fields).toEqual({})
    expect(Object.prototype).not.toHaveProperty('polluted')
    expect(only('{"@level":"info","@message":"a","@message":"b"}')?.message).toBe('b')
  })

  it('is an error from the first line of a panic on, unless tagged', () => {
    const { records, say } = reader()
    say('before\npanic: boom\n\ngoroutine 1 [running]:\n[INFO] tagged\nmain.main()\n')
    expect(records.map(({ level }) => level)).toEqual(['debug', 'error', 'error', 'error', 'info', 'error'])
  })

  it('cannot forge lines or steer a terminal', () => {
    const record = only('[WARN] a\u001b[2Jb\rc\u202ed')
    expect(record?.message).toBe('[WARN] a\\x1b[2Jb\\x0dc\\u202ed')
  })

  it('comes in pieces when a line is too long, and the next line is whole again', () => {
    const { records, say } = reader()
    say(`${'x'.repeat(70_000)}\n[INFO] next\n`)
    expect(records.map(({ message }) => message.length)).toEqual([16_384 + 20, 4464, 11])
    expect(records[2]?.level).toBe('info')
  })

  it('is put together from single bytes', () => {
    const { records, say } = reader()
    for (const character of '[INFO] hello\n') say(character)
    expect(records.map(({ message }) => message)).toEqual(['[INFO] hello'])
  })

  it('counts a last line without its end', () => {
    const { records, output, say } = reader()
    say('[ERROR] half')
    expect(records).toEqual([])
    output.end()
    expect(records[0]).toMatchObject({ level: 'error', message: '[ERROR] half' })
  })

  it('holds bounded memory for ten megabytes without an end of line', () => {
    const { records, output } = reader()
    const megabyte = Buffer.alloc(1 << 20, 'y')
    for (let n = 0; n < 10; n += 1) output.take(megabyte, 'stderr')
    expect(records.length).toBe(160)
    expect(Math.max(...records.map(({ message }) => message.length))).toBeLessThan(17_000)
  })

  it('is counted instead of written when there is too much, and says so', () => {
    const { records, say, pass } = reader({ recordsPerSecond: 10 })
    say('line\n'.repeat(100))
    expect(records.length).toBe(20)
    pass(1000)
    say('later\n')
    expect(records.slice(20).map(({ message, fields }) => [message, fields])).toEqual([
      ['plugin output dropped', { dropped: 80 }],
      ['later', {}],
    ])
  })

  it('makes its plugin wait when bytes come too fast', () => {
    const { output, say, pass } = reader({ bytesPerSecond: 1000 })
    say('x'.repeat(3000))
    expect(output.pauseMs).toBe(2000)
    pass(2500)
    say('x')
    expect(output.pauseMs).toBe(0)
  })
})
