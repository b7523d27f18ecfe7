"""Debian's kernels: which there are, a cache of them, and of each the part of a guest's image that depends on it."""

import contextlib
import dataclasses
import hashlib
import io
import os
import re
import shutil

from vm_lib import debian
from vm_lib import image
from vm_lib import modules

# Key -> (what its version must begin with, suites that have it; the first that answers is used, so small lists come first).
KERNELS = {
    "5.10": (r"5\.10\.", ("bullseye-security", "bullseye")),
    "6.1": (r"6\.1\.", ("bookworm-security", "bookworm")),
    "6.12": (r"6\.12\.", ("bookworm-backports", "trixie-security", "trixie")),
    "newest": (r"([7-9]|\d\d)\.", ("trixie-backports", "sid")),
}
# The flavour without drivers for real hardware: a third of the size, and all the networking.
PACKAGE = "linux-image-cloud-amd64"
MODULE_LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "modules.list")
@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel in the cache: `key` as in KERNELS, Debian's `version`, `release` as uname says it, and two files."""

    key: str
    version: str
    release: str
    vmlinuz: str
    base_image: str


def cache_directory():
    return os.path.join(debian.cache_directory(), "kernels")


def cached_version(key):
    """Debian's version of the cached kernel, or None."""
    directory = os.path.join(cache_directory(), key)
    with contextlib.suppress(OSError):
        with open(os.path.join(directory, "version"), encoding="utf-8") as text:
            version = text.read().split()[0]
        if os.path.exists(os.path.join(directory, version, "vmlinuz")):
            return version
    return None


def get(key, say, update=False):
    """The kernel `key`, fetched when it is not in the cache (or `update` asks for the newest version of it).

    Safe beside other runs: one of them fetches, the rest wait. `say(text)` is told what takes time.
    """
    if key not in KERNELS:
        raise debian.PackageError(f"find kernel {key}: unknown, want one of {', '.join(KERNELS)}")
    directory = os.path.join(cache_directory(), key)
    with debian.locked(directory):
        version = None if update else cached_version(key)
        if version is None:
            version = _fetch(key, directory, say)
        with open(os.path.join(directory, "version"), encoding="utf-8") as text:
            version, release = text.read().split()
        home = os.path.join(directory, version)
        return Kernel(key, version, release, os.path.join(home, "vmlinuz"), _base_image(home, release))


def _packages(apt, package):
    """The packages that hold the kernel and its modules: newer Debian splits them below linux-image-*."""
    found, queue = [], [name for name, _ in apt.depends(package)]
    while queue:
        name = queue.pop()
        if name not in found and re.match(r"linux-(image|binary|modules)-\d", name):
            found.append(name)
            queue += [needed for needed, _ in apt.depends(name)]
    return found


def _fetch(key, directory, say):
    pattern, suites = KERNELS[key]

    def use(apt, suite):
        version = apt.version(PACKAGE)
        if not re.match(pattern, version):
            raise debian.PackageError(f"{PACKAGE} is {version}")
        if version == cached_version(key):
            say(f"kernel {key}: {version} is the newest")
        else:
            say(f"kernel {key}: fetching {version} from {suite}")
            _install(directory, version, apt.download(_packages(apt, PACKAGE)))
        return version

    return debian.fetch(f"kernel {key}", suites, directory, say, use)


def _install(directory, version, packages):
    """Puts a kernel and its packages in the cache as directory/version, then makes it the current one.

    The one before it stays, for the runs that use it now; older ones go.
    """
    home = os.path.join(directory, version)
    shutil.rmtree(home, ignore_errors=True)
    for name in os.listdir(directory):
        if not name.startswith(".") and name not in ("version", cached_version(os.path.basename(directory))):
            shutil.rmtree(os.path.join(directory, name))
    os.mkdir(home)
    release = None
    for package in packages:
        for path, read in debian.members(package):
            match = re.fullmatch(r"boot/(?P<name>vmlinuz|config)-(?P<release>.+)", path)
            match = match or re.fullmatch(r"(usr/)?lib/modules/(?P<release>[^/]+)/(?P<name>vmlinuz|config)", path)
            if match:
                release = match["release"]
                with open(os.path.join(home, match["name"]), "wb") as out:
                    out.write(read())
        shutil.move(package, home)
    if not os.path.exists(os.path.join(home, "vmlinuz")):
        raise debian.PackageError(f"unpack {version}: no kernel in {', '.join(os.path.basename(p) for p in packages)}")
    debian.write_atomically(os.path.join(directory, "version"), f"{version} {release}\n".encode())


def _base_image(directory, release):
    """The cached image of busybox and the wanted modules; made again when the list of them or busybox changes."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise debian.PackageError("build guest image: busybox is not installed, want busybox-static")
    if image.libraries(busybox):
        raise debian.PackageError(f"build guest image: {busybox} is not static, want busybox-static")
    digest = hashlib.sha256()
    for name in (MODULE_LIST, busybox, modules.__file__, image.__file__, __file__):
        with open(name, "rb") as part:
            digest.update(part.read())
    path = os.path.join(directory, f"base-{digest.hexdigest()[:16]}.cpio")
    if os.path.exists(path):
        os.utime(path)
        return path
    debian.write_atomically(path, _build_base(directory, release, busybox))
    # Trees of different commits share the cache: keep the images of the last few.
    images = sorted((os.path.join(directory, name) for name in os.listdir(directory) if name.startswith("base-")),
                    key=os.path.getmtime)
    for old in images[:-4]:
        os.unlink(old)
    return path


def _build_base(directory, release, busybox):
    files = {}
    for package in sorted(os.listdir(directory)):
        if package.endswith(".deb"):
            for path, read in debian.members(os.path.join(directory, package)):
                if ".ko" in path:
                    files[path] = read()
    paths = modules.by_name(files)

    def read_module(name):
        return modules.decompress(paths[name], files[paths[name]]) if name in paths else None

    chosen = modules.select(modules.wanted(MODULE_LIST), read_module)
    base = image.Image()
    home = f"lib/modules/{release}"
    for name, (module, _) in chosen.items():
        base.content(f"{home}/{name}.ko", module)
    dep, alias = modules.index(chosen)
    for name, text in (("modules.dep", dep), ("modules.alias", alias), ("modules.symbols", ""), ("modules.builtin", "")):
        base.content(f"{home}/{name}", text)
    base.file("bin/busybox", busybox, 0o755)
    applets = debian.run("list busybox applets", [busybox, "--list-full"]).split()
    for applet in applets:
        if applet != "bin/busybox":
            base.link(applet, "/bin/busybox")
    out = io.BytesIO()
    base.write(out)
    return out.getvalue()
