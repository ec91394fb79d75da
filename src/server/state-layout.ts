import { basename, dirname, extname, join } from 'node:path'
import type { Config } from '../config/load-config.ts'

/** Where a server keeps each thing. */
export interface StateLayout {
  readonly database: string
  /** Events on their way into the database; unused where that is in memory. */
  readonly eventJournal: string
  /** Homes of users that have none of their own. */
  readonly homes: string
  readonly lock: string
  readonly control: string
  /** How far a cut round of `kms rotate --all` has come. */
  readonly rotation: string
  /** What the plugin host keeps: records of processes, sockets, private copies. */
  readonly plugins: string
  /** Plugins that were installed, under their digests. */
  readonly packages: string
  /** Which of them may run: a file to commit beside the configuration. */
  readonly packageLock: string
}

/** The places in the state folder of a configuration. */
export function stateLayout({
  file,
  stateFolder,
  settings,
}: Pick<Config, 'file' | 'stateFolder' | 'settings'>): StateLayout {
  const { driver, name, users_base_dir: homes } = settings.data_provider
  return {
    database: driver === 'memory' ? ':memory:' : join(stateFolder, name),
    eventJournal: join(stateFolder, 'events.journal'),
    homes: homes === '' ? join(stateFolder, 'homes') : homes,
    lock: join(stateFolder, 'server.lock'),
    control: controlSocketOf(stateFolder),
    rotation: join(stateFolder, 'kms-rotation.json'),
    plugins: join(stateFolder, 'plugins'),
    ...packagePlacesOf(file, stateFolder),
  }
}

/** The host keys of a server whose configuration names none. */
export function defaultHostKeys({ folder }: Pick<Config, 'folder'>): readonly string[] {
  return [join(folder, 'certs', 'id_ed25519'), join(folder, 'certs', 'id_rsa')]
}

/** The socket over which commands reach the server that holds a state folder. */
export function controlSocketOf(stateFolder: string): string {
  return join(stateFolder, 'control.sock')
}

/** Where the list of catalogs and what they offered last lie. */
export function catalogFolderOf(packages: string): string {
  return join(packages, 'catalogs')
}

/** Where installed plugins lie, and the lock beside the configuration that says which of them may run. */
export function packagePlacesOf(
  file: string,
  stateFolder: string,
): Pick<StateLayout, 'packages' | 'packageLock'> {
  return {
    packages: join(stateFolder, 'packages'),
    packageLock: join(dirname(file), `${basename(file, extname(file))}.lock.json`),
  }
}
