import * as fs from 'node:fs'
import { FileError } from '../base/errors.ts'
import type { Soon } from '../base/soon.ts'
import type { CallPlace } from '../native/directory-calls.ts'

/** A path for Node: bytes, or a string where every byte is ASCII, which costs less. */
export type SystemPath = Buffer | string

/** Node's own file calls, at once or in the pool as `CallPlace` says at that moment. Failures are Node's errors. */
export interface PathCalls {
  open(path: SystemPath, flags: number, mode: number): Soon<number>
  lstat(path: SystemPath): Soon<fs.Stats>
  fstat(fd: number): Soon<fs.Stats>
  readLink(path: SystemPath): Soon<string>
  makeDirectory(path: SystemPath, mode: number): Soon<void>
  removeDirectory(path: SystemPath): Soon<void>
  unlink(path: SystemPath): Soon<void>
  rename(from: SystemPath, to: SystemPath): Soon<void>
  link(existing: SystemPath, path: SystemPath): Soon<void>
  symlink(target: SystemPath, path: SystemPath): Soon<void>
  /** These follow links: hand in a descriptor's own path. */
  setMode(path: SystemPath, mode: number): Soon<void>
  setOwner(path: SystemPath, uid: number, gid: number): Soon<void>
  setTimes(path: SystemPath, accessTime: number, modifyTime: number): Soon<void>
  setSize(fd: number, size: number): Soon<void>
  space(path: SystemPath): Soon<fs.StatsFs>
  openDirectory(path: SystemPath): Soon<fs.Dir>
  readDirectory(directory: fs.Dir): Soon<fs.Dirent | null>
}

type Done<T> = (error: Error | null, value: T) => void
type DoneEmpty = (error: Error | null) => void

/** Entries fetched in one trip: a directory of any size needs no more memory than these. */
const entriesAtOnce = 256

/** Creates the calls. */
export function createPathCalls(place: CallPlace): PathCalls {
  return {
    open: (path, flags, mode) =>
      run(
        () => fs.openSync(path, flags, mode),
        (done) => fs.open(path, flags, mode, done),
      ),
    lstat: (path) =>
      run(
        () => fs.lstatSync(path),
        (done) => fs.lstat(path, done),
      ),
    fstat: (fd) =>
      run(
        () => fs.fstatSync(fd),
        (done) => fs.fstat(fd, done),
      ),
    readLink: (path) =>
      run(
        () => fs.readlinkSync(path, 'latin1'),
        (done) => fs.readlink(path, 'latin1', done),
      ),
    makeDirectory: (path, mode) =>
      act(
        () => {
          fs.mkdirSync(path, { mode })
        },
        (done) => fs.mkdir(path, mode, done),
      ),
    removeDirectory: (path) =>
      act(
        () => fs.rmdirSync(path),
        (done) => fs.rmdir(path, done),
      ),
    unlink: (path) =>
      act(
        () => fs.unlinkSync(path),
        (done) => fs.unlink(path, done),
      ),
    rename: (from, to) =>
      act(
        () => fs.renameSync(from, to),
        (done) => fs.rename(from, to, done),
      ),
    link: (existing, path) =>
      act(
        () => fs.linkSync(existing, path),
        (done) => fs.link(existing, path, done),
      ),
    symlink: (target, path) =>
      act(
        () => fs.symlinkSync(target, path),
        (done) => fs.symlink(target, path, done),
      ),
    setMode: (path, mode) =>
      act(
        () => fs.chmodSync(path, mode),
        (done) => fs.chmod(path, mode, done),
      ),
    setOwner: (path, uid, gid) =>
      act(
        () => fs.chownSync(path, uid, gid),
        (done) => fs.chown(path, uid, gid, done),
      ),
    setTimes: (path, access, modify) =>
      act(
        () => fs.utimesSync(path, access, modify),
        (done) => fs.utimes(path, access, modify, done),
      ),
    setSize: (fd, size) =>
      act(
        () => fs.ftruncateSync(fd, size),
        (done) => fs.ftruncate(fd, size, done),
      ),
    space: (path) =>
      run(
        () => fs.statfsSync(path),
        (done) => fs.statfs(path, done),
      ),
    openDirectory: (path) =>
      run(
        () => openDirectoryNow(path),
        (done) => openDirectoryLater(path, done),
      ),
    readDirectory: (directory) =>
      run(
        () => directory.readSync(),
        (done) => directory.read(done),
      ),
  }

  function run<T>(now: () => T, later: (done: Done<T>) => void): Soon<T> {
    if (place.inline) return now()
    return queued(
      () =>
        new Promise<T>((resolve, reject) =>
          later((error, value) => (error === null ? resolve(value) : reject(error))),
        ),
    )
  }

  function act(now: () => void, later: (done: DoneEmpty) => void): Soon<void> {
    return run<void>(now, (done) => later((error) => done(error, undefined)))
  }

  function queued<T>(task: () => Promise<T>): Promise<T> {
    const turn = place.limiter.run(task)
    if (turn === undefined)
      throw new FileError('busy', 'Cannot queue another call: the disk does not keep up')
    return turn
  }
}

/** Names come as one character per byte. */
const listing = { encoding: 'latin1', bufferSize: entriesAtOnce } as const

function openDirectoryNow(path: SystemPath): fs.Dir {
  return fs.opendirSync(path, listing)
}

function openDirectoryLater(path: SystemPath, done: Done<fs.Dir>): void {
  fs.opendir(path, listing, done)
}
