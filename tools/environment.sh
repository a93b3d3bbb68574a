# Sourced by the run scripts: makes .environment beside this checkout, with vertebra and its tests installed,
# and installs the system packages that are missing (as root), or names them in one line.  PROGRAMS
# names more that are needed, each by the name of its package, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
command -v qemu-riscv64 >/dev/null || missing+=(qemu-user)
for program in ${PROGRAMS:-}; do
  command -v "$program" >/dev/null || missing+=("$program")
done
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
  python -m pip install --quiet --disable-pip-version-check -e '.[docs,test]'
  cp pyproject.toml .environment/installed-from
fi
