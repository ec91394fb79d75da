import type {
  ConfigErrorCode,
  FileErrorCode,
  PackageErrorCode,
  PluginErrorCode,
  SecretErrorCode,
} from './errors.ts'

/** What an error code means, and what to do about it. */
export interface ErrorRow {
  readonly meaning: string
  readonly remedy: string
}

/** A row with the code it belongs to and the class of errors that carries it. */
export interface CataloguedError extends ErrorRow {
  readonly code: string
  readonly kind: 'FileError' | 'PluginError' | 'ConfigError' | 'PackageError' | 'SecretError'
}

const fileErrors: Readonly<Record<FileErrorCode, ErrorRow>> = {
  'not-found': {
    meaning: 'There is nothing with this name.',
    remedy: 'Look at the path in the log; hidden names (file patterns) answer the same way.',
  },
  'permission-denied': {
    meaning: 'The user, or the operating system, does not allow this here.',
    remedy: "Look at the user's permissions for this folder and at the owner and mode of the file on disk.",
  },
  'already-exists': {
    meaning: 'The name is taken and may not be replaced.',
    remedy: 'Choose another name, or use a request that replaces (posix-rename).',
  },
  'not-a-directory': {
    meaning: 'A part of the path is a file where a folder is needed.',
    remedy: 'Look at each part of the path.',
  },
  'is-a-directory': {
    meaning: 'The name is a folder where a file is needed.',
    remedy: 'Name a file inside it.',
  },
  'directory-not-empty': {
    meaning: 'A folder that still holds something cannot be removed or replaced.',
    remedy: 'Empty it first; it may hold names that this user cannot see.',
  },
  'name-too-long': {
    meaning: 'A name is longer than the file system takes (usually 255 bytes, 4096 for a path).',
    remedy: 'Use a shorter name; remember that one character may be several bytes.',
  },
  'bad-message': {
    meaning: 'The client sent something that cannot be a request.',
    remedy: "Report it to the client's makers; the log names the client's version.",
  },
  'bad-handle': {
    meaning: 'The client used a handle that is not open, or not for this.',
    remedy: "Report it to the client's makers.",
  },
  'end-of-file': { meaning: 'There is nothing more to read.', remedy: 'Nothing: clients expect it.' },
  unsupported: {
    meaning: 'This server or this storage cannot do that.',
    remedy: 'docs/sftp.md lists what is supported; links, owners and special modes must be switched on.',
  },
  'cross-device': {
    meaning: 'The two names lie in different storages; one step cannot move a file between them.',
    remedy: 'Copy and delete.',
  },
  'too-many-links': { meaning: 'The links on the way lead in a circle.', remedy: 'Repair the links.' },
  'not-a-regular-file': {
    meaning: 'The name is a pipe, a socket or a device.',
    remedy: 'Only files, folders and links are served.',
  },
  'not-a-link': { meaning: 'The name is not a symbolic link.', remedy: 'Ask for its attributes instead.' },
  busy: {
    meaning: 'Something else uses the file: another process that writes an encrypted one, for example.',
    remedy: 'Try again later; "encrypted file in use" in the log names the user and the file.',
  },
  'too-many-open': {
    meaning: 'The client, or the process, has as many files open as it may.',
    remedy: 'Close some; "sftpgo-ts doctor" shows the limit of the process.',
  },
  'no-space': {
    meaning: 'The disk is full, or the budget of waiting events is used up.',
    remedy: 'Make room; "sftpgo-ts status" shows which of the two it is.',
  },
  'quota-exceeded': {
    meaning: "The user's quota is used up.",
    remedy: 'Delete files, or raise quota_size or quota_files.',
  },
  'too-large': {
    meaning: 'The file is larger than this user may upload.',
    remedy: 'Raise max_upload_file_size of the user.',
  },
  'read-only': { meaning: 'This place takes no changes.', remedy: 'Look at how it is mounted.' },
  'input-output': {
    meaning: 'The disk or the storage failed.',
    remedy: 'The log has the cause as the operating system told it.',
  },
  interrupted: {
    meaning: 'The connection ended, or the server stopped, before it was done.',
    remedy: 'Try again; an interrupted upload left the old file untouched.',
  },
  'wrong-key': {
    meaning: 'An encrypted file cannot be opened with the key at hand.',
    remedy:
      'Look at the user\'s passphrase and at kms.secrets.url; "sftpgo-ts kms rehearse" tries every secret.',
  },
  'keeper-missing': {
    meaning: 'The keeper that sealed the secret of this place is not configured.',
    remedy: 'The log names the keeper; configure its kms plugin. Only who needs this secret is held up.',
  },
  'keeper-unavailable': {
    meaning: 'The keeper of this secret does not answer.',
    remedy: 'The log names the keeper; look at "sftpgo-ts plugin status" and at the key service behind it.',
  },
  'keeper-refused': {
    meaning: 'The keeper answers that it will not open this secret: its key was deleted or is forbidden.',
    remedy: 'The log names the keeper; restore the key at its provider, or the secret from a backup.',
  },
  'cut-short': {
    meaning: 'An encrypted file is shorter or longer than it was when it was written.',
    remedy: 'Restore the file from a backup; the rest of it is not given out as if it were whole.',
  },
  corrupted: {
    meaning: 'Stored bytes were changed: their seal does not fit.',
    remedy: 'Restore the file from a backup; wrong bytes are never given out.',
  },
}

