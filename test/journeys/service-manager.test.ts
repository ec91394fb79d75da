import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { native } from '../../src/native/library.ts'
import { startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const withoutPython = spawnSync('python3', ['-V']).error === undefined ? undefined : 'python3'
const missing = native().works ? withoutPython : 'native code'

describe.skipIf(missing !== undefined)(
  `a service manager${missing === undefined ? '' : ` (skipped: ${missing} is missing)`}`,
  () => {
    it.each(['a path', 'an abstract name'])(
      'is told each step of the life of the server at %s',
      async (kind) => {
        using folder = temporaryDirectory()
        const address = kind === 'a path' ? folder.file('notify') : `@${folder.path.slice(1)}`
        const config = folder.file('one.json')
        writeFileSync(
          config,
          '{ "sftpd": { "bindings": [{ "port": 0, "address": "127.0.0.1" }], "host_keys": ["id_ed25519"] } }',
        )
        await using heard = await listen(address)
        await using server = await startServerProcess(config, {
          env: { NOTIFY_SOCKET: address, WATCHDOG_USEC: '400000' },
        })
        await until('READY', () => heard.has(/^READY=1\nSTATUS=listening on port \d+$/))
        await until('three beats', () => heard.count('WATCHDOG=1') >= 3)
        server.process.kill('SIGHUP')
        await until('the reload', () => heard.has(/^RELOADING=1\nMONOTONIC_USEC=\d+$/))
        await until('ready again', () => heard.has(/^READY=1\nSTATUS=running$/))

        // A process that stands still feeds nobody.
        server.process.kill('SIGSTOP')
        await quiet(heard)
        server.process.kill('SIGCONT')
        const before = heard.count('WATCHDOG=1')
        await until('another beat', () => heard.count('WATCHDOG=1') > before)
        expect(await server.stop()).toBe(0)
        await until('STOPPING', () => heard.has(/^STOPPING=1$/))
      },
    )

    it('is not fed by a process that is not the one it watches', async () => {
      using folder = temporaryDirectory()
      const address = folder.file('notify')
      const config = folder.file('one.json')
      writeFileSync(
        config,
        '{ "sftpd": { "bindings": [{ "port": 0, "address": "127.0.0.1" }], "host_keys": ["id_ed25519"] } }',
      )
      await using heard = await listen(address)
      await using server = await startServerProcess(config, {
        env: { NOTIFY_SOCKET: address, WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' },
      })
      await until('READY', () => heard.has(/^READY=1/))
      expect(await server.stop()).toBe(0)
      await until('STOPPING', () => heard.has(/^STOPPING=1$/))
      expect(heard.count('WATCHDOG=1')).toBe(0)
    })
  },
)

const receiver = `
import socket, sys, json
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
a = sys.argv[1]
s.bind('\\0' + a[1:] if a[0] == '@' else a)
print('"bound"', flush=True)
while True:
    print(json.dumps(s.recv(4096).decode()), flush=True)
`

/** A datagram socket as systemd has one; Node knows no such sockets. */
async function listen(address: string) {
  const child: ChildProcess = spawn('python3', ['-c', receiver, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const told: string[] = []
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    told.push(...lines.map((line) => JSON.parse(line) as string)) // the receiver's own lines
  })
  await until('the socket', () => told.includes('bound'))
  return {
    has: (pattern: RegExp) => told.some((text) => pattern.test(text)),
    count: (text: string) => told.filter((one) => one === text).length,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
    },
  }
}

/** Waits for a second in which nothing is heard. */
async function quiet(heard: { count(text: string): number }): Promise<void> {
  let [last, since] = [heard.count('WATCHDOG=1'), performance.now()]
  await until('a second of silence', () => {
    const now = heard.count('WATCHDOG=1')
    if (now !== last) [last, since] = [now, performance.now()]
    return performance.now() - since > 1_000
  })
}
