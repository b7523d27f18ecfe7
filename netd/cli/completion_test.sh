#!/bin/bash
# Usage: completion_test.sh NDC
# What bash offers at the cursor, by the script that `ndc completion bash` prints.
set -u

ndc=$PWD/$1
# shellcheck disable=SC1090
. <("$ndc" completion bash) || exit 1
failures=0

# expect WANTED WORD...: the cursor is at the end of the last WORD; WANTED is what
# is offered, sorted.
expect() {
  local wanted=$1 got
  shift
  COMP_WORDS=("$ndc" "$@")
  COMP_CWORD=$#
  _ndc
  got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
  got=${got% }
  if [[ $got != "$wanted" ]]; then
    echo "after '$*': offered '$got', expected '$wanted'"
    failures=$((failures + 1))
  fi
}

expect "stats status" sta
expect "add add-uid" chain ad
expect "disable" --json chain di
expect "list" --socket /some/where chain l
expect "--type" chain add x --ty
expect "allowlist denylist" chain add x --type ""
expect "denylist" chain add x --type d
expect "in" explain --uid 5 --dir in
expect "off on" default internet o
expect "allow" default rule a
expect "root" uid deny roo
expect "root" explain --uid roo
expect "--dry-run" apply /some/file --dr
expect "lo" explain --iface lo
expect "bash" completion ""
expect "in" quota set global limit 5G --dir i
expect "global" quota set gl
expect "daily" quota set global limit 5G --period d
expect "remove reset" quota re
expect "" nonsense x
expect "" uid deny 5 --expect-generation ""

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory" && touch policy.json other.txt
expect "policy.json" apply pol

exit "$((failures > 0))"
