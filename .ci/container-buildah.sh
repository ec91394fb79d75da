#!/usr/bin/env bash
# As container.sh, where no container engine runs but buildah is there (as root): the base image is made of this
# machine's own files, the steps of contrib/Containerfile run as they stand, and so does its command.
set -euo pipefail
cd "$(dirname "$0")/.."
context=$(mktemp -d)
export BUILDAH_ISOLATION=chroot
builder=(buildah --root "$context/root" --runroot "$context/run" --storage-driver vfs
  --registries-conf "$context/registries.conf")
clean() {
  [ -z "${server:-}" ] || kill -KILL "$server" 2>/dev/null || true
  "${builder[@]}" rm -a >/dev/null 2>&1 || true
  rm -rf --one-file-system "$context"
}
trap clean EXIT
echo 'unqualified-search-registries = []' >"$context/registries.conf"
base=$(sed -n 's/^FROM //p' contrib/Containerfile)
.ci/container-base.sh "localhost/$base" "$(dirname "$(node -p process.execPath)")" "${builder[@]}"
mkdir "$context/files"
npm pack --silent --pack-destination "$context/files" >/dev/null
"${builder[@]}" build -q --pull-never -f contrib/Containerfile -t sftpgo-ts "$context/files" >/dev/null
# The network is the machine's: a port of its own.
port=$(node -e 's = require("node:net").createServer().listen(0, () => { console.log(s.address().port); s.close() })')
container=$("${builder[@]}" from --pull-never sftpgo-ts)
"${builder[@]}" config --env "SFTPGO_SFTPD__BINDINGS__0__PORT=$port" "$container"
mapfile -t command < <("${builder[@]}" inspect -t image --format '{{range .OCIv1.Config.Cmd}}{{println .}}{{end}}' sftpgo-ts)
"${builder[@]}" run "$container" -- "${command[@]}" >"$context/log" 2>&1 &
run=$!
for _ in $(seq 60); do
  # The first screen comes when everything stands.
  grep -q Ctrl-C "$context/log" 2>/dev/null && break
  kill -0 "$run" 2>/dev/null || break
  sleep 1
done
banner=$(timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && head -c 8 <&3" 2>/dev/null || true)
[ "$banner" = SSH-2.0- ] || { cat "$context/log"; exit 1; }
server=$(ss -Hltnp "sport = :$port" | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -1)
[ "$(stat -c %u "/proc/$server")" = 65534 ]
kill -TERM "$server"
wait "$run" || { cat "$context/log"; exit 1; }
server=''
