"""The artifact cache: keys, damage, directories that cannot be used, several processes at once."""

import errno
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest

from vertebra.core import cache
from vertebra.core.target import Core, VectorUnit

ENTRY = {"object": bytes(range(256)) + b"\n\n", "scratch_bytes": 384, "note": "é"}
KEY = cache.key("entry")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stored(folder) -> Path:
    """The file of the one entry that there is."""
    cache.store(KEY, ENTRY)
    (path,) = folder.rglob("*.bin")
    return path


def test_an_entry_comes_back():
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY


def test_an_unknown_key_has_no_entry():
    assert cache.load(KEY) is None


def test_a_later_entry_wins():
    cache.store(KEY, ENTRY)
    cache.store(KEY, ENTRY | {"object": b""})
    assert cache.load(KEY) == ENTRY | {"object": b""}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:16],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:40] + bytes([data[40] ^ 0x80]) + data[41:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"\x7fELF" * 100,
    ],
    ids=["empty", "half-a-digest", "cut", "longer", "digest", "header", "object", "other-file"],
)
def test_a_damaged_entry_is_dropped_and_can_be_built_again(folder, damage):
    path = stored(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.load(KEY) is None
    assert not path.exists()
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY


def test_a_damaged_entry_that_cannot_be_removed_is_no_error(folder, monkeypatch):
    path = stored(folder)
    path.write_bytes(b"damaged")

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    assert cache.load(KEY) is None


def test_an_entry_that_is_a_folder_is_no_error(folder):
    path = stored(folder)
    path.unlink()
    path.mkdir()
    assert cache.load(KEY) is None
    cache.store(KEY, ENTRY)
    assert list(path.parent.iterdir()) == [path]


def test_a_cache_folder_that_is_a_file_costs_only_speed(folder):
    folder.write_text("in the way")
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) is None


def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    path = stored(folder)
    path.unlink()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache.store(KEY, ENTRY)
    assert list(path.parent.iterdir()) == []


def test_without_a_home_the_cache_is_in_the_temporary_folder(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("VERTEBRA_CACHE_DIR")
    monkeypatch.setattr(Path, "home", homeless)
    assert str(os.getuid()) in cache.cache_dir().name


# -- keys

CORE = Core(
    name="toy",
    target="host",
    arch="riscv64",
    triple="riscv64-unknown-linux-gnu",
    isa="rv64gcv",
    vector=VectorUnit(256, arithmetic=frozenset({"f16", "f32", "f64"})),
    features=("+v",),
    emulator={"vlen": "256", "v": "true"},
)


CHANGES = [
    {"name": "other"},
    {"features": ("+v", "+zvfh")},
    {"vector": attrs.evolve(CORE.vector, bits=512)},
    {"vector": attrs.evolve(CORE.vector, arithmetic=frozenset({"f32", "f64"}))},
    {"emulator": {"vlen": "512", "v": "true"}},
    {"emulator": MappingProxyType({"vlen": "512", "v": "true"})},
    {"clock": 1.7},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: next(iter(c)))
def test_a_key_follows_every_field_of_a_record(change):
    assert cache.key("text", attrs.evolve(CORE, **change)) != cache.key("text", CORE)


def test_a_key_tells_its_parts_apart():
    calls = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", None), (["a", "b"],)]
    assert len({cache.key(*parts) for parts in calls}) == 5


def test_the_order_of_dictionaries_and_the_kind_of_mapping_do_not_matter():
    turned = attrs.evolve(CORE, emulator=MappingProxyType({"v": "true", "vlen": "256"}))
    assert cache.key(turned) == cache.key(CORE)


def test_what_has_no_value_of_its_own_is_no_part_of_a_key():
    with pytest.raises(TypeError, match="object cannot be part"):
        cache.key(object())


def test_keys_are_the_same_in_every_process():
    """Sets of strings are ordered differently there."""
    program = (
        "from vertebra.core import cache, hooks; from vertebra.core.target import VectorUnit; "
        "print(cache.key(VectorUnit(1, arithmetic=frozenset('f8 f16 bf16 f32 f64 i8 i16 i32'.split()))), "
        "cache.key(hooks.cores()))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(keys) == 1


# -- at once


def _work(number: int, seconds: float) -> int:
    """Stores and loads one key over and over; the number of entries that were wrong."""
    wrong = 0
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        size = number * 1000 + 1
        cache.store(KEY, {"object": bytes([number]) * size, "scratch_bytes": size})
        found = cache.load(KEY)
        wrong += found is None or found["object"] != bytes([found["object"][0]]) * found["scratch_bytes"]
    return wrong


def test_processes_that_write_one_entry_at_once_always_read_a_whole_one(folder):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert sum(pool.starmap(_work, [(n, 0.2) for n in range(8)])) == 0
    assert [path.suffix for path in folder.rglob("*") if path.is_file()] == [".bin"]


def test_threads_that_write_one_entry_at_once_always_read_a_whole_one():
    wrong = []
    threads = [threading.Thread(target=lambda n=n: wrong.append(_work(n, 0.1))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 4
