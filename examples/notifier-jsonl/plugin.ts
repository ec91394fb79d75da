import { open } from 'node:fs/promises'
import { createOncePerEvent, servePlugin, type FileNotice } from 'sftpgo-ts/sdk'

await servePlugin<{ readonly file: string }>(async ({ settings }) => {
  const output = await open(settings.file, 'a', 0o600)
  const once = createOncePerEvent()
  return {
    notifier: {
      notifyFile: (notice) =>
        once.run(notice.metadata['event_id'] ?? '', async () => {
          await output.appendFile(lineOf(notice))
          // Told means delivered: what is not on disk would be lost with the power.
          await output.datasync()
        }),
    },
  }
})

function lineOf({ timestamp, action, username, path, targetPath, size, status, metadata }: FileNotice) {
  const id = metadata['event_id'] ?? ''
  const at = new Date(Number(timestamp / 1_000_000n)).toISOString()
  return `${JSON.stringify({ id, at, action, username, path, targetPath, bytes: Number(size), ok: status === 1 })}\n`
}
