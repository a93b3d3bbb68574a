"""core/riscv.py"""

import pytest

from vertebra.core.errors import ConfigError
from vertebra.core.riscv import features_of, vector_core


def test_features_follow_from_the_name_of_the_instruction_set():
    assert features_of("rv64gcv_zba_zvfh_zvl1024b_xvendor and more") == (
        *("+m", "+a", "+f", "+d", "+c", "+v"),
        *("+zba", "+zvfh", "+zvl1024b"),
    )
    assert features_of("rv64imc") == ("+m", "+c")


@pytest.mark.parametrize("isa", ["rv32gc", "x86_64", "rv64"])
def test_what_is_no_instruction_set(isa):
    with pytest.raises(ConfigError, match="is no instruction set of RISC-V"):
        features_of(isa)


def test_vector_registers_follow_too():
    core = vector_core("acme", isa="rv64gcv_zvl512b", target="rvv", clock=3.0)
    assert (core.vlen, core.vector.group, core.clock, core.arch) == (512, 8, 3.0, "riscv64")
    assert core.vector.arithmetic == {"f32", "f64"}
    half = vector_core("acme", isa="rv64gcv_zfh_zvfh_zvl128b", target="rvv")
    assert half.vlen == 128 and half.vector.arithmetic == half.vector.conversion == {"f16", "f32", "f64"}


def test_their_length_has_to_be_told():
    with pytest.raises(ConfigError, match="core acme: rv64gcv does not say how long") as caught:
        vector_core("acme", isa="rv64gcv", target="rvv")
    assert caught.value.fix == "add _zvl256b"
