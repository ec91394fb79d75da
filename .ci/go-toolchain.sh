#!/usr/bin/env bash
# Sourced by .ci/run: puts a Go that is new enough for the plugins of the tests first in PATH. Debian's own may be older;
# Go's module system brings newer ones, checked against its checksum database, to every Go.

go_toolchain() {
  local wanted=1.24.13 here module folder
  here=$(go env GOVERSION 2>/dev/null | tr -d 'go')
  if [ "$(printf '%s\n1.24\n' "${here:-0}" | sort -V | head -1)" = 1.24 ]; then return 0; fi
  module=golang.org/toolchain@v0.0.1-go$wanted.$(go env GOOS)-$(go env GOARCH)
  folder=$(mktemp -d)
  # A Go of before 1.21 downloads a module only inside of one.
  printf 'module toolchain\n\ngo 1.18\n' >"$folder/go.mod"
  (cd "$folder" && GOFLAGS=-mod=mod go mod download "$module") || { rm -rf "$folder"; return 1; }
  rm -rf "$folder"
  folder=$(go env GOMODCACHE)/$module
  # Modules are unpacked without the right to run anything.
  chmod -R u+w "$folder" && chmod u+x "$folder"/bin/* "$folder"/pkg/tool/*/* || return 1
  export PATH="$folder/bin:$PATH"
}
