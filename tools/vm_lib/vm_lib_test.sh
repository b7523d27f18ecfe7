#!/bin/bash
# Bazel's own way to start Python wants a program named python, which Debian has not.
cd "$(dirname "${BASH_SOURCE[0]}")/.." && exec python3 -B -m unittest vm_lib.vm_lib_test
