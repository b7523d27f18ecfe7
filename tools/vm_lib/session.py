"""One machine from beginning to end: the kernel, the image, the programs, and what became of them."""

import dataclasses
import shutil
import sys

from vm_lib import emulator
from vm_lib import guest
from vm_lib import image
from vm_lib import kernels
from vm_lib import klog
from vm_lib import machine

KERNEL_FAULT = 121
BROKE_DOWN = 122
TIMED_OUT = 124
_END_SECONDS = 30


def say(text):
    print(f"vm: {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass
class Plan:
    """What to run under which kernel. `data` is [(host path, guest path or "")]. After `seconds` no further run is begun."""

    key: str
    runs: list
    tools: list = dataclasses.field(default_factory=list)
    data: list = dataclasses.field(default_factory=list)
    memory: int = 1024
    append: str = ""
    seconds: int = None


@dataclasses.dataclass
class RunOutcome:
    """What became of one run: `fault` says what the exit code alone does not, or is empty. One that is `late` was not begun."""

    code: int
    fault: str = ""
    late: bool = False


@dataclasses.dataclass
class Outcome:
    """What became of a plan: `runs` has one entry per planned run, `faults` a line for each fault of the machine."""

    kernel: kernels.Kernel
    result: machine.Result
    runs: list
    faults: list

    def exit_code(self):
        return next((run.code for run in self.runs if run.code), KERNEL_FAULT if self.faults else 0)

    def summary(self):
        succeeded = sum(run.code == 0 and not run.late for run in self.runs)
        return (f"{self.kernel.version}: {succeeded} of {len(self.runs)} succeeded; booted in {self.result.boot:.1f} s, "
                f"{self.result.total:.1f} s in all")


def run(plan, show, update=False):
    """Carries out a plan; `show(bytes)` gets what the programs print."""
    kernel = kernels.get(plan.key, say, update)
    own = guest.system()
    tools = {tool: guest.add_tool(own, tool) for tool in plan.tools}
    for host, where in plan.data:
        own.tree(where or host, host)
    for number, one in enumerate(plan.runs):
        one.environment = {"NETPOLICY_KERNEL": plan.key, **one.environment}
        guest.add_run(own, number, one, tools)

    def base(out):
        with open(kernel.base_image, "rb") as file:
            shutil.copyfileobj(file, out, 1 << 20)

    longest = [one.seconds + 10 for one in plan.runs]
    seconds = sum(longest)
    if plan.seconds is not None:
        own.content("np/deadline", f"{plan.seconds}\n")
        # The last one may have begun just before.
        seconds = min(seconds, plan.seconds + max(longest))
    seconds += machine.BOOT_SECONDS + _END_SECONDS
    result = machine.run(emulator.command(say), kernel.vmlinuz, [base, own.write], show, seconds, plan.memory, plan.append)
    if not result.release:
        raise machine.MachineError(f"start machine with {kernel.version}: the guest did not come up in {machine.BOOT_SECONDS} s: "
                                   + (result.console[-2000:] or "no output"))
    return _judge(plan, kernel, result)


def _ending(result):
    if result.exit_code is None:
        return "was stopped"
    return f"died of signal {-result.exit_code}" if result.exit_code < 0 else f"ended with {result.exit_code}"


def _judge(plan, kernel, result):
    runs, faults = [], []
    for number, one in enumerate(plan.runs):
        done = result.runs[number] if number < len(result.runs) else None
        if done is None:
            runs.append(RunOutcome(BROKE_DOWN, "not run, as the machine ended before"))
        elif done.late:
            runs.append(RunOutcome(0, "no time was left for it", late=True))
        elif done.code is None and result.timed_out:
            runs.append(RunOutcome(TIMED_OUT, "did not end"))
        elif done.code is None:
            runs.append(RunOutcome(BROKE_DOWN, "the machine broke down"))
        elif done.code != 0 and done.seconds >= one.seconds:
            runs.append(RunOutcome(TIMED_OUT, f"timed out after {one.seconds} s"))
        else:
            runs.append(RunOutcome(done.code))
    if not result.finished:
        last = " | ".join(result.console.strip().splitlines()[-3:])
        faults.append(f"the machine did not come to its end: QEMU {_ending(result)}; its last words: {last or 'none'}")
    for running, line in klog.faults(result.log or result.console):
        faults.append(f"kernel log during {running or 'boot'}: {line}")
    return Outcome(kernel, result, runs, faults)