const pluginErrors: Readonly<Record<PluginErrorCode, ErrorRow>> = {
  'checksum-missing': {
    meaning: 'A plugin entry has no sha256sum; nothing unverified runs.',
    remedy:
      'Make sure that the program is the right one, then paste the line that the log and "sftpgo-ts config check" print.',
  },
  'checksum-mismatch': {
    meaning: "The program's bytes are not the approved ones.",
    remedy:
      'Put the right file back, and the plugin starts by itself; after an update of your own change sha256sum.',
  },
  'not-found': { meaning: 'The program of a plugin entry is not there.', remedy: 'Correct cmd.' },
  'not-executable': {
    meaning: 'The operating system does not run the program.',
    remedy: 'Look at its mode (chmod +x), its platform and the first line of a script.',
  },
  'interpreter-unverified': {
    meaning: 'cmd names an interpreter, whose checksum says nothing about the script it runs.',
    remedy:
      'Give a bundled JavaScript file as cmd, or add interpreter_sha256 and a folder with a plugin.json.',
  },
  'manifest-invalid': {
    meaning: 'The plugin.json of a plugin cannot be used.',
    remedy: 'The message names the key; docs/plugins shows a whole one.',
  },
  'start-timeout': {
    meaning: 'The plugin did not print its first line or did not answer in time.',
    remedy: 'Run "sftpgo-ts plugin probe NAME"; raise plugin_host.start_timeout if it only is slow.',
  },
  'bad-handshake': {
    meaning: 'The first line of the program is not that of a plugin.',
    remedy: 'The log shows the line. Is cmd really a plugin, and are its arguments complete?',
  },
  'incompatible-version': {
    meaning: 'The plugin speaks another version of the protocol.',
    remedy: 'Use a version of the plugin for protocol 1 over gRPC.',
  },
  'untrusted-certificate': {
    meaning: 'Somebody answered whose certificate is not the one of the first line.',
    remedy: 'Start it again; if it happens again, another program interferes.',
  },
  'plaintext-refused': {
    meaning: 'The plugin does not speak mutual TLS.',
    remedy:
      'Update it; or set auto_mtls to false and plugin_host.allow_plaintext to true, knowing what that means.',
  },
  'cannot-confine': {
    meaning: 'The entry wants another user or limits that this server cannot give to this program.',
    remedy:
      'Start the server as root on Linux with util-linux, and run a single program from sealed memory; or take run_as and the limits out.',
  },
  'connection-refused': {
    meaning: 'Nobody listens where the first line says.',
    remedy: 'Look at the log of the plugin: it may have ended at once.',
  },
  exited: {
    meaning: 'The process of the plugin ended.',
    remedy: '"sftpgo-ts plugin logs NAME" shows its last lines; it is started again by itself.',
  },
  hung: {
    meaning: 'The process lives but does not answer.',
    remedy: 'It is replaced by itself; look at its log.',
  },
  'memory-limit': {
    meaning: 'The plugin took more memory than limits.memory allows.',
    remedy: 'It is replaced by itself; raise the limit if it needs more.',
  },
  'too-many-restarts': {
    meaning: 'The plugin ended too often; it is not started any more.',
    remedy: 'Find out why in its log, then "sftpgo-ts plugin restart NAME".',
  },
  stopped: { meaning: 'The plugin was stopped on purpose.', remedy: 'Enable the entry and reload.' },
  'not-ready': {
    meaning: 'The plugin is starting, waiting or failed.',
    remedy: '"sftpgo-ts plugin status" says which, and why.',
  },
  deadline: {
    meaning: 'The plugin did not answer in time.',
    remedy: 'Look at what it waits for; call_timeout of the entry is the limit.',
  },
  cancelled: { meaning: 'Nobody waited for the answer any more.', remedy: 'Nothing: the client left.' },
  overloaded: {
    meaning: 'More questions wait for the plugin than limits.queue allows.',
    remedy: 'Make the plugin faster, or raise limits.calls.',
  },
  'malformed-reply': {
    meaning: 'The answer of the plugin cannot be understood.',
    remedy: 'Run "sftpgo-ts plugin test" on it and report it to its makers.',
  },
  'too-large': {
    meaning: 'The answer of the plugin is larger than allowed.',
    remedy: 'Report it to its makers.',
  },
  refused: {
    meaning: 'The plugin refused where no refusal is meant.',
    remedy: 'Look at the log of the plugin.',
  },
  'refused-or-failed': {
    meaning: 'The plugin answered with status UNKNOWN, which says neither no nor broken.',
    remedy: 'Its text is in the log; who knows the plugin sets unknown_status of the entry.',
  },
  failed: { meaning: 'The plugin reported a failure of its own.', remedy: 'Look at the log of the plugin.' },
  unimplemented: {
    meaning: 'The plugin does not know this question.',
    remedy: 'Ask it less (auth_options.scope, the lists of notifier_options), or update it.',
  },
}

