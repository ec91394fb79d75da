/** Whether a file of this name runs what its arguments name: its own bytes then say nothing about what happens. */
export function isInterpreterName(name: string): boolean {
  return interpreters.test(name)
}

const names = [
  'node nodejs bun deno tsx ts-node npx npm pnpm yarn python pypy uv ruby raku perl php lua luajit java dotnet mono',
  'sh bash dash zsh ksh fish busybox pwsh tclsh wish expect rscript guile racket julia elixir erl escript awk gawk mawk',
  // What starts another program: the loader itself, and those that do it otherwise, elsewhere or as somebody else.
  'ld-linux.* ld-musl.* ld\\.so env nice ionice chrt taskset timeout nohup setsid stdbuf xargs find make prlimit setpriv',
  'sudo su runuser chroot unshare nsenter bwrap systemd-run strace ltrace gdb',
].join(' ')

const interpreters = new RegExp(`^(?:${names.replaceAll(' ', '|')})[0-9.]*m?(?:\\.exe)?$`, 'i')
