"""The suite: the tests of the tree that run under every kernel, and how tools/test is told of them."""

import concurrent.futures
import dataclasses
import os
import subprocess
import sys
import tempfile
import threading

import report_tests
from vm_lib import debian
from vm_lib import guest
from vm_lib import image
from vm_lib import kernels
from vm_lib import machine
from vm_lib import record
from vm_lib import session
from vm_lib import suite_list

LIST_NAME = "tools/vm_suite.txt"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# An emulated machine keeps one processor busy.
_MACHINES_AT_ONCE = max(1, min(2, os.cpu_count() or 1))
_OUTPUT_LINES = 60
# For all kernels together, unless somebody says otherwise. Tests for which no time is left are skipped, and said to be.
_SECONDS = 3000
# Of a kernel's share, for booting and for the test that has begun when it is over.
_MARGIN_SECONDS = 60
_SLOW_SECONDS = 10


def _build(tests):
    """Builds the tests; returns the directory of what Bazel builds."""
    labels = [test.label for test in tests]
    command = ["bazel", "build", "--keep_going", "--noshow_progress", "--noshow_loading_progress", "--", *labels]
    if subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise suite_list.SuiteError("build suite: bazel failed")
    listed = subprocess.run(["bazel", "info", "bazel-bin"], cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=True)
    return listed.stdout.strip()


@dataclasses.dataclass
class _Report:
    """The results of one kernel: `cases` are (status, name, detail), `lines` are for the reader."""

    key: str
    cases: list = dataclasses.field(default_factory=list)
    lines: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    version: str = ""
    features: list = dataclasses.field(default_factory=list)
    times: list = dataclasses.field(default_factory=list)  # (seconds, label)
    late: int = 0  # tests that were not begun, as the time was over

    def add(self, status, name, detail=""):
        self.cases.append((status, f"kernel {self.key} {name}".rstrip(), " ".join(detail.split())))
        if status == "failed":
            self.lines.append(f"  FAIL  {name}" + (f": {detail}" if detail else ""))

    def count(self, status):
        return sum(case[0] == status for case in self.cases)

    def line(self):
        return (f"kernel {self.key}: {self.count('passed')} passed, {self.count('failed')} failed, "
                f"{self.count('skipped')} skipped ({self.seconds:.1f} s)"
                + (f"; no time was left for {self.late} tests" if self.late else ""))

    def slowest(self):
        """The tests that take more than a few seconds, for whoever wants the suite to be faster."""
        slow = sorted((time for time in self.times if time[0] >= _SLOW_SECONDS), reverse=True)
        return "  " + ", ".join(f"{label} {seconds:.0f} s" for seconds, label in slow)


def _boot(key, tests, bin_directory, seconds):
    """Runs tests in one machine."""
    runs, tools, data = [], [], []
    for number, test in enumerate(tests):
        outputs = f"/out/{number}"
        runs.append(guest.Run(test.label, [test.binary(bin_directory)],
                              {"GTEST_OUTPUT": f"xml:{outputs}/test.xml", **test.environment}, outputs, test.seconds))
        tools += [tool for tool in test.tools if tool not in tools]
        data += [(os.path.join(_ROOT, host), where or host) for host, where in test.data]
    return session.run(session.Plan(key, runs, tools, data, seconds=seconds), lambda text: None)


def _run_kernel(key, tests, bin_directory, output, seconds):
    report = _Report(key)
    try:
        outcome = _boot(key, tests, bin_directory, seconds)
        report.version = outcome.kernel.version
        again = [test for test, ended in zip(tests, outcome.runs) if ended.code != 0]
        _report_outcome(report, tests, outcome, output, again)
        if again:
            # An emulated machine on a busy host is slow beyond what a test foresees. What a fresh one can't do either is a fault.
            outcome = _boot(key, again, bin_directory, max(60, seconds - round(outcome.result.total)))
            outcome.runs = [session.RunOutcome(1, "it failed, and no time was left to do it again") if ended.late else ended
                            for ended in outcome.runs]
            _report_outcome(report, again, outcome, output, [])
    except debian.PackageError as error:
        report.add("skipped", "", str(error))
        report.lines.append(f"  skip  {error}")
    except (image.ImageError, machine.MachineError) as error:
        report.add("failed", "", str(error))
    return report


