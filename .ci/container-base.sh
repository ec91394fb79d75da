#!/usr/bin/env bash
# Makes the base image of contrib/Containerfile of this machine's own files, for a builder that reaches no image
# registry: a shell, the tools that the file names, Node and npm, each with the libraries that it needs; ldd tells npm
# which C library there is.
# Arguments: the name of the image, a folder with Node's executable; then what stands before every builder command.
set -euo pipefail
name=$1 node=$2
shift 2
builder=("$@")
npm=$(dirname "$(dirname "$(realpath "$(command -v npm)")")")
container=$("${builder[@]}" from scratch)
root=$("${builder[@]}" mount "$container")
mkdir -p "$root"/{usr/bin,usr/lib,usr/lib64,usr/local/bin,usr/local/lib/node_modules,etc,tmp,root,proc,dev,sys,run,var/tmp}
chmod 1777 "$root/tmp" "$root/var/tmp"
for link in bin lib lib64; do ln -s "usr/$link" "$root/$link"; done
ln -s bin "$root/usr/sbin" && ln -s usr/bin "$root/sbin"
tools=$(for tool in sh env mkdir chown rm id ldd; do command -v "$tool"; done)
cp -L $tools "$root/usr/bin/"
cp -L "$node/node" "$root/usr/local/bin/node"
{
  for program in $tools "$node/node"; do ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true; done
  # Prebuilt parts of libraries want what every Debian has.
  dpkg -L libc6 libgcc-s1 libstdc++6 | grep '^/lib.*\.so\|^/usr/lib.*\.so'
} | sort -u | while read -r library; do
  [ -f "$library" ] && mkdir -p "$root$(dirname "$library")" && cp -nL "$library" "$root$library"
done
cp -a "$npm" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
for file in resolv.conf hosts nsswitch.conf ssl/certs/ca-certificates.crt; do
  [ -e "/etc/$file" ] && mkdir -p "$root/etc/$(dirname "$file")" && cp -L "/etc/$file" "$root/etc/$file"
done
"${builder[@]}" umount "$container" >/dev/null
"${builder[@]}" config --env PATH=/usr/local/bin:/usr/bin:/bin \
  --env "npm_config_registry=$(npm config get registry)" --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$container"
"${builder[@]}" commit -q --rm "$container" "$name" >/dev/null
