#!/bin/bash
# Usage: demo_test.sh NETD NDC
# tools/demo comes out as it says, and leaves nothing behind.
set -u

# Says so to tools/test, too.
skip() {
  echo "skipped: $1"
  cat >"${XML_OUTPUT_FILE:-/dev/null}" <<END
<testsuites><testsuite name="Demo" tests="1"><testcase name="ComesOutAsItSays" classname="Demo">
<skipped message="$1"/></testcase></testsuite></testsuites>
END
  exit 0
}

((EUID == 0)) || skip "needs root"

left() { compgen -G '/tmp/netpolicy-demo.*' || compgen -G "$cgroups/netpolicy-demo.*"; }

cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
if left >/dev/null; then skip "another demo is running, or was killed"; fi
tools/demo --programs "$1" "$2" || exit 1
if left; then
  echo "left behind"
  exit 1
fi
