"""core/explain/words.py"""

from vertebra.core import hooks
from vertebra.core.explain.places import Line
from vertebra.core.explain.words import with_names
from vertebra.core.roofline.model import reader_of

WORD = hooks.instructions()["smt.vmadot.i8"].encode(vd=16, vs1=2, vs2=3)


def named(*texts: str) -> list[str]:
    core = hooks.cores()["spacemit-a60"]
    return [line.text for line in with_names([Line(t) for t in texts], reader_of(core), hooks.instructions())]


def test_words_of_known_instructions_are_named():
    assert named(f"    .insn 4, {WORD:#x}") == [f"    .insn 4, {WORD:#x} # smt.vmadot v16, v2, v3"]
    assert named("    .insn r 43, 0, 82, zero, a0, s1") == [
        "    .insn r 43, 0, 82, zero, a0, s1 # ame.acquire x0, x10"
    ]


def test_all_others_stay_as_they_are():
    others = ["    .insn 4, 0xffffffff", "    addi a0, a0, 1", ".insn:", "    .word 7", "    .insn r a, b"]
    assert named(*others) == others
