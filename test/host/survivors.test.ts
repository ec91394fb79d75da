import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { workingSetpriv } from '../../src/host/host-death.ts'
import { openProcessRecords, startTimeOf } from '../../src/host/process-record.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const setpriv = await workingSetpriv()

describe('a plugin whose host was killed', () => {
  for (const way of ['setpriv', 'watcher'] as const) {
    const missing = way === 'setpriv' && setpriv === undefined
    it.skipIf(missing)(`is ended through the ${way}${missing ? ' (skipped: no setpriv)' : ''}`, async () => {
      using folder = temporaryDirectory()
      const host = spawn(process.execPath, [
        join(import.meta.dirname, '../fixtures/attackers/host.mjs'),
        compiled(folder.path),
        way,
        '/bin/sleep',
        '60',
      ])
      const [line] = (await once(host.stdout, 'data')) as [Buffer]
      const pid = Number(line.toString().trim().split('|')[1])
      expect(isAlive(pid)).toBe(true)
      host.kill('SIGKILL')
      await within(5000, () => !isAlive(pid))
    })
  }

  it('is ended at the next start, recognised by number and start time', async () => {
    using folder = temporaryDirectory()
    const path = folder.file('state/processes.json')
    const child = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' })
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    openProcessRecords(path).records.add({
      name: 'left',
      pid,
      startedAt: startTimeOf(pid) ?? '',
      marker: '/tmp/marker-of-one-life',
    })
    const gone = once(child, 'exit')
    expect(openProcessRecords(path).ended).toEqual(['left'])
    expect((await gone)[1]).toBe('SIGKILL')
    expect(openProcessRecords(path).ended).toEqual([])
  })

  it('is left alone when its number was given to a stranger since', async () => {
    using folder = temporaryDirectory()
    const path = folder.file('processes.json')
    const child = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' })
    await once(child, 'spawn')
    const record = {
      name: 'other',
      pid: child.pid ?? 0,
      startedAt: 'another time',
      marker: '/tmp/marker-of-one-life',
    }
    openProcessRecords(path).records.add(record)
    expect(openProcessRecords(path).ended).toEqual([])
    expect(isAlive(record.pid)).toBe(true)
    child.kill('SIGKILL')
  })

  it.skipIf(process.platform !== 'linux')('takes what it has started with it', async () => {
    using folder = temporaryDirectory()
    const path = folder.file('processes.json')
    const marker = `${folder.path}/socket-folder`
    const child = spawn('/bin/sh', ['-c', 'sleep 60 & echo $!; exit 0'], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PLUGIN_UNIX_SOCKET_DIR: marker },
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const grandchild = Number(line.toString())
    await within(5000, () => child.exitCode !== null)
    const pid = child.pid ?? 0
    openProcessRecords(path).records.add({
      name: 'family',
      pid,
      startedAt: 'long ago',
      marker: '/tmp/another-life',
    })
    expect(openProcessRecords(path).ended).toEqual([])
    expect(isAlive(grandchild)).toBe(true)
    openProcessRecords(path).records.add({ name: 'family', pid, startedAt: 'long ago', marker })
    expect(openProcessRecords(path).ended).toEqual(['family'])
    await within(5000, () => !isAlive(grandchild))
  })

  it('does not keep a start from happening when the record is unreadable', () => {
    using folder = temporaryDirectory()
    for (const text of ['{', '[{"pid":1,"name":"x","startedAt":"","marker":"/long/enough"}]', '[null,3]']) {
      writeFileSync(folder.file('processes.json'), text)
      expect(openProcessRecords(folder.file('processes.json')).ended).toEqual([])
    }
  })
})

/** The module as JavaScript: the host of this test runs outside the test runner. */
function compiled(folder: string): string {
  const path = join(folder, 'host-death.mjs')
  buildSync({
    entryPoints: [join(import.meta.dirname, '../../src/host/host-death.ts')],
    ...{ outfile: path, bundle: true, platform: 'node', format: 'esm' },
  })
  return path
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A process that nobody has asked about yet is dead all the same.
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

async function within(ms: number, condition: () => boolean): Promise<void> {
  const end = performance.now() + ms
  while (!condition()) {
    expect(performance.now()).toBeLessThan(end)
    await sleep(10)
  }
}
