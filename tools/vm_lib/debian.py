"""Debian's packages, unpacked into a cache outside the tree, through the system's own apt configuration.

apt runs with private lists and a private archive directory, so nothing is installed and the system's own lists stay as they are;
proxies, credentials and retries are the system's. Its signature check stays on.
"""

import contextlib
import fcntl
import os
import re
import subprocess
import tarfile
import tempfile
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# For everything about one kernel, from all suites that may have it.
FETCH_SECONDS = 300

_RELEASES = {
    "oldoldstable", "oldstable", "stable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky", "duke",
}


class PackageError(Exception):
    """A package cannot be had."""


def cache_directory():
    """$NETPOLICY_CACHE, else netpolicy below $XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("NETPOLICY_CACHE")
    if not root:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        root = os.path.join(home, "netpolicy")
    return root


@contextlib.contextmanager
def locked(directory):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_atomically(path, data, mode=0o644):
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".new-", delete=False) as out:
        out.write(data)
        os.fchmod(out.fileno(), mode)
    os.rename(out.name, path)


def run(what, command, cwd=None, env=None, seconds=FETCH_SECONDS):
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=max(seconds, 0.001), check=False)
    except FileNotFoundError as error:
        raise PackageError(f"{what}: {command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"{what}: no answer in {FETCH_SECONDS} s") from error
    if done.returncode != 0:
        raise PackageError(f"{what}: {' '.join((done.stderr or done.stdout).split())[-500:]}")
    return done.stdout


def repositories():
    """The configured URIs of Debian's archive and its security archive: {False: uri, True: uri}, either may be missing."""
    listed = run(
        "read apt configuration",
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
    )
    found = {}
    for line in listed.splitlines():
        uri, _, release = line.partition(" ")
        security = release.endswith(("-security", "/updates"))
        if re.split("[-/]", release)[0] in _RELEASES:
            found.setdefault(security, uri)
    return found


class Apt:
    """apt with one suite, and lists and archives of its own."""

    def __init__(self, directory, uri, suite, deadline):
        self._deadline = deadline
        self.archives = os.path.join(directory, "archives")
        for name in ("state/lists/partial", "cache/archives/partial", "archives"):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        sources = os.path.join(directory, "sources.list")
        with open(sources, "w", encoding="utf-8") as out:
            out.write(f"deb [arch=amd64 signed-by={KEYRING}] {uri} {suite} main\n")
        self._config = os.path.join(directory, "apt.conf")
        with open(self._config, "w", encoding="utf-8") as out:
            out.write(
                f'Dir::State "{directory}/state";\nDir::State::status "/dev/null";\nDir::Cache "{directory}/cache";\n'
                f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "/dev/null";\n'
                'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\nAcquire::Languages "none";\n'
                # The directories are the caller's: apt's own user cannot enter them, and no hook of the system concerns them.
                f'APT::Sandbox::User "{_user_name()}";\n#clear APT::Update::Post-Invoke;\n'
                "#clear APT::Update::Post-Invoke-Success;\n#clear Acquire::IndexTargets::deb::DEP-11;\n"
            )

    def _call(self, what, *arguments):
        return run(what, [arguments[0], "-q", "-c", self._config, *arguments[1:]], cwd=self.archives,
                   env={**os.environ, "LC_ALL": "C"}, seconds=self._deadline - time.monotonic())

    def update(self, suite):
        self._call(f"update list of {suite}", "apt-get", "-o", "APT::Update::Error-Mode=any", "update")

    def depends(self, package):
        """[(name, version)] of the exact versions a package depends on."""
        shown = self._call(f"show {package}", "apt-cache", "show", "--no-all-versions", package)
        line = re.search(r"^Depends: (.*)$", shown, re.M)
        return re.findall(r"([\w.+~-]+) \(= ([^)]+)\)", line.group(1)) if line else []

    def version(self, package):
        shown = self._call(f"show {package}", "apt-cache", "show", "--no-all-versions", package)
        return re.search(r"^Version: (\S+)$", shown, re.M).group(1)

    def download(self, packages):
        self._call(f"download {packages[0]}", "apt-get", "download", *packages)
        return [os.path.join(self.archives, name) for name in sorted(os.listdir(self.archives)) if name.endswith(".deb")]


def _user_name():
    return run("name user", ["id", "-un"]).strip()


def members(package):
    """The files of a .deb, as a stream of (path, read())."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    yield member.name.lstrip("./"), lambda m=member: archive.extractfile(m).read()
        process.stdout.read()
    if process.returncode != 0:
        raise PackageError(f"unpack {package}: dpkg-deb failed")


def fetch(what, suites, directory, say, use):
    """Calls use(apt, suite) with the lists of the first suite for which that works; `directory` is for temporary files.

    use() says by a PackageError that the suite does not do.
    """
    if not os.path.exists(KEYRING):
        raise PackageError(f"fetch {what}: {KEYRING} is missing, install debian-archive-keyring")
    known = repositories()
    if not known:
        raise PackageError(f"fetch {what}: apt is configured with no Debian archive")
    faults = []
    deadline = time.monotonic() + FETCH_SECONDS
    for suite in suites:
        uri = known.get(suite.endswith("-security"))
        if uri is None:
            faults.append(f"{suite}: no archive configured")
            continue
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as work:
            try:
                say(f"{what}: looking in {suite}")
                apt = Apt(work, uri, suite, deadline)
                apt.update(suite)
                return use(apt, suite)
            except PackageError as error:
                faults.append(f"{suite}: {error}")
    raise PackageError(f"fetch {what}: " + "; ".join(faults))
