/** Whether a file of this name runs what its arguments name: its own bytes then say nothing about what happens. */
export function isInterpreterName(name: string): boolean {
  return interpreters.test(name)
}

const interpreters = new RegExp(
  `^(?:${[
    ...['node', 'nodejs', 'bun', 'deno', 'python', 'pypy', 'ruby', 'perl', 'php', 'lua', 'luajit', 'java'],
    ...['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'busybox', 'env', 'tclsh', 'rscript', 'dotnet', 'mono'],
    ...['guile', 'racket', 'julia', 'elixir', 'erl', 'escript', 'tsx', 'ts-node', 'npx'],
    ...['nice', 'setpriv', 'sudo'],
  ].join('|')})[0-9.]*m?(?:\\.exe)?$`,
  'i',
)
