#!/bin/sh
# Usage: golden_test.sh PROGRAM GOLDEN EXIT_CODE [ARGUMENT...] [--update]
# Runs PROGRAM with the ARGUMENTs; its standard output must be the text of GOLDEN. With
# --update as the last argument (bazel run //package:name -- --update) it writes GOLDEN.
set -u

program=$1 golden=$2 want=$3
shift 3

# Bazel puts what the caller adds behind the arguments of the BUILD file.
update=no
count=$#
while [ "$count" -gt 0 ]; do
  argument=$1
  shift
  count=$((count - 1))
  if [ "$count" -eq 0 ] && [ "$argument" = --update ]; then
    update=yes
  else
    set -- "$@" "$argument"
  fi
done

output=$(mktemp "${TEST_TMPDIR:-/tmp}/golden.XXXXXX") || exit 1
trap 'rm -f "$output"' EXIT
"./${program#./}" "$@" >"$output"
got=$?
if [ "$got" -ne "$want" ]; then
  cat "$output"
  echo "run $program: exit code $got, expected $want" >&2
  exit 1
fi
if [ "$update" = yes ]; then
  if [ -z "${BUILD_WORKSPACE_DIRECTORY:-}" ]; then
    echo "--update works under bazel run only" >&2
    exit 1
  fi
  cat "$output" >"$BUILD_WORKSPACE_DIRECTORY/$golden"
  echo "wrote $golden"
  exit 0
fi
if ! diff -u --label "$golden" "$golden" --label output "$output"; then
  echo "output differs from $golden; if that is right: bazel run ${TEST_TARGET:-TARGET} -- --update" >&2
  exit 1
fi
