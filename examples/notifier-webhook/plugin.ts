import { createHmac } from 'node:crypto'
import { failure, servePlugin } from 'sftpgo-ts/sdk'

/** As settings.schema.json says. */
interface Settings {
  readonly url: string
  readonly key: string
  readonly timeout_ms: number
}

await servePlugin<Settings>(({ settings: { url, key, timeout_ms } }) => ({
  notifier: {
    async notifyFile({ metadata, timestamp, action, username, path, targetPath, size, status }) {
      const id = metadata['event_id'] ?? ''
      const at = new Date(Number(timestamp / 1_000_000n)).toISOString()
      const body = JSON.stringify({
        ...{ id, at, action, username, path, targetPath, bytes: Number(size), ok: status === 1 },
      })
      const headers = {
        'content-type': 'application/json',
        'idempotency-key': id,
        'x-signature': `sha256=${createHmac('sha256', key).update(body).digest('hex')}`,
      }
      const signal = AbortSignal.timeout(timeout_ms)
      const response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' })
      await response.body?.cancel()
      // The server keeps the event and tells it again, later and later.
      if (!response.ok) throw failure(`The receiver says ${response.status}`)
    },
  },
}))
