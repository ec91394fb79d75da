import type { User } from '../accounts/user.ts'
import { FileError } from '../base/errors.ts'
import type { TransferCounter, UsageLedger } from './usage-ledger.ts'

/** How much one user may send and fetch, held against what all of the user's sessions have moved at this moment. */
export interface TransferQuota {
  /** Throws `quota-exceeded` when nothing more may be sent. */
  requireUpload(): void
  requireDownload(): void
  /** Counts before the bytes are taken; throws `quota-exceeded` and counts nothing when they are too many. */
  upload(bytes: number): void
  download(bytes: number): void
}

const bytesPerMegabyte = 1024 * 1024

/** The limits of a user, in megabytes as SFTPGo has them; a total stands above the other two. */
export function createTransferQuota(user: User, ledger: UsageLedger | undefined): TransferQuota {
  const { upload_data_transfer: up = 0, download_data_transfer: down = 0 } = user
  const { total_data_transfer: total = 0 } = user
  if (ledger === undefined || (up <= 0 && down <= 0 && total <= 0)) return unlimited
  const counter = ledger.transfers(user.username)
  const leftOf = (limit: number, used: (counter: TransferCounter) => number): number => {
    if (total > 0) return total * bytesPerMegabyte - counter.upload - counter.download
    return limit > 0 ? limit * bytesPerMegabyte - used(counter) : Infinity
  }
  const uploadLeft = (): number => leftOf(up, (used) => used.upload)
  const downloadLeft = (): number => leftOf(down, (used) => used.download)
  return {
    requireUpload: () => require(uploadLeft() > 0),
    requireDownload: () => require(downloadLeft() > 0),
    upload(bytes) {
      require(bytes <= uploadLeft())
      counter.add({ upload: bytes, download: 0 })
    },
    download(bytes) {
      require(bytes <= downloadLeft())
      counter.add({ upload: 0, download: bytes })
    },
  }
}

const unlimited: TransferQuota = {
  requireUpload() {},
  requireDownload() {},
  upload() {},
  download() {},
}

function require(fits: boolean): void {
  if (!fits) throw new FileError('quota-exceeded', 'Cannot transfer more than the quota allows')
}
