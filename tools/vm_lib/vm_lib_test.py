"""Tests of the parts of tools/vm that need no machine."""

import os
import tempfile
import unittest
from unittest import mock

from vm_lib import debian
from vm_lib import guest
from vm_lib import image
from vm_lib import klog
from vm_lib import machine
from vm_lib import modules
from vm_lib import record
from vm_lib import session
from vm_lib import suite
from vm_lib import suite_list


def modinfo(**values):
    """The bytes of a .ko as far as the indexing reads them."""
    pairs = [f"{key}={value}" for key, entries in values.items() for value in entries]
    return b"\x7fELF\0" + "\0".join(["license=GPL", *pairs]).encode() + b"\0rest"


class Klog(unittest.TestCase):
    FAULTS = {
        "warning": "WARNING: CPU: 0 PID: 8 at net/core/skbuff.c:1",
        "bug": "BUG: sleeping function called from invalid context",
        "oops": "Oops: 0000 [#1] SMP",
        "checksum": "eth0: hw csum failure",
        "stall": "rcu: INFO: rcu_sched self-detected stall on CPU",
        "hung task": "INFO: task kworker:1 blocked for more than 120 seconds.",
        "leaked device": "unregister_netdevice: waiting for v0 to become free. Usage count = 1",
        "killed for memory": "Out of memory: Killed process 9",
    }
    HARMLESS = {
        "module": "veth: loading out-of-tree module taints kernel.",
        "clock": "Unstable clock detected, switching default tracing clock",
        "segfault of a program": "a_test[9]: segfault at 0 ip 0",
        "a word that contains one": "DEBUG: Oopsie",
    }

    def test_a_fault_is_charged_to_what_ran(self):
        for name, line in self.FAULTS.items():
            with self.subTest(name):
                log = f"[1] {klog.MARK}boot\n[2] {klog.MARK}//a:b_test\n[3] {line}\n[4] {klog.MARK}end\n"
                self.assertEqual(klog.faults(log), [("//a:b_test", f"[3] {line}")])

    def test_other_lines_are_no_faults(self):
        for name, line in self.HARMLESS.items():
            with self.subTest(name):
                self.assertEqual(klog.faults(f"[1] {klog.MARK}boot\n[2] {line}\n"), [])

    def test_only_what_stops_a_kernel_counts_before_the_first_mark(self):
        self.assertEqual(klog.faults("[0] WARNING: x\n[0] Oops: 1\n"), [("", "[0] Oops: 1")])


class Modules(unittest.TestCase):
    FILES = {
        "veth": modinfo(alias=["rtnl-link-veth"], depends=[""]),
        "cls_bpf": modinfo(depends=["act_api,nf-base"]),
        "nf_base": modinfo(depends=["deep"]),
        "deep": modinfo(depends=[""]),
        "sctp": modinfo(softdep=["pre: crc32c post: late"], alias=["net-pf-2-proto-132", "net-pf-10-proto-132"]),
        "crc32c": modinfo(),
        "late": modinfo(),
        "unwanted": modinfo(),
    }

    def test_what_a_wanted_module_needs_comes_along(self):
        chosen = modules.select(["cls_bpf", "sctp", "built_in"], self.FILES.get)
        self.assertEqual(sorted(chosen), ["cls_bpf", "crc32c", "deep", "nf_base", "sctp"])

    def test_the_last_dependency_of_a_line_is_loaded_first(self):
        dep, _ = modules.index(modules.select(["cls_bpf"], self.FILES.get))
        self.assertEqual(dep, "cls_bpf.ko: nf_base.ko deep.ko\ndeep.ko: \nnf_base.ko: deep.ko\n")

    def test_aliases_are_those_of_the_chosen(self):
        _, alias = modules.index(modules.select(["veth", "sctp"], self.FILES.get))
        self.assertEqual(alias, "alias net-pf-2-proto-132 sctp\nalias net-pf-10-proto-132 sctp\nalias rtnl-link-veth veth\n")

    def test_names_do_not_depend_on_the_file(self):
        self.assertEqual(modules.by_name(["a/b/nft-x.ko.xz", "a/y.ko", "a/modules.dep"]),
                         {"nft_x": "a/b/nft-x.ko.xz", "y": "a/y.ko"})


