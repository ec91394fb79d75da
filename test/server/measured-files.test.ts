import { describe, expect, it } from 'vitest'
import { FileError } from '../../src/base/errors.ts'
import { rootPath } from '../../src/base/virtual-path.ts'
import type { OpenTransfer, UserFiles } from '../../src/files/user-files.ts'
import { measuredFiles } from '../../src/server/measured-files.ts'
import { openMeters } from '../../src/telemetry/meters.ts'

/** A file that takes and gives bytes until its disk fails at `failsAt`. */
function oneFile(failsAt = Number.POSITIVE_INFINITY): UserFiles {
  const at = (position: number): void => {
    if (position >= failsAt) throw new FileError('no-space', 'Cannot write: the disk is full')
  }
  const transfer: Partial<OpenTransfer> = {
    read: async (into) => into.length,
    write: (_chunks, position) => at(position),
    close() {},
    interrupt() {},
  }
  return { open: () => transfer } as unknown as UserFiles // what is asked of it here
}

async function linesOf(act: (files: UserFiles) => Promise<void>, files = oneFile()): Promise<string[]> {
  const meter = openMeters()
  try {
    await act(measuredFiles(files, meter))
    return (await meter.read()).text.split('\n').filter((line) => /^sftpgo_(operation|transfer)/.test(line))
  } finally {
    meter.close()
  }
}

const intent = { read: true, write: true, append: false, create: 'never', truncate: false } as never // handed on unseen

describe('what people do with files', () => {
  it('is counted, and timed by the first read and write of a file and some later ones', async () => {
    const lines = await linesOf(async (files) => {
      const transfer = await files.open(rootPath, intent)
      for (let packet = 0; packet < 130; packet += 1) {
        await transfer.write([Buffer.alloc(10)], packet)
        await transfer.read(Buffer.alloc(7), packet)
      }
      await transfer.close()
    })
    expect(lines).toContain('sftpgo_operations_total{operation="write",status="ok"} 130')
    expect(lines).toContain('sftpgo_operations_total{operation="read",status="ok"} 130')
    expect(lines).toContain('sftpgo_operation_seconds_count{operation="write"} 3')
    expect(lines).toContain('sftpgo_operation_seconds_count{operation="read"} 3')
    expect(lines).toContain('sftpgo_transfer_bytes_total{direction="upload"} 1300')
    expect(lines).toContain('sftpgo_transfer_bytes_total{direction="download"} 910')
    expect(lines).toContain('sftpgo_transfers_total{direction="upload",outcome="complete"} 1')
  })

  it('shows its failures by their codes', async () => {
    const lines = await linesOf(async (files) => {
      const transfer = await files.open(rootPath, intent)
      await transfer.write([Buffer.alloc(10)], 0)
      expect(() => transfer.write([Buffer.alloc(10)], 10)).toThrow('the disk is full')
      await transfer.interrupt()
    }, oneFile(10))
    expect(lines).toContain('sftpgo_operations_total{operation="write",status="no-space"} 1')
    expect(lines).toContain('sftpgo_operations_total{operation="write",status="ok"} 1')
    expect(lines).toContain('sftpgo_transfers_total{direction="upload",outcome="interrupted"} 1')
  })
})
