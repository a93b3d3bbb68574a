# Sourced by the run scripts: makes .environment beside this checkout, with vertebra and its tests installed,
# and installs the system packages that are missing (as root), or names them in one line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
command -v qemu-riscv64 >/dev/null || missing+=(qemu-user)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "missing system packages; install them with: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi

[ -x .environment/bin/python ] || python3 -m venv .environment
. .environment/bin/activate
if ! cmp -s pyproject.toml .environment/installed-from; then
  python -m pip install --quiet --disable-pip-version-check -e '.[test]'
  cp pyproject.toml .environment/installed-from
fi
