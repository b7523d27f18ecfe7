"""The emulator: the system's QEMU if it is new enough, else a newer one of Debian's in the cache."""

import os
import re
import shutil
import subprocess

from vm_lib import debian

NAME = "qemu-system-x86_64"
# QEMU 7.2 (Debian 12) emulates CMPXCHG16B with wrong flags, and so now and then crashes any kernel that allocates memory; and
# without that instruction kernels from 6.18 on have no memory for socket storage. The libraries are those of Debian 12's own.
_OLDEST_GOOD = 8
_PACKAGES = ("qemu-system-x86", "qemu-system-data")
_SUITES = ("bookworm-backports",)
_FIRMWARE = "/usr/share/seabios"


def command(say):
    """The beginning of QEMU's command line; fetches one that is good enough if need be."""
    own = shutil.which(NAME)
    if own is None:
        raise debian.PackageError(f"start machine: {NAME} is not installed, want qemu-system-x86")
    shown = debian.run("ask QEMU for its version", [own, "--version"])
    version = re.search(r"version (\d+)", shown)
    if version and int(version.group(1)) >= _OLDEST_GOOD:
        return [own]
    directory = os.path.join(debian.cache_directory(), "qemu")
    with debian.locked(directory):
        binary = os.path.join(directory, NAME)
        if not os.path.exists(binary):
            debian.fetch("QEMU", _SUITES, directory, say, lambda apt, suite: _install(apt, suite, directory, say))
    return [binary, "-L", directory, "-L", _FIRMWARE]


def _install(apt, suite, directory, say):
    say(f"QEMU: fetching {apt.version(_PACKAGES[0])} from {suite}")
    found = None
    for package in apt.download(_PACKAGES):
        for path, read in debian.members(package):
            if path == f"usr/bin/{NAME}":
                found = read()
            elif re.fullmatch(r"usr/share/qemu/[\w-]+\.bin", path):
                debian.write_atomically(os.path.join(directory, os.path.basename(path)), read())
    if found is None:
        raise debian.PackageError(f"unpack QEMU: no {NAME}")
    trial = os.path.join(directory, ".trial")
    debian.write_atomically(trial, found, 0o755)
    shown = subprocess.run([trial, "--version"], capture_output=True, text=True, check=False)
    if shown.returncode != 0:
        raise debian.PackageError(f"start fetched QEMU: {shown.stderr.strip()}")
    # Last, as its name makes it valid.
    os.rename(trial, os.path.join(directory, NAME))
