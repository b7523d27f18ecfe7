"""The list of the tests that run under every kernel."""

import argparse
import dataclasses
import os
import shlex


class SuiteError(Exception):
    """The suite cannot be read or built."""


@dataclasses.dataclass
class Test:
    """A line of the list."""

    label: str
    tools: list
    data: list
    environment: dict
    seconds: int
    slow: bool = False

    def binary(self, bin_directory):
        package, _, name = self.label[2:].partition(":")
        return os.path.join(bin_directory, package, name or os.path.basename(package))


class _LineParser(argparse.ArgumentParser):
    def error(self, message):
        raise SuiteError(message)


def read(path):
    """Reads a list of tests; a fault names its line."""
    parser = _LineParser(add_help=False)
    parser.add_argument("label")
    parser.add_argument("--with", action="append", default=[], dest="tools")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--timeout", type=int, default=300)
    parser.add_argument("--slow", action="store_true")
    tests = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                words = shlex.split(line, comments=True)
                if not words:
                    continue
                options = parser.parse_args(words)
                if not options.label.startswith("//"):
                    raise SuiteError("a label begins with //")
                if any("=" not in setting for setting in options.env):
                    raise SuiteError("--env wants NAME=VALUE")
            except (SuiteError, ValueError) as error:
                raise SuiteError(f"read {path}:{number}: {error}") from error
            tests.append(Test(options.label, options.tools, [entry.partition(":")[::2] for entry in options.data],
                              dict(setting.split("=", 1) for setting in options.env), options.timeout, options.slow))
    return tests
