#!/usr/bin/env bash
# Sets up, checks the style, and runs all tests.
source "$(dirname "${BASH_SOURCE[0]}")/../tools/environment.sh"
ruff check .
ruff format --check --quiet .
exec python -m pytest -n auto "$@"