def _report_outcome(report, tests, outcome, output, again):
    """Reports what became of the tests in a machine, but for those that are done `again`, of which only the lines are kept."""
    report.seconds += outcome.result.total
    report.times += [(done.seconds, test.label) for done, test in zip(outcome.result.runs, tests)]
    for done in outcome.result.runs:
        report.features += record.features_in(done.output.decode(errors="replace"))
    with tempfile.TemporaryDirectory(prefix="netpolicy-vm-") as work:
        machine.extract(outcome.result, work)
        for number, (test, ended) in enumerate(zip(tests, outcome.runs)):
            runs = outcome.result.runs[number:number + 1]
            if test in again:
                report.lines.append(f"  again {test.label}: {ended.fault or f'exit code {ended.code}'}")
                report.lines += _last_lines(runs)
                continue
            _report_test(report, test, ended, runs, os.path.join(work, str(number), "test.xml"))
    if output:
        for number, test in enumerate(tests):
            where = os.path.join(output, report.key, test.label[2:].replace(":", "/"))
            machine.extract(outcome.result, where, f"out/{number}")
    for fault in outcome.faults:
        report.add("failed", fault)


def _last_lines(runs):
    printed = runs[0].output.decode(errors="replace").splitlines() if runs else []
    return ["    | " + line for line in printed[-_OUTPUT_LINES:]]


def _report_test(report, test, ended, runs, xml):
    if ended.late:
        report.add("skipped", test.label, ended.fault)
        report.late += 1
        return
    cases = report_tests.cases_of(xml)
    for status, name, detail in cases:
        report.add(status, f"{test.label} {name}", detail)
    if ended.code == 0:
        if not cases:
            report.add("passed", test.label)
        return
    if not any(status == "failed" for status, _, _ in cases):
        report.add("failed", test.label, ended.fault or f"exit code {ended.code}")
    report.lines += _last_lines(runs)


def _tree():
    """The commit that is run, and whether the tree differs from it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=, changed", "--exclude", "*"], cwd=_ROOT, capture_output=True,
                          text=True, check=False)
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "a tree that git does not know"


def run(keys, results=None, output=None, record_file=None, fast=False, seconds=None):
    """Runs the suite under each kernel, prints a line for each, appends to the file `results`; returns the exit code.

    `record_file` is written when all kernels were had, and had time for all. `fast` leaves out what is marked as slow. After
    `seconds` no further test is begun; each kernel has its share of them.
    """
    if "host" in keys:
        raise suite_list.SuiteError("run suite on host: tools/test does that")
    tests = suite_list.read(os.path.join(_ROOT, LIST_NAME))
    if fast:
        tests = [test for test in tests if not test.slow]
    if not tests:
        print(f"no test in {LIST_NAME}")
        return 0
    bin_directory = _build(tests)
    printing = threading.Lock()
    failed = 0
    reports = {}
    source = _tree()
    turns = -(-len(keys) // _MACHINES_AT_ONCE)
    share = max(0, (_SECONDS if seconds is None else seconds) // turns - _MARGIN_SECONDS)

    def one(key):
        report = _run_kernel(key, tests, bin_directory, output, share)
        with printing:
            for line in report.lines:
                print(line)
            print(report.line())
            print(report.slowest(), flush=True)
            reports[key] = report
            if results:
                with open(results, "a", encoding="utf-8") as out:
                    out.writelines("\t".join(case) + "\n" for case in report.cases)
        return report.count("failed")

    with concurrent.futures.ThreadPoolExecutor(_MACHINES_AT_ONCE) as pool:
        futures = [pool.submit(one, key) for key in keys]
        try:
            for future in futures:
                failed += future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            machine.stop_all()
            raise
    sys.stdout.flush()
    if record_file:
        if not all(report.version for report in reports.values()):
            raise suite_list.SuiteError(f"write {record_file}: not every kernel could be had")
        if any(report.late for report in reports.values()):
            raise suite_list.SuiteError(f"write {record_file}: there was no time for every test")
        record.write(record_file, [record.Kernel(key, reports[key].version, round(reports[key].seconds), reports[key].features,
                                                 reports[key].cases) for key in keys],
                     [source + (", without the slow tests" if fast else "")])
    return 1 if failed else 0
