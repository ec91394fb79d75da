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
    words: 'version',
    summary: 'Print the version and what it runs on',
    load: async () => (await import('./commands/version.ts')).version,
  },
]
