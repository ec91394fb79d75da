import { servePlugin } from '../../src/sdk.ts'

// Lets everybody in after five milliseconds, as a directory nearby would answer.
await servePlugin({
  auth: {
    async checkPassword({ username }) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return { granted: true, user: { username, homeDirectory: '/srv/bench', permissions: ['*'] } }
    },
  },
})
