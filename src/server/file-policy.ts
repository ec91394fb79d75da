import type { FilePolicy } from '../files/file-policy.ts'
import type { Settings } from '../gen/settings.ts'

/** What the settings say about files, as the file wing takes it. */
export function filePolicy({ common, events }: Settings): Partial<FilePolicy> {
  return {
    uploadMode: common.upload_mode,
    durable: events.durable,
    symbolicLinks: common.symlink_mode === 1,
    hardLinks: common.hardlink_mode === 1,
    changeOwner: common.chown_mode === 1,
    modeMask: common.setuid_mode === 1 ? 0o7777 : 0o777,
    umask: common.umask === '' ? 0 : Number.parseInt(common.umask, 8),
    setstatMode: common.setstat_mode,
    checksum: events.checksum,
  }
}
