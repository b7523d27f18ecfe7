"""Guest images: a cpio archive (newc, uncompressed) the kernel unpacks as its root.

Archives are concatenated by the kernel, so an image is a cached part per kernel (busybox, modules) followed by a part per run
(the test binaries, their libraries and data).
"""

import io
import os
import re
import shutil
import stat
import subprocess

_TRAILER = "TRAILER!!!"


class ImageError(Exception):
    """A file the image needs is not there or cannot be used."""


class Image:
    """Collects files by guest path; the later entry for a path wins. Parents are made as needed."""

    def __init__(self):
        # guest path without leading slash -> (mode, device, source); the source is a host path (str), content (bytes) or None.
        self._entries = {}

    def _put(self, guest, mode, source=None, device=(0, 0)):
        guest = os.path.normpath(guest).strip("/")
        if guest in ("", "."):
            return
        parent = os.path.dirname(guest)
        while parent and parent not in self._entries:
            self._entries[parent] = (stat.S_IFDIR | 0o755, (0, 0), None)
            parent = os.path.dirname(parent)
        self._entries[guest] = (mode, device, source)

    def directory(self, guest, mode=0o755):
        self._put(guest, stat.S_IFDIR | mode)

    def content(self, guest, data, mode=0o644):
        self._put(guest, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def file(self, guest, host, mode=None):
        if mode is None:
            mode = 0o755 if os.access(host, os.X_OK) else 0o644
        self._put(guest, stat.S_IFREG | mode, os.path.abspath(host))

    def link(self, guest, target):
        self._put(guest, stat.S_IFLNK | 0o777, target.encode())

    def device(self, guest, major, minor, mode=0o666):
        self._put(guest, stat.S_IFCHR | mode, device=(major, minor))

    def has(self, guest):
        return os.path.normpath(guest).strip("/") in self._entries

    def tree(self, guest, host):
        """Copies a file or a directory; a symbolic link becomes what it points at, once, at its own path, and a link to it."""
        if os.path.islink(host) and os.path.isdir(host):
            host = os.path.realpath(host)
        if not os.path.isdir(host):
            real = os.path.realpath(host)
            if not os.path.exists(real):
                raise ImageError(f"copy {host}: no such file")
            if real != os.path.abspath(guest):
                self.file(real, real)
                self.link(guest, real)
            else:
                self.file(guest, real)
            return
        self.directory(guest)
        for name in sorted(os.listdir(host)):
            self.tree(os.path.join(guest, name), os.path.join(host, name))

    def program(self, host):
        """Copies a program and its libraries to their own paths, so that $ORIGIN finds them; returns its path in the guest."""
        real = os.path.realpath(host)
        if not os.path.isfile(real):
            raise ImageError(f"copy {host}: no such file")
        self.file(real, real, 0o755)
        for library in libraries(real):
            self.file(os.path.normpath(library), os.path.realpath(library))
        if runfiles(host):
            self.tree(real + ".runfiles", runfiles(host))
        return real

    def write(self, out):
        """Writes the archive; `out` is a binary file object."""
        inode = 0
        for guest in sorted(self._entries):
            inode += 1
            mode, device, source = self._entries[guest]
            if isinstance(source, str):
                with open(source, "rb") as host:
                    size = os.fstat(host.fileno()).st_size
                    _header(out, guest, inode, mode, size, device)
                    shutil.copyfileobj(host, out, 1 << 20)
            else:
                size = len(source or b"")
                _header(out, guest, inode, mode, size, device)
                out.write(source or b"")
            out.write(b"\0" * (-size % 4))
        _header(out, _TRAILER, 0, 0, 0, (0, 0))

    def bytes(self):
        out = io.BytesIO()
        self.write(out)
        return out.getvalue()


def _header(out, name, inode, mode, size, device):
    # Linux Documentation/driver-api/early-userspace/buffer-format.rst: 13 fields of 8 hex digits, name and data padded to 4.
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, size, 0, 0, device[0], device[1], len(encoded), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    out.write(header + b"\0" * (-len(header) % 4))


def runfiles(program):
    """The directory of data files that Bazel lays beside a program, or None."""
    for path in (os.path.abspath(program), os.path.realpath(program)):
        if os.path.isdir(path + ".runfiles"):
            return path + ".runfiles"
    return None


def libraries(program):
    """The libraries a program loads at start, by the path the loader uses; none for a static program or a script."""
    with open(program, "rb") as binary:
        if binary.read(4) != b"\x7fELF":
            return []
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    if listed.returncode != 0:
        if "not a dynamic executable" in listed.stderr + listed.stdout or "statically linked" in listed.stdout:
            return []
        raise ImageError(f"list libraries of {program}: {listed.stderr.strip()}")
    found = []
    for line in listed.stdout.splitlines():
        if "not found" in line:
            raise ImageError(f"list libraries of {program}: {line.strip()}")
        found += re.findall(r"(/\S+) \(0x", line)
    return found
