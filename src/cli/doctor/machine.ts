import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../../base/errors.ts'
import { findDriver } from '../../database/driver.ts'
import { workingSetpriv } from '../../host/host-death.ts'
import { native } from '../../native/library.ts'
import { selfTest } from '../../native/self-test.ts'
import { type Finding, about } from './finding.ts'

/** What this machine can do, and what a missing part costs. */
export async function checkMachine(): Promise<Finding[]> {
  return [
    node(),
    platform(),
    ...nativeParts(),
    database(),
    await hostDeath(),
    serviceManager(),
    fileLimit(),
    clock(),
  ]
}

function node(): Finding {
  const { ok, warning, failure } = about('Node')
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19))
    return failure(`${process.versions.node} is too old; 20.19 or newer is needed`)
  if (major === 20)
    return warning(`${process.versions.node} is past its end of life; 24 or newer is faster and maintained`)
  return ok(process.versions.node)
}

function platform(): Finding {
  const { ok, warning, failure } = about('system')
  const name = `${process.platform}-${process.arch}`
  if (process.platform === 'linux') return ok(name)
  if (process.platform === 'darwin')
    return warning(
      `${name}: everything works but what the Linux kernel holds (sealed plugins, confined homes)`,
    )
  return failure(`${name} is not supported`)
}

function nativeParts(): Finding[] {
  return selfTest().map(({ ability, works, detail }) =>
    works ? about(ability).ok('works') : about(ability).warning(detail),
  )
}

function database(): Finding {
  const { ok, failure } = about('database')
  try {
    return ok(`SQLite through ${findDriver()}`)
  } catch (error) {
    return failure(messageOf(error))
  }
}

async function hostDeath(): Promise<Finding> {
  const { ok, warning } = about('plugins after a crash')
  const setpriv = await workingSetpriv()
  return setpriv === undefined
    ? warning(
        'no working setpriv: a watcher process ends them; were it killed too, they stay until the next start ends them',
      )
    : ok('ended by the kernel, and by a watcher process')
}

function serviceManager(): Finding {
  const { ok, warning } = about('service manager')
  if (process.platform !== 'linux') return ok('none is told here')
  return native().works
    ? ok('is told when the server is ready, where there is one')
    : warning(
        'cannot be told when the server is ready: a unit for systemd needs Type=exec and no WatchdogSec',
      )
}

function fileLimit(): Finding {
  const { ok, warning } = about('open files')
  const line = readOr('/proc/self/limits')
    .split('\n')
    .find((text) => text.startsWith('Max open files'))
  const limit = line?.split(/\s{2,}/)[1]
  if (limit === undefined) return ok('limit unknown here')
  const enough = limit === 'unlimited' || Number(limit) >= 8192
  return enough
    ? ok(`limit ${limit}`)
    : warning(`limit ${limit}: too few for a thousand sessions; raise LimitNOFILE or ulimit -n`)
}

function clock(): Finding {
  const { ok, failure } = about('clock')
  const installed = statSync(fileURLToPath(new URL('../../../package.json', import.meta.url))).mtimeMs
  const now = Date.now()
  // One-time passwords, certificates and bans all go by the clock.
  if (now < Math.min(installed, Date.UTC(2100, 0)) - 86_400_000)
    return failure(`${new Date(now).toISOString()} is before this program was installed`)
  return ok(new Date(now).toISOString())
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
