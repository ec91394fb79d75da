import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { programVersion } from '../server/version.ts'

/**
 * How a package.json in `folder` names the very program that runs: by its version where npm got it from a registry, else by
 * the archive or the folder it came from, since what nobody has published cannot be asked for by a version.
 */
export function thisProgramAsDependency(
  folder: string,
  top: string = fileURLToPath(new URL('../..', import.meta.url)),
): string {
  const origin = isCheckout(top) ? undefined : installedFrom(top)
  if (origin?.startsWith('https://') === true) return `^${programVersion()}`
  const modules = dirname(resolve(top))
  const archive = origin?.startsWith('file:') === true ? resolve(modules, '..', origin.slice(5)) : undefined
  const place = archive !== undefined && existsSync(archive) ? archive : resolve(top)
  return `file:${relative(folder, place)}`
}

function isCheckout(top: string): boolean {
  return existsSync(join(top, 'src')) && existsSync(join(top, '.ci'))
}

/** What npm wrote down when it installed the program; undefined where it does not say, as for global programs. */
function installedFrom(top: string): string | undefined {
  const modules = dirname(resolve(top))
  try {
    const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')) as {
      readonly packages?: Readonly<Record<string, { readonly resolved?: unknown }>>
    } // npm's own file; what is used is looked at
    const resolved = packages?.[`${basename(modules)}/${basename(resolve(top))}`]?.resolved
    return typeof resolved === 'string' ? resolved : undefined
  } catch {
    return undefined
  }
}
