# shellcheck shell=bash
# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by ./test and .ci/run: `need_packages` installs the Debian packages that the tests need and that are missing.

# command that must exist : Debian package that has it
NEEDED=(
  chromium:chromium shellcheck:shellcheck git:git openssl:openssl
  redis-server:redis-server rabbitmqctl:rabbitmq-server epmd:erlang-base
  java:default-jre-headless mvn:maven pg_lsclusters:postgresql mariadbd:mariadb-server setpriv:util-linux
  promtool:prometheus
)

missing_packages() {
  local pair
  for pair in "${NEEDED[@]}"; do
    command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair##*:}"
  done
}

need_packages() {
  local missing=()
  local package
  # Not mapfile: macOS has bash 3.2.
  while read -r package; do missing+=("$package"); done < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]} with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # As in runlevel 1: the servers are installed, not started; tests start their own on free ports.
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    return
  fi
  local line="sudo apt-get install -y ${missing[*]}"
  [ -z "${CI:-}" ] || die "these are missing, and a missing service is a failure here: $line"
  say "some tests will be skipped. To run them all: $line   (macOS: brew install ${missing[*]})"
}