const configErrors: Readonly<Record<ConfigErrorCode, ErrorRow>> = {
  'file-unreadable': {
    meaning: 'A file that is needed cannot be read.',
    remedy: 'Look at its path, owner and mode. "sftpgo-ts init" writes a configuration.',
  },
  syntax: {
    meaning: 'The file is not JSON (comments and trailing commas are allowed).',
    remedy: 'The message names line and column.',
  },
  'unknown-key': {
    meaning: 'There is no such setting.',
    remedy: 'The message names the nearest one; docs/settings.md lists them all.',
  },
  'unsupported-key': {
    meaning: 'SFTPGo has this setting, this server does not.',
    remedy: 'Remove it, or set it to what switches it off; docs/compatibility.md says what takes its place.',
  },
  'wrong-type': {
    meaning: 'A setting has another kind of value.',
    remedy: 'The message says what is expected.',
  },
  'out-of-range': {
    meaning: 'A setting has a value that it may not have.',
    remedy: 'The message says what is expected.',
  },
  'missing-key': {
    meaning: 'A setting without a default is missing.',
    remedy: 'Add it; docs/settings.md and the schema say what it may hold.',
  },
  conflict: { meaning: 'Two settings contradict each other.', remedy: 'The message names both.' },
  unsafe: {
    meaning: 'The setting would give up a protection.',
    remedy: 'The message names the setting by which you say that you know.',
  },
  'state-in-use': {
    meaning: 'Another server holds the state folder.',
    remedy: 'Stop the process that the message names, or give this one another state_dir.',
  },
  'address-in-use': {
    meaning: 'Another program listens on the port.',
    remedy: 'Choose another port in sftpd.bindings; "sftpgo-ts doctor" says which are taken.',
  },
  'unsupported-platform': {
    meaning: 'This server does not run on Windows.',
    remedy: 'Run it on Linux, on macOS, or inside WSL.',
  },
}

