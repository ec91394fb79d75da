import { servePlugin } from '../../../src/sdk.ts'

// Hears of every upload and download and keeps none of it.
await servePlugin({
  notifier: {
    async notifyFile() {},
  },
})
