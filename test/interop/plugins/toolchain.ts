import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const sources = join(import.meta.dirname, 'go')

/** The programs made from `go/`, or why there are none. */
export type GoPrograms = { readonly folder: string } | { readonly missing: string }

/** Builds the Go side once: 40 seconds the first time on a machine, then Go's own cache answers. */
export function buildGoPrograms(): GoPrograms {
  const version = spawnSync('go', ['version'], { encoding: 'utf8' })
  if (version.status !== 0) return { missing: 'Go is not installed' }
  // Named after the sources: two trees tested at once must not exchange each other's programs.
  const folder = join(tmpdir(), `sftpgo-ts-go-interop-${process.getuid?.() ?? 0}-${sourcesDigest()}`)
  const built = spawnSync('go', ['build', '-trimpath', '-o', `${folder}/`, './...'], {
    cwd: sources,
    encoding: 'utf8',
    timeout: 170_000,
  })
  if (built.status === 0) return { folder }
  const offline = /dial tcp|no such host|i\/o timeout|connection refused|proxy/i.test(built.stderr)
  if (offline) return { missing: 'Go modules cannot be downloaded here' }
  throw new Error(`The Go programs do not build: ${built.stderr}`)
}

function sourcesDigest(): string {
  const hash = createHash('sha256')
  for (const entry of readdirSync(sources, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) hash.update(entry.name).update(readFileSync(join(entry.parentPath, entry.name)))
  }
  return hash.digest('hex').slice(0, 12)
}

/** A Python with grpcio, or why there is none. */
export type PythonWithGrpc = { readonly python: string } | { readonly missing: string }

/** Looks for grpcio where `SFTPGO_TS_TEST_PYTHON` says, then in `python3`. */
export function findPythonWithGrpc(): PythonWithGrpc {
  const candidates = [process.env['SFTPGO_TS_TEST_PYTHON'], 'python3'].filter((name) => name !== undefined)
  for (const python of candidates) {
    const found = spawnSync(
      python,
      ['-c', 'import grpc, google.protobuf, cryptography, sys; print(sys.executable)'],
      {
        encoding: 'utf8',
      },
    )
    if (found.status === 0) return { python: found.stdout.trim() }
  }
  return {
    missing:
      'No Python with grpcio (pip install grpcio protobuf cryptography, or name one in SFTPGO_TS_TEST_PYTHON)',
  }
}
