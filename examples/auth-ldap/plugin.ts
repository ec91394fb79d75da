import { failure, servePlugin } from 'sftpgo-ts/sdk'
import { openDirectory } from './ldap.ts'

/** As settings.schema.json says. */
interface Settings {
  readonly url: string
  readonly bind_dn: string
  readonly bind_password: string
  readonly base_dn: string
  readonly attribute: string
  readonly home: string
  readonly timeout_ms: number
}

const wrong = { granted: false, reason: 'Wrong name or password' } as const

await servePlugin<Settings>(({ settings }) => ({
  auth: {
    async checkPassword({ username, password }) {
      // A bind with a name and no password succeeds as nobody: RFC 4513, 5.1.2.
      if (password === '' || username.includes('/') || username.startsWith('.')) return wrong
      const directory = await openDirectory(settings.url, settings.timeout_ms)
      try {
        if (!(await directory.bind(settings.bind_dn, settings.bind_password)))
          throw failure('The directory refuses bind_dn')
        const [person, another] = await directory.find(settings.base_dn, settings.attribute, username)
        if (person === undefined || another !== undefined || !(await directory.bind(person, password)))
          return wrong
        const homeDirectory = `${settings.home}/${username}`
        return { granted: true, user: { username, homeDirectory, permissions: ['*'] } }
      } finally {
        directory.close()
      }
    },
  },
}))
