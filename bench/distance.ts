// A single upload and download over a long fat way, ours beside sshd through the same relay: npm run bench distance
// [-- --delay 100] [--size 48] [--rounds 3] [--save FILE]
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Client, sftp } from './harness/client.ts'
import { median } from './harness/report.ts'
import { startOurs, startSshd, type Target } from './harness/target.ts'

const { values } = parseArgs({
  options: {
    /** Milliseconds there and back. */
    delay: { type: 'string', default: '100' },
    /** MiB of the file. */
    size: { type: 'string', default: '48' },
    rounds: { type: 'string', default: '3' },
    save: { type: 'string' },
  },
})
const megabytes = Number(values.size)
const rounds = Number(values.rounds)
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sftpgo-ts-distance-'))
const client: Client = { key: join(folder, 'key'), folder: join(folder, 'client') }
const source = join(folder, 'source')
/** As people run it, and with as much under way as OpenSSH's client can be asked for. */
const forms = [
  { name: 'sftp', options: [] },
  { name: 'sftp -R 256', options: ['-R', '256'] },
] as const
const directions = ['up', 'down'] as const
const relays: ChildProcess[] = []
const targets: Target[] = []

try {
  mkdirSync(client.folder)
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', client.key])
  writeFileSync(source, Buffer.alloc(megabytes * 2 ** 20, 'x'))
  for (const target of await bothServers()) {
    writeFileSync(join(target.home, 'source'), Buffer.alloc(megabytes * 2 ** 20, 'x'))
    targets.push({ ...target, port: await relayTo(target.port) })
  }
  const rates = new Map<string, number[]>()
  for (let round = 0; round < rounds; round += 1)
    for (const form of forms)
      for (const direction of directions)
        for (const target of round % 2 === 0 ? targets : targets.toReversed()) {
          const what = `${form.name} ${direction} ${target.name}`
          process.stderr.write(`round ${round + 1} of ${rounds}: ${what}\n`)
          rates.set(what, [...(rates.get(what) ?? []), await rate(direction, target, form.options)])
        }
  const rows = forms.flatMap(({ name }) =>
    directions.map((direction) => {
      const of = (target: Target): number => median(rates.get(`${name} ${direction} ${target.name}`) ?? [])
      const figures = targets.map((target) => `${target.name} ${of(target).toFixed(1)} MiB/s`)
      const [ours, peer] = targets
      const ratio =
        ours === undefined || peer === undefined ? '' : `, ${(of(ours) / of(peer)).toFixed(2)} times`
      return `${name}, ${direction}: ${figures.join(', ')}${ratio}`
    }),
  )
  process.stdout.write(
    `${values.delay} ms there and back, ${megabytes} MiB, the login taken off:\n${rows.join('\n')}\n`,
  )
  if (values.save !== undefined)
    writeFileSync(values.save, `${JSON.stringify({ rates: Object.fromEntries(rates), rows }, null, 1)}\n`)
} finally {
  for (const relay of relays) relay.disconnect()
  for (const target of targets) await target.close()
  rmSync(folder, { recursive: true, force: true })
}

async function bothServers(): Promise<readonly Target[]> {
  const place = (name: string): { folder: string; home: string; publicKey: string } => {
    const own = join(folder, name)
    mkdirSync(join(own, 'home'), { recursive: true })
    return { folder: own, home: join(own, 'home'), publicKey: `${client.key}.pub` }
  }
  const ours = await startOurs({ ...place('ours'), features: false, top: resolve('.') })
  const sshd = await startSshd(place('sshd'))
  if (typeof sshd !== 'string') return [ours, sshd]
  process.stderr.write(`not compared: ${sshd}\n`)
  return [ours]
}

async function relayTo(port: number): Promise<number> {
  const program = new URL('./distance/relay.js', import.meta.url)
  const relay = fork(program, [String(port), String(Number(values.delay) / 2)])
  relays.push(relay)
  return new Promise((settle, reject) => {
    relay.once('message', (opened) => settle(Number(opened)))
    relay.once('exit', () => reject(new Error('The relay ended')))
  })
}

/** MiB a second of one file. What a session without one takes, is not counted. */
async function rate(direction: 'up' | 'down', target: Target, options: readonly string[]): Promise<number> {
  const folderThere = target.name === 'sshd' ? `${target.home}/` : '/'
  const command =
    direction === 'up' ? `put ${source} ${folderThere}sent` : `get ${folderThere}source ${client.folder}/got`
  const empty = await timed(() => sftp(client, target, 'pwd\n', options))
  const whole = await timed(() => sftp(client, target, `${command}\n`, options))
  return megabytes / ((whole - empty) / 1_000)
}

async function timed(action: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await action()
  return performance.now() - begun
}
