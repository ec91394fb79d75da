#!/usr/bin/env bash
# Sourced by .ci/run: Python programs that Debian has too old or not at all, in two environments that are kept between
# runs. They are made anew when this file or the Python changes.
#
#   SFTPGO_TS_TEST_PYTHON  a Python with grpcio, for plugins in Python
#   ASYNCSSH_PYTHON        a Python with asyncssh 2.21 or newer, which knows the post-quantum exchange
#   SSH_AUDIT, SSH_AUDIT_3_3   the newest ssh-audit, and the one that most people have

python_tools() {
  local version here
  version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  here="${XDG_CACHE_HOME:-$HOME/.cache}/sftpgo-ts/python-$version-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-12)"
  if [ ! -e "$here/complete" ]; then
    rm -rf "$here"
    python3 -m venv "$here/newest" &&
      "$here/newest/bin/pip" install -q --disable-pip-version-check grpcio protobuf cryptography 'asyncssh>=2.21' ssh-audit &&
      python3 -m venv "$here/ssh-audit-3.3" &&
      "$here/ssh-audit-3.3/bin/pip" install -q --disable-pip-version-check 'ssh-audit==3.3.0' &&
      touch "$here/complete" || return 1
  fi
  export SFTPGO_TS_TEST_PYTHON="$here/newest/bin/python"
  export ASYNCSSH_PYTHON="$here/newest/bin/python"
  export SSH_AUDIT="$here/newest/bin/ssh-audit"
  export SSH_AUDIT_3_3="$here/ssh-audit-3.3/bin/ssh-audit"
}
