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
    """What to run under which kernel. `data` is [(host path, guest path or "")]."""

    key: str
    runs: list
    tools: list = dataclasses.field(default_factory=list)
    data: list = dataclasses.field(default_factory=list)
    memory: int = 1024
    append: str = ""


@dataclasses.dataclass
class Outcome:
    """What became of a plan: `codes` has one per planned run, `faults` a line for each thing that went wrong."""

    kernel: kernels.Kernel
    result: machine.Result
    codes: list
    faults: list

    def exit_code(self):
        return next((code for code in self.codes if code), KERNEL_FAULT if self.faults else 0)

    def summary(self):
        succeeded = sum(code == 0 for code in self.codes)
        return (f"{self.kernel.version}: {succeeded} of {len(self.codes)} succeeded; booted in {self.result.boot:.1f} s, "
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

    seconds = machine.BOOT_SECONDS + sum(one.seconds + 10 for one in plan.runs) + _END_SECONDS
    result = machine.run(emulator.command(say), kernel.vmlinuz, [base, own.write], show, seconds, plan.memory, plan.append)
    if not result.release:
        raise machine.MachineError(f"start machine with {kernel.version}: the guest did not come up in {machine.BOOT_SECONDS} s: "
                                   + (result.console[-2000:] or "no output"))
    return _judge(plan, kernel, result)


def _judge(plan, kernel, result):
    codes, faults = [], []
    for number, one in enumerate(plan.runs):
        done = result.runs[number] if number < len(result.runs) else None
        if done is None:
            codes.append(BROKE_DOWN)
            faults.append(f"{one.name}: not run")
        elif done.code is None:
            codes.append(TIMED_OUT if result.timed_out else BROKE_DOWN)
            faults.append(f"{one.name}: {'did not end' if result.timed_out else 'the machine broke down'}")
        elif done.code != 0 and done.seconds >= one.seconds:
            codes.append(TIMED_OUT)
            faults.append(f"{one.name}: timed out after {one.seconds} s")
        else:
            codes.append(done.code)
    if not result.finished and not faults:
        faults.append("the machine did not come to its end")
    for running, line in klog.faults(result.log or result.console):
        faults.append(f"kernel log during {running or 'boot'}: {line}")
    return Outcome(kernel, result, codes, faults)