const packageErrors: Readonly<Record<PackageErrorCode, ErrorRow>> = {
  'name-invalid': {
    meaning: 'The name is not one that a package may have.',
    remedy: 'Names are lower case letters, digits and dashes; archives are NAME-VERSION-OS-ARCH.tgz.',
  },
  'manifest-invalid': {
    meaning: 'The plugin.json of the package cannot be used.',
    remedy: 'The message names the key; docs/plugins shows a whole one.',
  },
  'too-large': {
    meaning: 'The archive holds more bytes or more files than are taken.',
    remedy:
      'Pack only what the plugin needs: 64 MiB packed, 512 MiB unpacked, 2,000 files, or what plugin_host.package_limits says.',
  },
  'not-an-archive': {
    meaning: 'The file is not a gzip-compressed tar archive.',
    remedy: 'Pack it with "sftpgo-ts plugin pack".',
  },
  'unsafe-path': {
    meaning: 'A name in the archive leads out of its folder.',
    remedy: 'Do not use this archive; tell whoever gave it to you.',
  },
  'link-inside': {
    meaning: 'The archive holds a link or a device.',
    remedy: 'Pack plain files; do not use an archive of a stranger that holds links.',
  },
  'digest-mismatch': {
    meaning: 'The bytes are not those that were promised.',
    remedy: 'Fetch it again; if it stays so, do not use it and tell its makers.',
  },
  'bad-signature': {
    meaning: 'The index of the catalog is not signed by the key that you trust.',
    remedy: 'Do not use it; ask the owner of the catalog whether the key was changed.',
  },
  'version-exists': {
    meaning: 'This version is stored or published already, with other bytes.',
    remedy: 'Raise the version.',
  },
  'wrong-slot': {
    meaning: 'The plugin fills another slot than the entry says.',
    remedy: 'Correct type of the entry.',
  },
  'no-such-platform': {
    meaning: 'The package has nothing for this operating system and processor.',
    remedy: 'Ask its makers, or pack it yourself.',
  },
  incompatible: {
    meaning: 'The plugin needs another version of this server.',
    remedy: 'Take another version of the plugin, or update the server.',
  },
  revoked: {
    meaning: 'This version was withdrawn by the catalog.',
    remedy: 'Take another version; the message says why.',
  },
  'not-found': {
    meaning: 'No catalog has such a package.',
    remedy: '"sftpgo-ts catalog search" lists what there is.',
  },
  ambiguous: {
    meaning: 'Two catalogs have a package of this name.',
    remedy: 'Name the catalog too: CATALOG/NAME.',
  },
  unreachable: { meaning: 'A catalog cannot be reached.', remedy: 'Look at its address and at the network.' },
  'stale-index': {
    meaning: 'The index of the catalog is older than one seen before, or has expired.',
    remedy: 'Ask the owner of the catalog to publish again.',
  },
  'not-locked': {
    meaning: 'The lock file does not name this plugin; nothing else is started or fetched while serving.',
    remedy: 'Run "sftpgo-ts plugin install".',
  },
  'in-use': {
    meaning: 'An entry of the configuration uses this package, or the folder holds something already.',
    remedy: 'Disable the entry first; give a folder that is empty or missing.',
  },
}

const secretErrors: Readonly<Record<SecretErrorCode, ErrorRow>> = {
  'keeper-missing': {
    meaning: 'The secret was sealed by a keeper that is not configured.',
    remedy:
      'Configure the kms plugin whose scheme or status the message names; only what needs this secret is held up.',
  },
  'keeper-unavailable': {
    meaning: 'The keeper is configured but cannot be asked right now.',
    remedy: 'Look at "sftpgo-ts plugin status" and at the key service behind the plugin.',
  },
  'keeper-refused': {
    meaning:
      'The keeper answered that it will not, or gave back something else: a key deleted or forbidden at its provider.',
    remedy: 'Look at the key at its provider; the log of the plugin has its own words.',
  },
  'wrong-key': {
    meaning: 'The secret does not open with the master key and the owner that it is tried with.',
    remedy: 'Give the master key that it was sealed with; a secret moved to another user never opens.',
  },
  malformed: {
    meaning: 'What is stored cannot be a sealed secret.',
    remedy: 'Set the secret again.',
  },
}

/** Every error code there is. The compiler asks for a row when a code is added. */
export const errorCatalogue: readonly CataloguedError[] = [
  ...rows('FileError', fileErrors),
  ...rows('PluginError', pluginErrors),
  ...rows('ConfigError', configErrors),
  ...rows('PackageError', packageErrors),
  ...rows('SecretError', secretErrors),
]

function rows(kind: CataloguedError['kind'], table: Readonly<Record<string, ErrorRow>>): CataloguedError[] {
  return Object.entries(table).map(([code, row]) => ({ code, kind, ...row }))
}
