"""What a run of the suite under all kernels found out, as a text file that tools/kernel_support makes a page of.

  from TEXT                         which tree was run; more than one line when the record is of more than one run
  kernel KEY VERSION SECONDS        in the order of the columns of what follows
  feature NAME SUPPORT...           what the kernels offer, a word for each kernel
  note NAME KEY DETAIL              what it is good for or, where it is not native, what that costs
  case LABEL NAME OUTCOME...        of each test case, a word for each kernel; "-": not run there
  reason KEY LABEL NAME DETAIL      why a case was skipped
"""

import dataclasses
import re

_FEATURE = re.compile(r"^([a-z0-9_]+)=(native|fallback|absent|unknown): (.*)$", re.M)


class RecordError(Exception):
    """The record cannot be read."""


@dataclasses.dataclass
class Feature:
    name: str
    support: str
    detail: str


@dataclasses.dataclass
class Kernel:
    """`cases` are (status, "kernel KEY //LABEL NAME", detail), as tools/test has them."""

    key: str
    version: str
    seconds: int
    features: list
    cases: list


def features_in(output):
    """The features that a test has printed, one a line."""
    return [Feature(*match.groups()) for match in _FEATURE.finditer(output)]


def _cases(kernel):
    found = {}
    for status, name, detail in kernel.cases:
        words = name.split(" ", 2)[2].split(" ", 1)
        found[words[0], words[1] if len(words) > 1 else "-"] = (status, detail)
    return found


def _in_order(sequences):
    """The items of all sequences, once each, in the order of the first that has them."""
    return list(dict.fromkeys(item for sequence in sequences for item in sequence))


def text(kernels, sources):
    lines = [f"from {source}" for source in sources]
    lines += [f"kernel {kernel.key} {kernel.version} {kernel.seconds}" for kernel in kernels]
    features = [{feature.name: feature for feature in kernel.features} for kernel in kernels]
    for name in _in_order(features):
        lines.append(" ".join(["feature", name, *(of[name].support if name in of else "-" for of in features)]))
        lines += [f"note {name} {kernel.key} {of[name].detail}" for kernel, of in zip(kernels, features) if name in of]
    cases = [_cases(kernel) for kernel in kernels]
    for label, name in _in_order(cases):
        outcomes = [of.get((label, name), ("-", "")) for of in cases]
        lines.append(" ".join(["case", label, name, *(status for status, _ in outcomes)]))
        lines += [f"reason {kernel.key} {label} {name} {detail}" for kernel, (status, detail) in zip(kernels, outcomes)
                  if status == "skipped"]
    return "\n".join(["# Written by tools/vm all --suite --record; see tools/vm_lib/record.py.", *lines, ""])


def write(path, kernels, sources):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text(kernels, sources))


@dataclasses.dataclass
class Record:
    """A record as read: `kernels` are [(key, version, seconds)]; the rest but `sources` is by name, and then by kernel."""

    sources: list = dataclasses.field(default_factory=list)
    kernels: list = dataclasses.field(default_factory=list)
    features: dict = dataclasses.field(default_factory=dict)
    notes: dict = dataclasses.field(default_factory=dict)
    cases: dict = dataclasses.field(default_factory=dict)
    reasons: dict = dataclasses.field(default_factory=dict)


def parse(lines):
    record = Record()
    for number, line in enumerate(lines, 1):
        kind, _, rest = line.rstrip("\n").partition(" ")
        keys = [key for key, _, _ in record.kernels]
        try:
            if kind == "from":
                record.sources.append(rest)
            elif kind == "kernel":
                key, version, seconds = rest.split()
                record.kernels.append((key, version, int(seconds)))
            elif kind == "feature":
                name, *supports = rest.split()
                record.features[name] = dict(zip(keys, supports, strict=True))
            elif kind == "note":
                name, key, detail = rest.split(" ", 2)
                record.notes[name, key] = detail
            elif kind == "case":
                label, name, *outcomes = rest.split()
                record.cases[label, name] = dict(zip(keys, outcomes, strict=True))
            elif kind == "reason":
                key, label, name, detail = rest.split(" ", 3)
                record.reasons[key, label, name] = detail
            elif kind not in ("#", ""):
                raise ValueError(f"unknown kind of line {kind}")
        except ValueError as error:
            raise RecordError(f"read record:{number}: {error}") from error
    return record