def entries(archive):
    """[(name, mode, data)] of a newc archive."""
    found = []
    at = 0
    while at < len(archive):
        fields = [int(archive[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110:at + 110 + name_size - 1].decode()
        at += (110 + name_size + 3) // 4 * 4
        found.append((name, mode, archive[at:at + size]))
        at += (size + 3) // 4 * 4
    return found


class Image(unittest.TestCase):
    def test_entries_follow_their_parents(self):
        guest = image.Image()
        guest.content("/a/b/file", "text", 0o600)
        guest.link("a/link", "/target")
        guest.device("dev/null", 1, 3)
        self.assertEqual(entries(guest.bytes()), [
            ("a", 0o40755, b""),
            ("a/b", 0o40755, b""),
            ("a/b/file", 0o100600, b"text"),
            ("a/link", 0o120777, b"/target"),
            ("dev", 0o40755, b""),
            ("dev/null", 0o20666, b""),
            ("TRAILER!!!", 0, b""),
        ])

    def test_a_tree_keeps_one_copy_of_what_its_links_name(self):
        with tempfile.TemporaryDirectory() as work:
            work = os.path.realpath(work)
            os.makedirs(f"{work}/out/dir")
            with open(f"{work}/data", "w", encoding="utf-8") as out:
                out.write("1")
            os.symlink(f"{work}/data", f"{work}/out/dir/link")
            guest = image.Image()
            guest.tree("/guest", f"{work}/out")
            found = {name: data for name, _, data in entries(guest.bytes())}
            self.assertEqual(found["guest/dir/link"], f"{work}/data".encode())
            self.assertEqual(found[f"{work}/data".lstrip("/")], b"1")

    def test_a_missing_program_is_an_error(self):
        with self.assertRaisesRegex(image.ImageError, "copy /no/such: no such file"):
            image.Image().program("/no/such")


class Tool(unittest.TestCase):
    def test_python_comes_with_its_library(self):
        made = image.Image()
        real = guest.add_tool(made, "/usr/bin/python3")
        self.assertTrue(made.has(real))
        self.assertTrue(made.has("/usr/local/sbin/python3"))
        self.assertTrue(made.has(f"/usr/lib/{os.path.basename(real)}/os.py"))

    def test_a_tool_that_is_not_there(self):
        with self.assertRaisesRegex(image.ImageError, "copy tool no-such-tool: not installed here"):
            guest.add_tool(image.Image(), "no-such-tool")


class SuiteList(unittest.TestCase):
    FAULTS = {
        "no label": ("--with ip\n", ":1: the following arguments are required: label"),
        "a relative label": ("\na:b\n", ":2: a label begins with //"),
        "an unknown option": ("//a:b --fast\n", ":1: unrecognized arguments: --fast"),
        "a setting without value": ("//a:b --env X\n", ":1: --env wants NAME=VALUE"),
        "an open quote": ("//a:b '\n", ":1: No closing quotation"),
    }

    def read(self, text):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            return suite_list.read(out.name)

    def test_a_line_has_a_label_and_options(self):
        tests = self.read("# none\n//a/b:c --with ip --with nft --env A=b=c --data x:/y --timeout 9 # why\n//d --slow\n")
        self.assertEqual(tests, [
            suite_list.Test("//a/b:c", ["ip", "nft"], [("x", "/y")], {"A": "b=c"}, 9),
            suite_list.Test("//d", [], [], {}, 300, True),
        ])
        self.assertEqual([test.binary("/bin") for test in tests], ["/bin/a/b/c", "/bin/d/d"])

    def test_a_fault_names_its_line(self):
        for name, (text, message) in self.FAULTS.items():
            with self.subTest(name), self.assertRaisesRegex(suite_list.SuiteError, message):
                self.read(text)


class Absence(unittest.TestCase):
    def test_a_mirror_that_does_not_answer_is_given_up(self):
        with self.assertRaisesRegex(debian.PackageError, "update list: no answer in"):
            debian.run("update list", ["sleep", "60"], seconds=0.05)

    def test_a_program_that_is_not_installed_is_named(self):
        with self.assertRaisesRegex(debian.PackageError, "start machine: no-such-qemu is not installed"):
            debian.run("start machine", ["no-such-qemu"])

    def test_a_kernel_that_cannot_be_had_is_skipped(self):
        with mock.patch("vm_lib.session.run", side_effect=debian.PackageError("fetch kernel 5.10: no archive")):
            report = suite._run_kernel("5.10", [], "", None, 60)  # pylint: disable=protected-access
        self.assertEqual(report.cases, [("skipped", "kernel 5.10", "fetch kernel 5.10: no archive")])
        self.assertEqual(report.line(), "kernel 5.10: 0 passed, 0 failed, 1 skipped (0.0 s)")


class Suite(unittest.TestCase):
    TESTS = [suite_list.Test(label, [], [], {}, 300) for label in ("//a:b", "//c:d")]

    def report(self, *machines):
        """What is reported when each of the machines, one after another, ran the tests so."""
        planned = []

        def run(plan, _show):
            planned.append([one.name for one in plan.runs])
            result = machine.Result(finished=True, total=31.0, runs=machines[len(planned) - 1])
            return session._judge(plan, mock.Mock(version="5.10.1"), result)  # pylint: disable=protected-access

        with mock.patch("vm_lib.session.run", side_effect=run), mock.patch("vm_lib.machine.extract"):
            report = suite._run_kernel("5.10", self.TESTS, "", None, 60)  # pylint: disable=protected-access
        self.assertEqual(len(planned), len(machines))
        self.assertEqual(planned[0], ["//a:b", "//c:d"])
        return report, planned

    def test_what_there_was_no_time_for_is_skipped_and_said(self):
        report, _ = self.report([machine.RunResult(code=0, seconds=40.0), machine.RunResult(late=True)])
        self.assertEqual(report.cases, [
            ("passed", "kernel 5.10 //a:b", ""),
            ("skipped", "kernel 5.10 //c:d", "no time was left for it"),
        ])
        self.assertEqual(report.line(), "kernel 5.10: 1 passed, 0 failed, 1 skipped (31.0 s); no time was left for 1 tests")
        self.assertEqual(report.slowest(), "  //a:b 40 s")

    def test_what_failed_once_is_done_again_in_a_fresh_machine_and_said(self):
        report, planned = self.report([machine.RunResult(code=0), machine.RunResult(code=1, output=b"too slow\n")],
                                      [machine.RunResult(code=0)])
        self.assertEqual(planned[1], ["//c:d"])
        self.assertEqual(report.cases, [("passed", "kernel 5.10 //a:b", ""), ("passed", "kernel 5.10 //c:d", "")])
        self.assertEqual(report.lines, ["  again //c:d: exit code 1", "    | too slow"])

    def test_what_fails_twice_failed(self):
        report, _ = self.report([machine.RunResult(code=0), machine.RunResult(code=1)], [machine.RunResult(code=1)])
        self.assertEqual(report.cases, [("passed", "kernel 5.10 //a:b", ""), ("failed", "kernel 5.10 //c:d", "exit code 1")])

    def test_what_failed_stays_so_when_there_is_no_time_to_do_it_again(self):
        report, _ = self.report([machine.RunResult(code=0), machine.RunResult(code=1)], [machine.RunResult(late=True)])
        self.assertEqual(report.cases, [("passed", "kernel 5.10 //a:b", ""), (
            "failed", "kernel 5.10 //c:d", "it failed, and no time was left to do it again")])

    def test_what_did_not_end_failed(self):
        report, _ = self.report([machine.RunResult(code=0), machine.RunResult()], [machine.RunResult()])
        self.assertEqual(report.count("failed"), 1)


class Record(unittest.TestCase):
    def kernels(self):
        old = record.Kernel("5.10", "5.10.1", 30, record.features_in("noise\ntcx=fallback: by filters: slower\n"), [
            ("passed", "kernel 5.10 //a:b_test Suite.One", ""),
            ("skipped", "kernel 5.10 //a:b_test Suite.Two/X", "needs tcx (Linux 6.6)"),
        ])
        new = record.Kernel("6.12", "6.12.9", 31, record.features_in("tcx=native: by links\nnew=absent: not there\n"), [
            ("passed", "kernel 6.12 //a:b_test Suite.One", ""),
            ("passed", "kernel 6.12 //a:b_test Suite.Two/X", ""),
            ("passed", "kernel 6.12 //c:d", ""),
        ])
        return [old, new]

    def test_what_is_written_is_read(self):
        read = record.parse(record.text(self.kernels(), ["commit 1234567"]).splitlines())
        self.assertEqual(read.sources, ["commit 1234567"])
        self.assertEqual(read.kernels, [("5.10", "5.10.1", 30), ("6.12", "6.12.9", 31)])
        self.assertEqual(read.features, {"tcx": {"5.10": "fallback", "6.12": "native"}, "new": {"5.10": "-", "6.12": "absent"}})
        self.assertEqual(read.notes["tcx", "5.10"], "by filters: slower")
        self.assertEqual(read.cases, {
            ("//a:b_test", "Suite.One"): {"5.10": "passed", "6.12": "passed"},
            ("//a:b_test", "Suite.Two/X"): {"5.10": "skipped", "6.12": "passed"},
            ("//c:d", "-"): {"5.10": "-", "6.12": "passed"},
        })
        self.assertEqual(read.reasons, {("5.10", "//a:b_test", "Suite.Two/X"): "needs tcx (Linux 6.6)"})

    def test_a_fault_names_its_line(self):
        with self.assertRaisesRegex(record.RecordError, "^read record:2: "):
            record.parse(["kernel 5.10 5.10.1 30", "case //a:b Suite.One passed failed"])
        with self.assertRaisesRegex(record.RecordError, "read record:1: unknown kind of line kernle"):
            record.parse(["kernle 5.10 5.10.1 30"])


if __name__ == "__main__":
    unittest.main()
