"""What in a kernel log means that a test broke the kernel."""

import re

# Lines the runner writes to the log: what happens before the first is the boot, which is not the tests' doing.
MARK = "netpolicy-vm: "

_FAULTS = re.compile(
    r"\bWARNING: "  # WARN_ON, lockdep
    r"|\bBUG: "  # bad accesses, sleeping in atomic context, soft lockups
    r"|\bkernel BUG at "
    r"|\bOops\b"
    r"|\bgeneral protection fault\b"
    r"|\bKernel panic\b"
    r"|\bhw csum failure\b"
    r"|\brcu\b.*\bstall"
    r"|\brefcount_t: "
    r"|\bUBSAN: "
    r"|\bINFO: task .* blocked for more than\b"
    r"|\bINFO: (possible|suspicious|inconsistent)\b"
    r"|\bunregister_netdevice: waiting for\b"
    r"|\blist_(add|del) corruption\b"
    r"|\bOut of memory: "
)
_FATAL = re.compile(r"\bkernel BUG at |\bOops\b|\bKernel panic\b|\bBUG: ")


def faults(log):
    """[(what ran, line)] of the lines that tell of a fault; `what ran` is the last mark before it, "" during the boot.

    During the boot only what stops a kernel counts.
    """
    found = []
    running = ""
    for line in log.splitlines():
        mark = line.find(MARK)
        if mark >= 0:
            running = line[mark + len(MARK):].strip()
        elif (_FAULTS if running else _FATAL).search(line):
            found.append((running, line.strip()))
    return found
