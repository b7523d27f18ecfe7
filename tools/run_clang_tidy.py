"""Runs clang-tidy on C++ sources with the commands that Bazel compiles them with.

Called by tools/lint --tidy from the root of the tree, with the files to check. Headers
are checked with the sources that include them, BPF programs (.bpf.c) are not: what they
share with the host is a header.
"""

import concurrent.futures
import json
import os
import subprocess
import sys

# GCC's own, and what only concerns the output.
DROPPED_FLAGS = {
    "-fno-canonical-system-headers",
    "-Wunused-but-set-parameter",
    "-Wno-free-nonheap-object",
    "-MD",
    "-Werror",
}
DROPPED_WITH_VALUE = {"-MF", "-o"}


def bazel(*arguments):
    return subprocess.run(
        ["bazel", *arguments], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True).stdout


def compile_commands():
    """Returns the command for each compiled source, by its path from the root."""
    graph = json.loads(bazel(
        "aquery", "--output=jsonproto", "--include_artifacts=false",
        "--features=-compiler_param_file", 'mnemonic("CppCompile", //...)'))
    output = bazel("info", "output_path").strip()
    commands = {}
    for action in graph.get("actions", []):
        arguments = action["arguments"]
        if "-c" not in arguments:
            continue
        source = arguments[arguments.index("-c") + 1]
        if source.startswith("bazel-out/") or source.startswith("external/"):
            continue
        command = ["clang++" if source.endswith(".cc") else "clang"]
        skip = False
        for argument in arguments[1:]:
            if skip or argument in DROPPED_FLAGS:
                skip = False
            elif argument in DROPPED_WITH_VALUE:
                skip = True
            else:
                # The convenience symlink bazel-out need not be there.
                command.append(output + argument[len("bazel-out"):]
                               if argument.startswith("bazel-out/") else argument)
        commands[source] = command + ["-Wno-unknown-warning-option"]
    return commands


def main(files):
    try:
        bazel("build", "--keep_going", "//...")  # for the generated headers
        commands = compile_commands()
    except subprocess.CalledProcessError as error:
        print(f"tidy: {' '.join(error.cmd)}: exit code {error.returncode}\n{error.stderr}",
              file=sys.stderr)
        return 1
    sources = [file for file in files if file.endswith((".c", ".cc")) and file in commands]
    for file in files:
        if file.endswith(".cc") and file not in commands:
            print(f"tidy: {file}: in no Bazel target, not checked", file=sys.stderr)

    def check(source):
        command = commands[source]
        return source, subprocess.run(
            ["clang-tidy", "--quiet", source, "--", *command[1:]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, result in pool.map(check, sources):
            if result.returncode != 0:
                failed += 1
                print(result.stdout, result.stderr, sep="\n", file=sys.stderr)
    print(f"tidy: {len(sources)} sources checked, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
