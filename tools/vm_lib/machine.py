"""The machine: QEMU with one kernel and one image, bounded in time, with nothing left behind.

Everything QEMU is given lives in pipes and memory files, and QEMU dies with this process, so no cleaning up can be missed.
"""

import contextlib
import ctypes
import dataclasses
import io
import os
import selectors
import signal
import subprocess
import tarfile
import threading
import time

BOOT_SECONDS = 120
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class MachineError(Exception):
    """The machine did not start, or broke down."""


@dataclasses.dataclass
class RunResult:
    """What became of one program in the guest; code is None while it runs, and for ever if the machine ended first."""

    code: int = None
    seconds: float = 0.0
    late: bool = False  # not begun, as the time was over
    output: bytes = b""


@dataclasses.dataclass
class Result:
    """What came out of a machine. Times are seconds; runs has an entry per started program."""

    boot: float = 0.0
    total: float = 0.0
    release: str = ""
    runs: list = dataclasses.field(default_factory=list)
    finished: bool = False  # the guest went through to its end
    timed_out: bool = False
    console: str = ""  # warnings and worse, as they were printed
    log: str = ""  # the whole kernel log; empty when the guest did not get to its end
    files: bytes = b""  # tar archives, one after another, of what the programs wrote
    exit_code: int = None  # of QEMU; None when it was killed


class _Pipe:
    """The reading end of a pipe, whose other end QEMU writes."""

    def __init__(self):
        self.reader, self.writer = os.pipe()

    def close(self):
        for end in (self.reader, self.writer):
            if end is not None:
                os.close(end)
        self.reader = self.writer = None

    def close_writer(self):
        os.close(self.writer)
        self.writer = None


class _MemoryFile:
    """A file with a separate descriptor to write by: QEMU takes only one that cannot read."""

    def __init__(self, name):
        self.file = os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b")
        self.path = f"/proc/self/fd/{self.file.fileno()}"
        self.writer = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)

    def close(self):
        self.file.close()
        os.close(self.writer)

    def content(self):
        self.file.seek(0)
        return self.file.read()


def command(emulator, kernel, initrd, memory, append, ports):
    """The QEMU command line; ports is {name: descriptor}, of which "console" is the serial port."""
    # One host thread for both processors: QEMU's emulation with a thread for each now and then runs code that the other
    # processor has just patched, which the kernel does whenever a BPF program is attached.
    line = [
        *emulator, "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-machine", "pc,usb=off,vmport=off",
        "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", str(memory), "-nic", "none",
        "-kernel", kernel, "-initrd", initrd,
        "-append", ("console=ttyS0 loglevel=5 panic=-1 random.trust_cpu=on rcupdate.rcu_cpu_stall_timeout=60 " + append).strip(),
        "-device", "virtio-serial-pci",
    ]
    for number, (name, descriptor) in enumerate(ports.items(), 1):
        line += ["-add-fd", f"fd={descriptor},set={number}", "-chardev", f"file,id={name},append=on,path=/dev/fdset/{number}"]
        line += ["-serial", f"chardev:{name}"] if name == "console" else [
            "-device", f"virtserialport,chardev={name},name=np.{name}"]
    return line


def _prepare_child():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(emulator, kernel, images, show, seconds, memory=1024, append=""):
    """Boots `kernel` (a path) with `images` ([writer(file)]) and waits until the guest is through.

    `show(bytes)` gets what the programs print, as it comes. After `seconds` the machine is killed. A machine that does not get
    as far as the first program is started once more: emulation on a busy host sometimes fails at boot.
    """
    if _stopping.is_set():
        raise MachineError("start machine: stopped")
    started = time.monotonic()
    first = _run_once(emulator, kernel, images, show, started, seconds, memory, append)
    if first.release or time.monotonic() - started + BOOT_SECONDS > seconds:
        return first
    return _run_once(emulator, kernel, images, show, started, seconds, memory, append)


