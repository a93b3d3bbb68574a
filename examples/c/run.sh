#!/usr/bin/env bash
# Makes a library of kernels, links main.c with it by the bundled C compiler, and runs that: on this machine,
# and with --core on any other, RISC-V under QEMU.
#
#     bash examples/c/run.sh [--core NAME]...      # default: host, spacemit-x60 and spacemit-a60
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/environment.sh"
exec python examples/c/run.py "$@"
