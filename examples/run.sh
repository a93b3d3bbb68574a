#!/usr/bin/env bash
# Sets up, then compiles the example kernels, runs them on the host and on RISC-V, and checks the results.
source "$(dirname "${BASH_SOURCE[0]}")/../tools/environment.sh"
exec python examples/run.py "$@"
