# shellcheck shell=bash
# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by ./run, ./test and .ci/run: `find_uv` makes the function `uv` work, getting uv with pip if it is missing.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# The newest of the supported Pythons that is installed; nothing if there is none.
find_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3 python; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      printf '%s\n' "$name"
      return
    fi
  done
}

UV=""

uv() { "$UV" "$@"; }

usable() { [ -n "$1" ] && [ -x "$1" ] && "$1" --version >/dev/null 2>&1; }

find_uv() {
  local python candidate
  for candidate in "$(type -P uv || true)" .uv/bin/uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
    if usable "$candidate"; then
      UV=$candidate
      return
    fi
  done
  python=$(find_python)
  [ -n "$python" ] || die "needs Python 3.11, 3.12 or 3.13: apt-get install python3   (macOS: brew install python@3.12)"
  say "uv is missing; getting it with pip into .uv (only here; delete the folder to undo)"
  install_uv "$python" || die "could not get uv. Type this and start again: curl -LsSf https://astral.sh/uv/install.sh | sh"
}

# A virtual environment of its own where Debian's python3-venv is installed, else a plain folder; both leave the system's
# and the user's packages alone, which also is what an externally managed Python asks for.
install_uv() {
  rm -rf .uv
  trap '[ ! -d .uv ] || echo "*" >.uv/.gitignore' RETURN
  if "$1" -m venv .uv 2>/dev/null && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv; then
    UV=.uv/bin/uv
    return
  fi
  rm -rf .uv
  if "$1" -m pip --version >/dev/null 2>&1; then
    "$1" -m pip install --quiet --disable-pip-version-check --target .uv/packages uv || return
    mkdir -p .uv/bin
    ln -sf ../packages/bin/uv .uv/bin/uv
    UV=.uv/bin/uv
    usable "$UV"
    return
  fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Python has neither venv nor pip; installing python3-venv with apt-get"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null || return
    "$1" -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv || return
    UV=.uv/bin/uv
    return
  fi
  die "Python has neither venv nor pip. Type this and start again: sudo apt-get install -y python3-venv"
}
