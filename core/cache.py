"""Compiled artifacts on disk: one file an entry, safe under several processes.

An entry is written beside its place and renamed into it, and carries a checksum:
what does not match is deleted and built again.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

_DIGEST = 32


def cache_dir() -> Path:
    """$VERTEBRA_CACHE_DIR, or ~/.cache/vertebra."""
    chosen = os.environ.get("VERTEBRA_CACHE_DIR")
    return Path(chosen) if chosen else Path.home() / ".cache" / "vertebra"


def key(*parts: object) -> str:
    """A name that changes when any of `parts` (plain data and sets) does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=sorted).encode()).hexdigest()


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
        path.unlink(missing_ok=True)
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(file.name, path)
    except OSError:
        return
