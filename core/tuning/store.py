"""Results of tuning in one file, which several processes may write and people may share.

A writer takes the lock beside the file, reads it again, adds its results and puts a new file in
its place, so that nothing is lost and no reader sees half of it.
"""

import contextlib
import fcntl
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vertebra.core.errors import ConfigError
from vertebra.core.tuning.records import FORMAT, Result, from_json, to_json

VARIABLE = "VERTEBRA_TUNING"
NAME = "vertebra-tuning.json"


def chosen(folder: str | os.PathLike) -> Path | None:
    """$VERTEBRA_TUNING, or a file in `folder`; None where it is "0", and nothing is to be kept."""
    text = os.environ.get(VARIABLE)
    if text == "0":
        return None
    return Path(text) if text else Path(folder) / NAME


def read(path: Path) -> dict[str, Result]:
    """Identity -> result; nothing where there is no file.  Raises ConfigError, OSError."""
    try:
        entries = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:  # no JSON, or no text at all
        raise _damaged(path, str(error)) from None
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise _damaged(path, f'its "format" is not {FORMAT}')
    results = entries.get("results")
    if not isinstance(results, dict):
        raise _damaged(path, 'its "results" is not a table of results')
    found = {}
    for name, entry in results.items():
        try:
            result = from_json(entry)
        except ConfigError as error:
            raise _damaged(path, f"result {name}: {error.message}", error.fix) from None
        found[result.identity] = result
    return found


def _damaged(path: Path, why: str, fix: str | None = None) -> ConfigError:
    return ConfigError(
        f"{path} is no file of tuning results: {why}",
        fix=fix or f"repair or delete it, or name another one in {VARIABLE}",
    )


def text(results: Iterable[Result]) -> str:
    """The file's text."""
    entries = {result.identity: to_json(result) for result in results}
    return json.dumps({"format": FORMAT, "results": entries}, indent=1, ensure_ascii=False) + "\n"


def add(path: Path, results: Iterable[Result]) -> None:
    """Puts `results` into the file, in place of older ones of the same identity.

    Raises ConfigError, OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        known = read(path)
        if path.exists() and not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(13, "the file is read-only", str(path))
        replace(path, text((known | {result.identity: result for result in results}).values()))


def replace(path: Path, content: str) -> None:
    """Writes the whole file at once.  Raises OSError."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(content)
        os.chmod(unfinished, 0o666 & ~_umask())  # mkstemp keeps its files to one user
        os.replace(unfinished, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path.with_name(path.name + ".lock"), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


_said: set[str] = set()


def say(message: str) -> None:
    """On standard error, each message once in a process: tuning goes on without the file."""
    if message not in _said:
        _said.add(message)
        print(f"vertebra: {message}", file=sys.stderr)


def find(path: Path | None, identity: str) -> Result | None:
    """The kept result; None, and a word on standard error, where the file cannot be used."""
    return _tried(path, lambda file: read(file).get(identity))


def keep(path: Path | None, result: Result) -> None:
    """Adds `result`, or says on standard error why it cannot."""
    _tried(path, lambda file: add(file, [result]))


def _tried(path: Path | None, work):
    if path is None:
        return None
    try:
        return work(path)
    except ConfigError as error:
        say(f"{error}\nuntil then results of tuning are neither found nor kept")
    except OSError as error:
        say(f"{error.filename or path}: {error.strerror or error}; results of tuning are not kept")
    return None


def select(results: Mapping[str, Result], kernel: str | None, core: str | None) -> list[Result]:
    """Those of a kernel and of a core, where they are named; by kernel, core and date."""
    found = [
        result
        for result in results.values()
        if kernel in (None, result.subject.kernel) and core in (None, result.conditions.core)
    ]
    return sorted(found, key=lambda r: (r.subject.kernel, r.conditions.core, r.date))
