"""Tests.

    load("//tools/bazel:test.bzl", "fuzz_target", "golden_test", "privileged_test", "unit_test")
"""

_GTEST = ["//third_party/system:gtest_main"]

def unit_test(name, srcs = None, deps = [], **kwargs):
    """A cc_test with GoogleTest and its main(); srcs is <name>.cc unless given."""
    native.cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        size = kwargs.pop("size", "small"),
        deps = deps + _GTEST,
        **kwargs
    )

def privileged_test(name, srcs = None, deps = [], tags = [], **kwargs):
    """A unit_test that needs root: outside the sandbox, and alone.

    The kernel refuses bpf(2) inside Bazel's sandbox even to root. tools/test runs these
    in a pass of their own. The test skips itself naming the capability it lacks.
    """
    native.cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        size = kwargs.pop("size", "medium"),
        tags = tags + ["local", "exclusive", "requires-root"],
        deps = deps + _GTEST,
        **kwargs
    )

def golden_test(name, binary, golden, args = [], data = [], exit_code = 0, **kwargs):
    """Runs a program and compares its standard output with a text file of the tree.

    `bazel run //package:name -- --update` rewrites the file.

    Args:
      name: the test.
      binary: the program.
      golden: the expected output, a file of this package or an exported one.
      args: of the program, as in any test: $(location) of something in data is expanded, and
        Bazel splits at blanks like a shell (write "'two words'").
      data: what the program reads.
      exit_code: that the program must have.
      **kwargs: passed on to sh_test.
    """
    native.sh_test(
        name = name,
        size = kwargs.pop("size", "small"),
        srcs = ["//tools/bazel:golden_test.sh"],
        args = ["$(location %s)" % binary, "$(location %s)" % golden, str(exit_code)] + args,
        data = data + [binary, golden],
        **kwargs
    )

def fuzz_target(name, srcs = None, corpus = [], deps = [], runs = 20000, max_len = 4096, **kwargs):
    """A function LLVMFuzzerTestOneInput, as a test and as a libFuzzer program.

    In an ordinary build (any compiler, any sanitizer) the test feeds it each corpus file
    and then `runs` mutations of them from a fixed seed, so it always does the same and ends.
    That keeps old findings fixed; it finds little that is new. To look for new ones:

        bazel run --config=fuzz //package:name -- -max_total_time=600 [directory]

    Args:
      name: the test; its source is <name>.cc unless srcs is given.
      srcs: the sources, without main().
      corpus: seed files, each a label of one file (as glob() gives them).
      deps: what is fuzzed.
      runs: mutations in the test.
      max_len: longest mutated input in bytes.
      **kwargs: passed on to cc_test.
    """
    native.cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        size = kwargs.pop("size", "small"),
        args = [
            "-max_len=%d" % max_len,
            "-seed=1",
        ] + ([
            "-seed_inputs=" + ",".join(["$(location %s)" % file for file in corpus]),
        ] if corpus else []) + select({
            "//tools/bazel:libfuzzer": ["-max_total_time=60"],
            "//conditions:default": ["-runs=%d" % runs],
        }),
        data = corpus,
        deps = deps + select({
            "//tools/bazel:libfuzzer": [],
            "//conditions:default": ["//tools/bazel:fuzz_replay_main"],
        }),
        linkopts = select({
            "//tools/bazel:libfuzzer": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        **kwargs
    )
