import type { CliCommand, RawCommand } from './command.ts'

/** A line of the table: the words that name a command, one sentence, and its file. */
export interface CommandRow {
  readonly words: string
  readonly summary: string
  readonly load: () => Promise<CliCommand | RawCommand>
}

/** Every command. A file in `commands/` and a line here is all a new one needs; nothing is loaded before it runs. */
export const commandTable: readonly CommandRow[] = [
  {
    words: 'serve',
    summary: 'Start the server and stay until it is told to stop',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    words: 'init',
    summary: 'Write a working configuration to start from',
    load: async () => (await import('./commands/init.ts')).init,
  },
  {
    words: 'config check',
    summary: 'List every mistake of a configuration',
    load: async () => (await import('./commands/config-check.ts')).configCheck,
  },
  {
    words: 'config show',
    summary: 'Print the configuration in force and where each value came from',
    load: async () => (await import('./commands/config-show.ts')).configShow,
  },
  {
    words: 'config schema',
    summary: 'Print the JSON Schema of the configuration',
    load: async () => (await import('./commands/config-schema.ts')).configSchema,
  },
  {
    words: 'config import',
    summary: "Translate SFTPGo's configuration file",
    load: async () => (await import('./commands/config-import.ts')).configImport,
  },
  {
    words: 'explain',
    summary: 'Say what an error code means and what to do',
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  {
    words: 'doctor',
    summary: 'Check this machine and this configuration',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    words: 'paths',
    summary: 'Print every folder and file in use',
    load: async () => (await import('./commands/paths.ts')).paths,
  },
  {
    words: 'reload',
    summary: 'Make the running server read its configuration again',
    load: async () => (await import('./commands/reload.ts')).reload,
  },
  {
    words: 'status',
    summary: 'Say how the running server is',
    load: async () => (await import('./commands/status.ts')).status,
  },
  {
    words: 'sftp-server',
    summary: "Serve SFTP on standard input and output, as OpenSSH's program of that name",
    load: async () => (await import('./commands/sftp-server.ts')).sftpServer,
  },
  {
    words: 'user add',
    summary: 'Make a user',
    load: async () => (await import('./commands/user-add.ts')).userAdd,
  },
  {
    words: 'user list',
    summary: 'List the users',
    load: async () => (await import('./commands/user-list.ts')).userList,
  },
  {
    words: 'user show',
    summary: 'Print a user, secrets hidden',
    load: async () => (await import('./commands/user-show.ts')).userShow,
  },
  {
    words: 'user set',
    summary: 'Change fields of a user',
    load: async () => (await import('./commands/user-set.ts')).userSet,
  },
  {
    words: 'user passwd',
    summary: 'Set the password of a user',
    load: async () => (await import('./commands/user-passwd.ts')).userPasswd,
  },
  {
    words: 'user key add',
    summary: 'Give a user a public key',
    load: async () => (await import('./commands/user-key-add.ts')).userKeyAdd,
  },
  {
    words: 'user key remove',
    summary: 'Take a public key away from a user',
    load: async () => (await import('./commands/user-key-remove.ts')).userKeyRemove,
  },
  {
    words: 'user totp add',
    summary: 'Give a user a second factor',
    load: async () => (await import('./commands/user-totp-add.ts')).userTotpAdd,
  },
  {
    words: 'user totp remove',
    summary: 'Take the second factor away from a user',
    load: async () => (await import('./commands/user-totp-remove.ts')).userTotpRemove,
  },
  {
    words: 'user disable',
    summary: 'Keep a user out and end open sessions',
    load: async () => (await import('./commands/user-disable.ts')).userDisable,
  },
  {
    words: 'user enable',
    summary: 'Let a disabled user in again',
    load: async () => (await import('./commands/user-enable.ts')).userEnable,
  },
  {
    words: 'user remove',
    summary: 'Remove a user and end open sessions',
    load: async () => (await import('./commands/user-remove.ts')).userRemove,
  },
  {
    words: 'user sessions',
    summary: 'List who is logged in',
    load: async () => (await import('./commands/user-sessions.ts')).userSessions,
  },
  {
    words: 'user disconnect',
    summary: 'End sessions of a user',
    load: async () => (await import('./commands/user-disconnect.ts')).userDisconnect,
  },
  {
    words: 'user import',
    summary: 'Take over a dump of SFTPGo',
    load: async () => (await import('./commands/user-import.ts')).userImport,
  },
  {
    words: 'why',
    summary: 'Tell the whole story of a login',
    load: async () => (await import('./commands/why.ts')).why,
  },
  {
    words: 'ban list',
    summary: 'List banned addresses',
    load: async () => (await import('./commands/ban-list.ts')).banList,
  },
  {
    words: 'ban add',
    summary: 'Ban an address',
    load: async () => (await import('./commands/ban-add.ts')).banAdd,
  },
  {
    words: 'ban remove',
    summary: 'End a ban',
    load: async () => (await import('./commands/ban-remove.ts')).banRemove,
  },
  {
    words: 'address list',
    summary: 'Print the allow, deny and safe lists',
    load: async () => (await import('./commands/address-list.ts')).addressList,
  },
  {
    words: 'address add',
    summary: 'Put a network on a list',
    load: async () => (await import('./commands/address-add.ts')).addressAdd,
  },
  {
    words: 'address remove',
    summary: 'Take a network off a list',
    load: async () => (await import('./commands/address-remove.ts')).addressRemove,
  },
  {
    words: 'plugin list',
    summary: 'List the configured plugins and how they are',
    load: async () => (await import('./commands/plugin-list.ts')).pluginList,
  },
  {
    words: 'plugin status',
    summary: 'Say how the plugins of the running server are',
    load: async () => (await import('./commands/plugin-status.ts')).pluginStatus,
  },
  {
    words: 'plugin checksum',
    summary: 'Print the line that approves a program',
    load: async () => (await import('./commands/plugin-checksum.ts')).pluginChecksum,
  },
  {
    words: 'plugin verify',
    summary: 'Check the bytes of every configured plugin, starting none',
    load: async () => (await import('./commands/plugin-verify.ts')).pluginVerify,
  },
  {
    words: 'plugin probe',
    summary: 'Try a configured plugin out: verify, launch, handshake, methods, stop',
    load: async () => (await import('./commands/plugin-probe.ts')).pluginProbe,
  },
  {
    words: 'plugin restart',
    summary: 'Start a plugin of the running server anew',
    load: async () => (await import('./commands/plugin-restart.ts')).pluginRestart,
  },
  {
    words: 'plugin logs',
    summary: 'Show what a plugin of the running server said',
    load: async () => (await import('./commands/plugin-logs.ts')).pluginLogs,
  },
  {
    words: 'plugin why',
    summary: 'Say why a plugin of the running server is as it is',
    load: async () => (await import('./commands/plugin-why.ts')).pluginWhy,
  },
  {
    words: 'events list',
    summary: 'List the newest events',
    load: async () => (await import('./commands/events-list.ts')).eventsList,
  },
  {
    words: 'events show',
    summary: 'Show everything about one event',
    load: async () => (await import('./commands/events-show.ts')).eventsShow,
  },
  {
    words: 'events parked',
    summary: 'List the events that a notifier refused too often',
    load: async () => (await import('./commands/events-parked.ts')).eventsParked,
  },
  {
    words: 'events replay',
    summary: 'Have events told again',
    load: async () => (await import('./commands/events-replay.ts')).eventsReplay,
  },
  {
    words: 'events drop',
    summary: 'Forget deliveries that are still owed',
    load: async () => (await import('./commands/events-drop.ts')).eventsDrop,
  },
  {
    words: 'events tail',
    summary: 'Follow events as they happen',
    load: async () => (await import('./commands/events-tail.ts')).eventsTail,
  },
  {
    words: 'kms rotate',
    summary: 'Seal every stored secret with the current keeper',
    load: async () => (await import('./commands/kms-rotate.ts')).kmsRotate,
  },
  {
    words: 'kms rewrap',
    summary: 'Give encrypted files to a passphrase that was changed, without encrypting them anew',
    load: async () => (await import('./commands/kms-rewrap.ts')).kmsRewrap,
  },
  {
    words: 'kms rehearse',
    summary: 'Try whether every secret and some encrypted files can still be opened',
    load: async () => (await import('./commands/kms-rehearse.ts')).kmsRehearse,
  },
  {
    words: 'version',
    summary: 'Print the version and what it runs on',
    load: async () => (await import('./commands/version.ts')).version,
  },
  {
    words: 'plugin new',
    summary: 'Write a new plugin that works',
    load: async () => (await import('./commands/plugin-new.ts')).pluginNew,
  },
  {
    words: 'plugin dev',
    summary: 'Try a plugin out in a throw-away server while it is being written',
    load: async () => (await import('./commands/plugin-dev.ts')).pluginDev,
  },
  {
    words: 'plugin test',
    summary: 'Hold a plugin in any language against the contract of its slot',
    load: async () => (await import('./commands/plugin-test.ts')).pluginTest,
  },
  {
    words: 'plugin lint',
    summary: 'Find what is wrong with the folder of a plugin',
    load: async () => (await import('./commands/plugin-lint.ts')).pluginLint,
  },
  {
    words: 'plugin pack',
    summary: 'Make the archives of a plugin',
    load: async () => (await import('./commands/plugin-pack.ts')).pluginPack,
  },
  {
    words: 'plugin install',
    summary: 'Verify, store and lock a package, or everything that is declared',
    load: async () => (await import('./commands/plugin-install.ts')).pluginInstall,
  },
  {
    words: 'plugin enable',
    summary: 'Add the entry of an installed package and start it',
    load: async () => (await import('./commands/plugin-enable.ts')).pluginEnable,
  },
  {
    words: 'plugin disable',
    summary: 'Switch a plugin entry off',
    load: async () => (await import('./commands/plugin-disable.ts')).pluginDisable,
  },
  {
    words: 'plugin update',
    summary: 'Show what a newer version changes, and take it',
    load: async () => (await import('./commands/plugin-update.ts')).pluginUpdate,
  },
  {
    words: 'plugin remove',
    summary: 'Take a package out of the lock and the store',
    load: async () => (await import('./commands/plugin-remove.ts')).pluginRemove,
  },
  {
    words: 'plugin show',
    summary: 'Say everything about an installed package',
    load: async () => (await import('./commands/plugin-show.ts')).pluginShow,
  },
  {
    words: 'catalog add',
    summary: 'Trust a catalog',
    load: async () => (await import('./commands/catalog.ts')).catalogAdd,
  },
  {
    words: 'catalog list',
    summary: 'List the trusted catalogs',
    load: async () => (await import('./commands/catalog.ts')).catalogList,
  },
  {
    words: 'catalog remove',
    summary: 'Trust a catalog no longer',
    load: async () => (await import('./commands/catalog.ts')).catalogRemove,
  },
  {
    words: 'catalog search',
    summary: 'Find packages in the trusted catalogs',
    load: async () => (await import('./commands/catalog.ts')).catalogSearch,
  },
  {
    words: 'catalog key',
    summary: 'Make the key of a new catalog',
    load: async () => (await import('./commands/catalog.ts')).catalogKey,
  },
  {
    words: 'catalog publish',
    summary: 'Put archives into a catalog and sign its index',
    load: async () => (await import('./commands/catalog.ts')).catalogPublish,
  },
  {
    words: 'catalog revoke',
    summary: 'Withdraw a version from a catalog',
    load: async () => (await import('./commands/catalog.ts')).catalogRevoke,
  },
  {
    words: 'catalog save',
    summary: 'Write a catalog into one file',
    load: async () => (await import('./commands/catalog.ts')).catalogSave,
  },
  {
    words: 'catalog load',
    summary: 'Take a catalog out of one file',
    load: async () => (await import('./commands/catalog.ts')).catalogLoad,
  },
]
