"""Compiled artifacts on disk: one file an entry, safe under several processes.

An entry is written beside its place and renamed into it, and carries a checksum:
what does not match is deleted and built again.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Set
from pathlib import Path

import attrs

_DIGEST = 32


def cache_dir() -> Path:
    """$VERTEBRA_CACHE_DIR, or ~/.cache/vertebra; the temporary folder where there is no home."""
    if chosen := os.environ.get("VERTEBRA_CACHE_DIR"):
        return Path(chosen)
    try:
        return Path.home() / ".cache" / "vertebra"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"vertebra-{os.getuid()}"


def key(*parts: object) -> str:
    """A name that changes when any of `parts` (plain data, sets and attrs records) does.

    It is the same in every process, whatever the order of sets and dictionaries there.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: object) -> object:
    if attrs.has(type(value)):
        # A field that makes no two records differ changes no key either.
        fields = attrs.fields(type(value))  # type: ignore[arg-type]  # has() told
        return {field.name: getattr(value, field.name) for field in fields if field.eq}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value, key=repr)
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"a {type(value).__name__} cannot be part of a cache key")


def _path(name: str) -> Path:
    return cache_dir() / "kernels" / name[:2] / f"{name}.bin"


def load(name: str) -> dict | None:
    """The entry, or None where there is none or it is damaged."""
    path = _path(name)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, payload = data[:_DIGEST], data[_DIGEST:]
    if hashlib.sha256(payload).digest() != digest:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    header, _, obj = payload.partition(b"\n")
    return {**json.loads(header), "object": obj}


def store(name: str, entry: dict) -> None:
    """Keeps `entry`: plain data, and bytes under "object".

    A directory that cannot be written costs speed, never the result.
    """
    path = _path(name)
    header = {field: value for field, value in entry.items() if field != "object"}
    payload = json.dumps(header).encode() + b"\n" + entry["object"]
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            unfinished = file.name
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(unfinished, path)
    except OSError:
        if unfinished is not None:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
