import { servePlugin } from '../../../src/sdk.ts'

// Decides logins with a password at once. The bench logs in with keys, as a site with a directory for passwords has both.
await servePlugin({
  auth: {
    async checkPassword({ username }) {
      return { granted: true, user: { username, homeDirectory: '/srv/bench', permissions: ['*'] } }
    },
  },
})