def _run_once(emulator, kernel, images, show, started, seconds, memory, append):
    result = Result()
    with contextlib.ExitStack() as stack:
        out, ctl = (stack.enter_context(contextlib.closing(_Pipe())) for _ in range(2))
        initrd, console, files = (
            stack.enter_context(contextlib.closing(_MemoryFile(name))) for name in ("initrd", "console", "files"))
        for write in images:
            write(initrd.file)
        initrd.file.flush()
        # The archive and what is unpacked from it are in memory at once.
        memory = max(memory, 512 + 3 * initrd.file.tell() // (1 << 20))
        ports = {"console": console.writer, "out": out.writer, "ctl": ctl.writer, "files": files.writer}
        line = command(emulator, kernel, initrd.path, memory, append, ports)
        passed = [initrd.file.fileno(), *ports.values()]
        machine = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   pass_fds=passed, preexec_fn=_prepare_child)
        _running.add(machine)
        try:
            out.close_writer()
            ctl.close_writer()
            if _follow(result, out.reader, ctl.reader, show, started + seconds):
                result.exit_code = machine.wait(max(1.0, min(30.0, started + seconds - time.monotonic())))
            else:
                result.timed_out = True
        except subprocess.TimeoutExpired:
            result.timed_out = True
        finally:
            machine.kill()
            said = machine.communicate()[0].decode(errors="replace").strip()
            _running.discard(machine)
        result.total = time.monotonic() - started
        result.console = console.content().decode(errors="replace") + said
        _unpack_log(result, files.content())
    if _stopping.is_set():
        raise MachineError("run machine: stopped")
    return result


def stop_all():
    """Kills every machine and lets no other start; the threads that wait for them get a MachineError."""
    _stopping.set()
    for machine in list(_running):
        machine.kill()


_running = set()
_stopping = threading.Event()


def _follow(result, out, ctl, show, deadline):
    """Reads both channels until QEMU closes them (True) or the time is over (False)."""

    def take(data):
        if result.runs:
            result.runs[-1].output += data
        show(data)

    os.set_blocking(out, False)
    deadline_of_boot = time.monotonic() + BOOT_SECONDS
    events = b""
    start_of_run = 0.0
    with selectors.DefaultSelector() as ready:
        ready.register(out, selectors.EVENT_READ)
        ready.register(ctl, selectors.EVENT_READ)
        while ready.get_map():
            limit = deadline if result.release else min(deadline, deadline_of_boot)
            now = time.monotonic()
            if now >= limit:
                return False
            happened = {key.fd for key, _ in ready.select(limit - now)}
            if out in happened and not _drain(out, take):
                ready.unregister(out)
            if ctl not in happened:
                continue
            data = os.read(ctl, 1 << 16)
            # What a program printed was in its pipe before the event of its end was in this one.
            _drain(out, take)
            if not data:
                ready.unregister(ctl)
            events += data
            while b"\n" in events:
                line, events = events.split(b"\n", 1)
                word, *rest = line.decode(errors="replace").split()
                if word == "boot":
                    result.boot, result.release = time.monotonic() - deadline_of_boot + BOOT_SECONDS, rest[1]
                elif word == "start":
                    result.runs.append(RunResult())
                    start_of_run = float(rest[1])
                elif word == "late":
                    result.runs.append(RunResult(late=True))
                elif word == "end":
                    result.runs[-1].code = int(rest[1])
                    result.runs[-1].seconds = float(rest[2]) - start_of_run
                elif word == "done":
                    result.finished = True
    return True


def _drain(descriptor, take):
    """Takes what a non-blocking pipe holds; False at its end."""
    while True:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        take(data)


def _unpack_log(result, archive):
    if not archive:
        return
    result.files = archive
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), ignore_zeros=True) as tar:
            result.log = tar.extractfile("np/log/dmesg").read().decode(errors="replace")
    except (tarfile.TarError, KeyError):
        result.finished = False


def extract(result, directory, below="out"):
    """Writes the regular files that the guest left in `below` to `directory`, and nothing outside it."""
    if not result.files:
        return
    with tarfile.open(fileobj=io.BytesIO(result.files), ignore_zeros=True) as tar:
        for member in tar:
            parts = member.name.split("/")
            if not member.name.startswith(below + "/") or not member.isfile() or ".." in parts:
                continue
            path = os.path.join(directory, *parts[below.count("/") + 1:])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(tar.extractfile(member).read())
