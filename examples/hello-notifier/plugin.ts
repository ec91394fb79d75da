import { servePlugin } from 'sftpgo-ts/sdk'

await servePlugin(({ log }) => ({
  notifier: {
    async notifyFile({ action, username, path, size, status }) {
      log.info(`hello from a plugin: ${username} did ${action} ${path}`, {
        bytes: Number(size),
        ok: status === 1,
      })
    },
  },
}))
