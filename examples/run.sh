#!/usr/bin/env bash
# Sets up, then compiles the example kernels, runs them on the host and on RISC-V, and checks the results; then
# makes a library of some of them and runs a C program that links it.
source "$(dirname "${BASH_SOURCE[0]}")/../tools/environment.sh"
python examples/run.py "$@"
[ $# -gt 0 ] || python examples/c/run.py
