"""Reads what a `bazel test` did and tells it test by test; used by tools/test.

Usage: report_tests.py EVENTS RESULTS
EVENTS is the file of --build_event_json_file. For each GoogleTest case, for each test
that has no cases, and for each target that did not build, a line
"passed|failed|skipped TAB name TAB detail" is appended to RESULTS. One line for each
target goes to standard output.
"""

import collections
import json
import os
import sys
import urllib.parse
import xml.etree.ElementTree


def path_of(uri):
    return urllib.parse.unquote(urllib.parse.urlparse(uri).path)


def one_line(text):
    return " ".join(text.split())



def cases_of(xml_path):
    """Returns [(status, name, detail)] for the cases in a test.xml."""
    try:
        root = xml.etree.ElementTree.parse(xml_path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return []
    cases = []
    for case in root.iter("testcase"):
        suite = case.get("classname") or ""
        name = f"{suite}.{case.get('name')}" if suite else case.get("name")
        if case.find("failure") is not None or case.find("error") is not None:
            cases.append(("failed", name, ""))
        elif case.find("skipped") is not None:
            # GoogleTest writes "file:line\nmessage".
            text = case.find("skipped").get("message") or ""
            cases.append(("skipped", name, one_line(text.split("\n", 1)[-1])))
        elif case.get("status") == "notrun":
            cases.append(("skipped", name, "disabled"))
        else:
            cases.append(("passed", name, ""))
    return cases


class Target:
    def __init__(self):
        self.status = None  # of the testSummary
        self.attempts = {}  # (run, shard) -> (attempt, testResult)
        self.cached = False

    def add_result(self, identity, result):
        key = (identity.get("run", 1), identity.get("shard", 1))
        attempt = identity.get("attempt", 1)
        if attempt >= self.attempts.get(key, (0, None))[0]:
            self.attempts[key] = (attempt, result)
        self.cached = bool(
            result.get("cachedLocally")
            or result.get("executionInfo", {}).get("cachedRemotely"))

    def seconds(self):
        return sum(int(result.get("testAttemptDurationMillis", 0))
                   for _, result in self.attempts.values()) / 1000

    def cases(self, label):
        found = []
        for _, result in self.attempts.values():
            for output in result.get("testActionOutput", []):
                if output["name"] == "test.xml":
                    found += cases_of(path_of(output["uri"]))
        # Bazel itself writes a file with one case for tests that write none; it is named
        # after the target.
        path = label[2:].replace(":", "/")
        found = [(status, label if name == path else name, detail)
                 for status, name, detail in found]
        # A crash, a leak, a time-out or a bad exit code may come without a failed case.
        verdict = self.status or "NO_STATUS"
        failed = any(case[0] == "failed" for case in found)
        if verdict not in ("PASSED", "FLAKY") and not failed:
            found.append(("failed", label, verdict.lower()))
        if not found:
            found.append(("failed", label, "has no test cases"))
        return found


def read_events(path):
    """Returns ({label: Target}, [(label, reason)] for what did not build)."""
    targets = collections.defaultdict(Target)
    unbuilt = {}
    with open(path, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            identity = event["id"]
            if "testResult" in identity and "testResult" in event:
                label = identity["testResult"]["label"]
                targets[label].add_result(identity["testResult"], event["testResult"])
            elif "testSummary" in identity and "testSummary" in event:
                label = identity["testSummary"]["label"]
                targets[label].status = event["testSummary"].get("overallStatus")
            elif "targetCompleted" in identity:
                label = identity["targetCompleted"]["label"]
                if not event.get("completed", {}).get("success"):
                    unbuilt[label] = "did not build"
    return targets, unbuilt


def main(events_path, results_path):
    if not os.path.exists(events_path):
        return
    targets, unbuilt = read_events(events_path)
    with open(results_path, encoding="utf-8") as results:
        told = {tuple(line.split("\t")[:2]) for line in results}
    with open(results_path, "a", encoding="utf-8") as results:
        for label, reason in sorted(unbuilt.items()):
            if ("failed", label) in told:  # by an earlier pass
                continue
            print(f"  FAIL  {label}: {reason}")
            results.write(f"failed\t{label}\t{reason}\n")
        for label, target in sorted(targets.items()):
            if label in unbuilt or not target.attempts:
                continue
            cases = target.cases(label)
            count = collections.Counter(case[0] for case in cases)
            word = ("FAIL" if count["failed"] else
                    "pass" if count["passed"] else "skip")
            numbers = ", ".join(f"{count[status]} {status}"
                                for status in ("passed", "failed", "skipped") if count[status])
            took = "cached" if target.cached else f"{target.seconds():.1f} s"
            print(f"  {word}  {label}: {numbers} ({took})")
            for _, name, detail in (case for case in cases if case[0] == "failed"):
                print(f"          failed {name}" + (f": {detail}" if detail else ""))
            reasons = collections.Counter(case[2] for case in cases if case[0] == "skipped")
            for reason, number in reasons.items():
                print(f"          skipped {number}: {reason or 'no reason given'}")
            for status, name, detail in cases:
                full = label if name == label else f"{label} {name}"
                results.write(f"{status}\t{full}\t{detail}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
