#!/bin/bash
# Usage: man_test.sh PROGRAM PAGE
# The page has every option that PROGRAM --help prints, and no other.
set -eu

options() { grep -oE -- '--[a-z][a-z-]*' | sort -u; }

help=$("./$1" --help | options)
page=$(sed 's/\\-/-/g' "$2" | options)
if ! diff <(echo "$help") <(echo "$page") >/dev/null; then
  echo "only in $1 --help:" "$(comm -23 <(echo "$help") <(echo "$page"))"
  echo "only in $2:" "$(comm -13 <(echo "$help") <(echo "$page"))"
  exit 1
fi
