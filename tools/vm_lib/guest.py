"""What a guest holds beside its kernel's modules: the system around the tests, and the tests themselves."""

import dataclasses
import os
import shlex
import shutil

from vm_lib import image

INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest.sh")

# Users that tests may run as: an ordinary login, application UIDs as Android counts them (user 0 and user 10), a service.
_USERS = (
    ("root", 0), ("daemon", 1), ("alice", 1000), ("bob", 1001), ("app0", 10000), ("app1", 10001), ("app2", 10002),
    ("app3", 10003), ("u10app0", 1010000), ("nobody", 65534),
)
_FILES = {
    "etc/hosts": "127.0.0.1 localhost vm\n::1 localhost vm\n",
    "etc/hostname": "vm\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n",
    "etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "etc/protocols": "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6 41 IPv6\nesp 50 ESP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n",
    "etc/services": "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n",
    "etc/os-release": "ID=netpolicy-vm\n",
    "etc/ld.so.conf": "",
}
_DIRECTORIES = ("dev", "etc", "mnt", "np", "out", "proc", "root", "run", "sbin", "sys", "tmp", "var/lib", "var/run", "home")
_ENVIRONMENT = {"HOME": "/root", "USER": "root", "LOGNAME": "root", "TEST_TMPDIR": "/tmp"}


@dataclasses.dataclass
class Run:
    """One program to run in the guest, stopped after `seconds`. `outputs` is the guest directory for what the host shall get."""

    name: str
    command: list
    environment: dict = dataclasses.field(default_factory=dict)
    outputs: str = "/out"
    seconds: int = 300


def system():
    """The image of the system around the tests."""
    guest = image.Image()
    for name in _DIRECTORIES:
        guest.directory(name, 0o1777 if name == "tmp" else 0o755)
    for name, text in _FILES.items():
        guest.content(name, text)
    guest.content("etc/passwd", "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in _USERS))
    guest.content("etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid in _USERS))
    # The kernel gives process 1 these before devtmpfs is there.
    guest.device("dev/console", 5, 1, 0o600)
    guest.device("dev/null", 1, 3)
    guest.file("init", INIT, 0o755)
    return guest


def add_tool(guest, name):
    """Copies a program of this machine, found by PATH or given by path, Python with its library; returns its path in the guest."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise image.ImageError(f"copy tool {name}: not installed here")
    real = guest.program(path)
    if real != path:
        guest.link(path, real)
    # BusyBox has a lesser one of some, in a directory that is searched later than this.
    guest.link(os.path.join("/usr/local/sbin", os.path.basename(path)), real)
    if os.path.basename(path) in ("bash", "dash"):
        # BusyBox's shell prefers its own applets to programs by the same name.
        guest.link("/bin/sh", real)
    library = os.path.join("/usr/lib", os.path.basename(real))
    if os.path.basename(real).startswith("python") and os.path.isdir(library):
        guest.tree(library, library)
    return real


def add_run(guest, number, run, tools):
    """Copies a run's program, and a script that starts it; `tools` is {name: path in the guest} of those copied already."""
    program = run.command[0]
    if os.path.sep in program or os.path.exists(program):
        where = guest.program(program)
    else:
        where = tools.get(program, program)  # else a BusyBox applet
    environment = {**_ENVIRONMENT, "TEST_UNDECLARED_OUTPUTS_DIR": run.outputs, **run.environment}
    directory = "/tmp"
    runfiles = image.runfiles(program)
    if runfiles:
        workspace = _workspace(runfiles, program)
        directory = os.path.join(where + ".runfiles", workspace)
        environment = {"TEST_SRCDIR": where + ".runfiles", "RUNFILES_DIR": where + ".runfiles", "TEST_WORKSPACE": workspace,
                       **environment}
    lines = ["#!/bin/busybox sh"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines.append(f"mkdir -p {run.outputs}")
    lines.append(f"cd {shlex.quote(directory)}")
    command = " ".join(shlex.quote(word) for word in [where, *run.command[1:]])
    lines.append(f"exec timeout -s TERM -k 5 {run.seconds} {command}")
    home = f"np/run/{number}"
    guest.content(f"{home}/name", run.name + "\n")
    guest.content(f"{home}/outputs", run.outputs.lstrip("/") + "\n")
    guest.content(f"{home}/run", "\n".join(lines) + "\n", 0o755)


def _workspace(runfiles, program):
    """The directory of a program's runfiles that holds the program itself: Bazel's name of the workspace."""
    parts = os.path.abspath(program).split(os.path.sep)
    for name in sorted(os.listdir(runfiles)):
        for begin in range(len(parts)):
            if os.path.exists(os.path.join(runfiles, name, *parts[begin:])):
                return name
    return ""
