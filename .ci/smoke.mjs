// Starts the built server on the Node that runs this file, logs in with OpenSSH's client, puts and gets a file, and
// stops it. Used by .ci/run for the Nodes that the whole suite does not run on.
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = join(dirname(fileURLToPath(import.meta.url)), '..')
const folder = mkdtempSync(join(tmpdir(), 'sftpgo-ts-smoke-'))
const config = join(folder, 'smoke.json')
const sample = readFileSync(join(top, 'sftpgo.config.json'), 'utf8')
writeFileSync(
  config,
  sample
    .replace('"port": 2022', '"port": 0')
    .replaceAll('"./', `"${top}/`)
    .replaceAll('"dist/', `"${top}/dist/`),
)
// The checksums of the example plugins, as the build wrote them.
cpSync(join(top, 'env.d'), join(folder, 'env.d'), { recursive: true })

const server = spawn(process.execPath, [join(top, 'dist/main.js'), 'serve', '--config', config], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
let failure
try {
  const text = await firstScreen(server)
  const port = /sftp -P (\d+)/.exec(text)?.[1]
  const password = /password (\S+)/.exec(text)?.[1]
  if (port === undefined || password === undefined) throw new Error(`no port or no password in:\n${text}`)
  const bytes = randomBytes(5_000_000)
  writeFileSync(join(folder, 'one'), bytes)
  const batch = `put ${folder}/one two\nls -l\nget two ${folder}/three\nrm two\n`
  const client = spawnSync(
    'sshpass',
    [
      '-p',
      password,
      'sftp',
      '-oBatchMode=no',
      '-oStrictHostKeyChecking=no',
      '-oUserKnownHostsFile=/dev/null',
    ].concat(['-oPreferredAuthentications=password', ...['-b', '-', '-P', port, 'demo@127.0.0.1']]),
    { input: batch, encoding: 'utf8', timeout: 60_000 },
  )
  if (client.status !== 0)
    throw new Error(`sftp ended with ${client.status}\n${client.stdout}\n${client.stderr}`)
  if (digest(readFileSync(join(folder, 'three'))) !== digest(bytes))
    throw new Error('the file came back with other bytes')
  if (!text.includes('notifier: hello ready')) throw new Error(`the example plugin is not ready:\n${text}`)
  server.kill('SIGTERM')
  const code = await new Promise((resolve) => server.once('exit', resolve))
  if (code !== 0) throw new Error(`the server left with ${code}`)
  process.stdout.write(`Node ${process.versions.node}: start, login, put, get, stop: ok\n`)
} catch (error) {
  failure = error
} finally {
  server.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
if (failure !== undefined) {
  process.stderr.write(`Node ${process.versions.node}: ${failure.message}\n`)
  process.exitCode = 1
}

function firstScreen(child) {
  return new Promise((resolve, reject) => {
    let text = ''
    const timer = setTimeout(
      () => reject(new Error(`the server was not ready within 30 s:\n${text}`)),
      30_000,
    )
    child.once('exit', (code) => reject(new Error(`the server left with ${code}`)))
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (!text.includes('Ctrl-C')) return
      clearTimeout(timer)
      resolve(text)
    })
  })
}

function digest(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
