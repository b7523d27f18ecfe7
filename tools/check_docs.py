#!/usr/bin/env python3
"""Checks the Markdown files that git knows or would add; tools/lint runs it.

A relative link must lead to a file. When that is a test (its name says so), the
link's text is the name of a test or of a row in it and must stand there: so every
claim that names its test names one that exists.
"""

import os
import re
import subprocess
import sys

LINK = re.compile(r"\[([^\]\[]+)\]\(([^)\s]+)\)")


def main():
    root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    os.chdir(root)
    names = subprocess.run(
        ["git", "-c", "safe.directory=" + root, "ls-files", "-z", "--cached",
         "--others", "--exclude-standard", "--", "*.md"],
        check=True, capture_output=True, text=True).stdout.split("\0")
    faults = 0
    for name in sorted(set(filter(os.path.isfile, names))):
        with open(name, encoding="utf-8") as file:
            lines = file.read().split("\n")
        for number, line in enumerate(lines, 1):
            for text, target in LINK.findall(line):
                if re.match(r"[a-z]+:|#", target):
                    continue
                path = os.path.normpath(
                    os.path.join(os.path.dirname(name), target.split("#")[0]))
                fault = None
                if not os.path.exists(path):
                    fault = f"{target}: no such file"
                elif re.search(r"_test\.[a-z]+$", path):
                    with open(path, encoding="utf-8") as file:
                        word = text.strip("`")
                        if not re.search(rf"\b{re.escape(word)}\b", file.read()):
                            fault = f"{word}: not in {path}"
                if fault:
                    print(f"check_docs: {name}:{number}: {fault}", file=sys.stderr)
                    faults += 1
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
