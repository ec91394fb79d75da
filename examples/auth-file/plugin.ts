import { failure, servePlugin } from 'sftpgo-ts/sdk'
import { openUsersFile } from './users-file.ts'

await servePlugin<{ readonly file: string }>(({ settings, log }) => {
  const users = openUsersFile(settings.file)
  return {
    auth: {
      async checkPassword({ username, password }) {
        const user = await users.find(username).catch((cause: unknown) => {
          log.error('Cannot read the users', { file: settings.file, error: cause })
          throw failure('The users file cannot be read', cause)
        })
        if (!(await users.isPassword(user, password)) || user === undefined)
          return { granted: false, reason: 'Wrong name or password' }
        return { granted: true, user: { username, homeDirectory: user.home, permissions: user.permissions } }
      },
    },
  }
})
