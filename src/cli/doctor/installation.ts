import { existsSync, statSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import type { Config } from '../../config/load-config.ts'
import { defaultHostKeys, stateLayout } from '../../server/state-layout.ts'
import { stateFolderHolder } from '../../server/state-lock.ts'
import { type Finding, about } from './finding.ts'

/** What this configuration finds on the machine: folders, keys, ports. */
export async function checkInstallation(config: Config): Promise<Finding[]> {
  const holder = stateFolderHolder(stateLayout(config).lock)
  const running =
    holder === undefined
      ? about('server').ok('not running')
      : about('server').ok(`running as process ${holder}`)
  return [
    running,
    stateFolder(config),
    diskSpace(config),
    ...hostKeys(config),
    ...(await ports(config, holder !== undefined)),
  ]
}

function stateFolder({ stateFolder: folder }: Config): Finding {
  const { ok, warning } = about('state folder')
  if (!existsSync(folder)) return ok(`${folder} will be made at the first start`)
  const { mode, uid } = statSync(folder)
  if ((mode & 0o077) !== 0) return warning(`${folder} can be entered by others; chmod 700 it`)
  const own = process.getuid?.()
  return own !== undefined && uid !== own
    ? warning(`${folder} belongs to user ${uid}, not to ${own}`)
    : ok(folder)
}

function diskSpace({ stateFolder: folder }: Config): Finding {
  const { ok, warning } = about('disk')
  let place = folder
  while (!existsSync(place)) place = dirname(place)
  const { bavail, bsize } = statfsSync(place)
  const free = bavail * bsize
  const text = `${(free / 2 ** 30).toFixed(1)} GiB free for the state folder`
  return free < 2 ** 30 ? warning(text) : ok(text)
}

function hostKeys(config: Config): Finding[] {
  const { ok, warning, failure } = about('host keys')
  const named = config.settings.sftpd.host_keys
  const files = named.length > 0 ? named : defaultHostKeys(config)
  const folders = [...new Set(files.map((file) => dirname(file)))].filter((folder) => existsSync(folder))
  const open = folders
    .filter((folder) => (statSync(folder).mode & 0o022) !== 0)
    .map((folder) => warning(`others may put keys into ${folder}; chmod go-w it`))
  const keys = files.map((file) => {
    if (!existsSync(file)) {
      const makes = /^id_(ed25519|rsa|ecdsa)$/.test(file.slice(file.lastIndexOf('/') + 1))
      return makes ? ok(`${file} will be made at the first start`) : failure(`${file} is missing`)
    }
    const { mode } = statSync(file)
    return (mode & 0o077) === 0 ? ok(file) : warning(`${file} can be read by others; chmod 600 it`)
  })
  return [...keys, ...open]
}

async function ports({ settings }: Config, serverRuns: boolean): Promise<Finding[]> {
  const wanted = settings.sftpd.bindings.map(({ address, port }) => ({ subject: 'SFTP port', address, port }))
  const { bind_port: port, bind_address: address } = settings.telemetry
  if (port !== 0) wanted.push({ subject: 'telemetry port', address, port })
  return Promise.all(
    wanted.map(async ({ subject, address: host, port: number }) => {
      const { ok, failure } = about(subject)
      const name = `${host === '' ? '*' : host}:${number}`
      const problem = number === 0 ? undefined : await bindProblem(host, number)
      if (problem === undefined) return ok(`${name} is free`)
      return serverRuns
        ? ok(`${name} is taken, by the running server it seems`)
        : failure(`${name}: ${problem}`)
    }),
  )
}

function bindProblem(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(messageOf(error)))
    server.listen({ port, ...(address === '' ? {} : { host: address }), exclusive: true }, () =>
      server.close(() => resolve(undefined)),
    )
  })
}
