#!/usr/bin/env bash
# Sets up, checks the style, builds the documentation, and runs all tests.
PROGRAMS="chromium gdb"
source "$(dirname "${BASH_SOURCE[0]}")/../tools/environment.sh"
ruff check .
ruff format --check --quiet .
NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict --site-dir .environment/site
exec python -m pytest -n auto "$@"
