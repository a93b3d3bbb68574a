"""Trials of instructions on vector registers, and runs of many trials as one program."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np

from vertebra.core.errors import ConfigError
from vertebra.core.instruction import Instruction
from vertebra.core.matrix import modes_of
from vertebra.core.target import Core
from vertebra.core.trial import Trial
from vertebra.core.vector_state import VectorState
from vertebra.kit.machine import Step, assemble

_ALIGNMENT = 64  # bytes, of what a trial reads and of its results
_WIDTHS = (8, 16, 32)
# The two pointers are kept in registers of the caller's, which the trials leave alone.
_KEEP = "addi sp, sp, -16\n    sd s0, 0(sp)\n    sd s1, 8(sp)\n    mv s0, a1\n    mv s1, a2"
_RESTORE = "ld s0, 0(sp)\n    ld s1, 8(sp)\n    addi sp, sp, 16"


def why_not(core: Core, record: Instruction) -> str | None:
    """Why `record` cannot be tried on `core`; None where it can."""
    if record.trials is not None:
        return None
    if core.arch != "riscv64" or "+v" not in core.features:
        return f"core {core.name} has no RISC-V vector registers"
    files = {operand.file for operand in record.operands}
    if "v" not in files or files - {"v", ""}:
        return f"{record.name} uses registers other than v0 to v31, and its plugin gives no trials of it"
    return None


def trials_of(core: Core, record: Instruction, random: np.random.Generator) -> Iterator[Trial]:
    """Endlessly many trials of `record`, which `core` has; where `why_not` knows nothing against it."""
    if record.trials is not None:
        return record.trials(record, core, random)
    return _vector_trials(core, record, random)


def try_all(core: Core, trials: Sequence[Trial]) -> None:
    """Runs `trials` on `core`, in one launch.  Raises AssertionError with what differs, or LaunchError."""
    lines, given, results = [_KEEP], 0, 0
    places = []
    for trial in trials:
        lines += [f"li t0, {given}", "add a1, s0, t0", f"li t0, {results}", "add a2, s1, t0", trial.text]
        places.append((slice(given, given + trial.given.size), slice(results, results + trial.size)))
        given, results = (_aligned(end.stop) for end in places[-1])
    kernel = assemble(core, "\n    ".join([*lines, _RESTORE]))
    before, after = _empty(given), _empty(results)
    for trial, (place, _) in zip(trials, places, strict=True):
        before[place] = trial.given
    kernel.launch((1, 1, 1), (before, after))
    wrong = []
    for trial, (place, result) in zip(trials, places, strict=True):
        try:
            trial.check(before[place], after[result])
        except AssertionError as error:
            wrong.append(str(error))
    assert not wrong, f"{len(wrong)} of {len(trials)} differ:\n" + "\n".join(wrong)


def _aligned(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT


def _empty(count: int) -> np.ndarray:
    """`count` bytes, all zero, and at least one, from an aligned address on."""
    room = np.zeros(max(count, 1) + _ALIGNMENT, np.uint8)
    start = -room.ctypes.data % _ALIGNMENT
    return room[start : start + max(count, 1)]


# --- Vector registers ----------------------------------------------------------------------------


def _vector_trials(core: Core, record: Instruction, random: np.random.Generator) -> Iterator[Trial]:
    """Random operands in random registers, in every mode in turn; all 32 registers are compared."""
    turn = 0
    while True:
        for mode in modes_of(record):
            numbers = legal_operands(record, random)
            before = VectorState(
                interesting(random, core.vlen), _WIDTHS[turn % len(_WIDTHS)], mode.name if mode else ""
            )
            want = copy.deepcopy(before)
            with np.errstate(all="ignore"):
                record.run(want, **numbers)
            step = Step(record.encode(**numbers), before, mode=mode)
            yield _vector_trial(step, want.v, f"{record.text(**numbers)} {before.mode}".strip())
        turn += 1


def _vector_trial(step: Step, want: np.ndarray, name: str) -> Trial:
    def check(given: np.ndarray, results: np.ndarray) -> None:
        np.testing.assert_array_equal(results.reshape(want.shape), want, err_msg=name)

    return Trial(step.text(), step.before.v.reshape(-1), want.size, check)


def legal_operands(record: Instruction, random: np.random.Generator) -> dict[str, int]:
    """Some operands that `record` takes."""
    while True:
        numbers = {
            o.name: int(random.integers(record.limit(o) // o.multiple)) * o.multiple for o in record.operands
        }
        try:
            record.check(**numbers)
        except ConfigError:
            continue
        return numbers


def interesting(random: np.random.Generator, vlen: int) -> np.ndarray:
    """Random bits, in some registers floats of usual size, and in a few one byte over and over."""
    v = random.integers(0, 256, (32, vlen // 8), np.uint8)
    v[8:16] = random.standard_normal((8, vlen // 16)).astype(np.float16).view(np.uint8)
    bits = random.standard_normal((8, vlen // 16)).astype(np.float32).view(np.uint32)
    v[16:24] = (bits >> 16).astype(np.uint16).view(np.uint8)
    v[24:28] = random.standard_normal((4, vlen // 32)).astype(np.float32).view(np.uint8)
    for number in random.integers(0, 32, 4):
        v[number] = random.choice(np.array([0x00, 0x7F, 0x80, 0xFF], np.uint8))
    return v
