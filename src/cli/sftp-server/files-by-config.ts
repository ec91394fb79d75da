import type { VirtualPath } from '../../base/virtual-path.ts'
import { rootPath } from '../../base/virtual-path.ts'
import type { User } from '../../accounts/user.ts'
import { createUserFiles } from '../../files/create-user-files.ts'
import { createKernelFiles } from '../../files/kernel-files.ts'
import { createQuota } from '../../files/quota.ts'
import type { UserFiles } from '../../files/user-files.ts'
import type { Backend } from '../../storage/backend.ts'
import { readConfig } from '../read-config.ts'

/** Files with the configuration's `upload_mode` and nothing else of it: the kernel stays the only judge. */
export function filesByConfig(config: string, backend: Backend, start: VirtualPath): UserFiles {
  const { common } = readConfig(config).settings
  const kernelFiles = createKernelFiles(backend, start)
  if (common.upload_mode === 0) return kernelFiles
  const files = createUserFiles({
    principal: { user: everybody, method: 'none', address: '', connectionId: '' },
    home: { at: rootPath, backend, realRoot: '/', provider: 0, quota: createQuota(undefined, noLimits) },
    policy: {
      ...{ uploadMode: common.upload_mode, symbolicLinks: true, hardLinks: true, changeOwner: true },
      modeMask: 0o7777,
    },
  })
  // Links keep the target they were given: nobody is confined here.
  return {
    ...files,
    startDirectory: start,
    readLink: (path) => kernelFiles.readLink(path),
    symbolicLink: (target, path) => kernelFiles.symbolicLink(target, path),
    hardLink: (existing, path) => kernelFiles.hardLink(existing, path),
  }
}

const noLimits = { size: 0, files: 0 }

const everybody: User = {
  ...{ id: 0, status: 1, username: '', expiration_date: 0, home_dir: '/', uid: 0, gid: 0, max_sessions: 0 },
  ...{ quota_size: 0, quota_files: 0, used_quota_size: 0, used_quota_files: 0, last_quota_update: 0 },
  ...{ permissions: { '/': ['*'] }, upload_bandwidth: 0, download_bandwidth: 0, last_login: 0 },
  ...{ created_at: 0, updated_at: 0, filters: {}, filesystem: { provider: 0 } },
}
