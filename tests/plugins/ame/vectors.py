"""Test vectors of the draft: states before and after single words, and sequences of words.

vectors.json has, for each, the name, the configuration, the word with its text, what is to happen, and
both states: registers with the code of their type and their content as mls.rm and mss.rm transfer it,
or the bits of one register (`unit_image`), x registers (["buffer", offset] for an address), control
registers and a buffer.  What is not listed under "after" stays.
"""

import functools
import json
from pathlib import Path

import numpy as np

from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.state import State, split
from vertebra.plugins.ame.types import Type

CONFIGS = {"U8N4": Geometry(n=4, u=8), "U32N4": Geometry(n=4, u=32)}
BASE = 0x4000  # where the buffer is, for the NumPy semantics


@functools.cache
def _all() -> dict:
    return json.loads((Path(__file__).parent / "vectors.json").read_text())


def vectors() -> list[dict]:
    return _all()["vectors"]


def sequences() -> list[dict]:
    return _all()["sequences"]


def image(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8).copy()


def value(given, base: int) -> int:
    return base + given[1] if isinstance(given, list) else given


def put(state: State, part: dict) -> None:
    """Writes what a "before" or an "after" lists into `state`, without its buffer."""
    width = state.geometry.register_bytes
    for number, given in part.get("m", {}).items():
        number = int(number)
        if "type" in given:
            state.md[number] = given["type"]
        data = image(given.get("image", given.get("unit_image", "")))
        count = data.size // width
        state.m[number : number + count] = data.reshape(count, width)
    for number, given in part.get("acc", {}).items():
        number = int(number)
        state.ad[number] = given["type"]
        if "image" in given:
            state.acc[number] = split(image(given["image"]), Type(given["type"]).bits).reshape(
                state.acc[number].shape
            )
    for number, given in part.get("x", {}).items():
        state.x[int(number)] = value(given, state.base)
    state.csr.update(part.get("csr", {}))


def state_before(vector: dict) -> State:
    before = vector["before"]
    state = State.zeros(CONFIGS[vector["config"]], image(before.get("buffer", "")), BASE)
    put(state, before)
    return state


def state_after(vector: dict) -> State:
    """Where the vector lists no amefflags, those of `state_before` are in it."""
    state = state_before(vector)
    put(state, vector["after"])
    if "buffer" in vector["after"]:
        state.memory = image(vector["after"]["buffer"])
    return state
