#!/usr/bin/env bash
# Builds the container from the packed package in a folder of its own, starts it, waits for its SSH banner, stops it.
set -euo pipefail
cd "$(dirname "$0")/.."
context=$(mktemp -d)
trap 'docker rm -f "sftpgo-ts-ci-$$" >/dev/null 2>&1 || true; rm -rf "$context"' EXIT
npm pack --silent --pack-destination "$context"
image=$(docker build -q -f contrib/Containerfile "$context")
docker run -d --name "sftpgo-ts-ci-$$" -p 127.0.0.1::2022 "$image" >/dev/null
port=$(docker port "sftpgo-ts-ci-$$" 2022 | head -1 | sed 's/.*://')
for _ in $(seq 60); do
  banner=$(timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && head -c 8 <&3" 2>/dev/null || true)
  [ "$banner" = SSH-2.0- ] && break
  sleep 1
done
[ "$banner" = SSH-2.0- ] || { docker logs "sftpgo-ts-ci-$$"; exit 1; }
[ "$(docker exec "sftpgo-ts-ci-$$" id -u)" = 65534 ]
docker stop -t 20 "sftpgo-ts-ci-$$" >/dev/null
[ "$(docker inspect -f '{{.State.ExitCode}}' "sftpgo-ts-ci-$$")" = 0 ]
