"""What objects say of a kernel's arguments."""

import re

import pytest
import triton
import triton.language as tl

from vertebra.core import compile
from vertebra.core.select import find_core
from vertebra.plugins.triton import aot


@triton.jit
def named(x, out, n, factor, half, flag, wide, N: tl.constexpr):
    i = tl.arange(0, N)
    y = tl.load(x + i, mask=i < n) * factor + half.to(tl.float32)
    tl.store(out + i + wide, tl.where(flag, y, 0.0), mask=i < n)


@triton.jit
def described(source, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i[:, None] * N + i[None, :], source.load([0, 0]) + tl.program_id(1))


def llir_of(fn, signature: str, constexpr: str, core: str = "host") -> str:
    made = aot.compile_function(
        fn, signature=signature, constexpr=constexpr, core=find_core(core), emit="llir"
    )
    return made.data


def variables(llir: str) -> dict[str, tuple[int, str]]:
    """name -> (number among the parameters or 0, its type in C) of every variable that has a value."""
    entries = dict(re.findall(r"^(!\d+) = (?:distinct )?(!DI.*)$", llir, re.MULTILINE))

    def spelt(node: str) -> str:
        text = entries[node]
        if "DW_TAG_pointer_type" in text:
            return spelt(re.search(r"baseType: (!\d+)", text)[1]) + " *"
        return re.search(r'name: "(.*?)"', text)[1]

    found = {}
    for node in re.findall(r"#dbg_value\([^!]*(!\d+)", llir):
        text = entries[node]
        number = re.search(r"arg: (\d+)", text)
        name, kind = re.search(r'name: "(.*?)"', text)[1], re.search(r"type: (!\d+)", text)[1]
        found[name] = (int(number[1]) if number else 0, spelt(kind))
    return found


HIDDEN = {f"{word}_{axis}": (0, "int32_t") for word in ("grid", "program_id") for axis in range(3)}


@pytest.mark.parametrize("core, half", [("host", "_Float16"), ("spacemit-x60", "int16_t")])
def test_every_argument_has_its_type(core, half):
    """Where the core does not compute in a type, it is the integer that has its bits."""
    signature = "*bf16,*fp32,i32,fp64,fp16,i1,i64"
    found = variables(llir_of(named, signature, "N=16", core))
    assert found == HIDDEN | {
        "x": (1, "int16_t *"),
        "out": (2, "float *"),
        "n": (3, "int32_t"),
        "factor": (4, "double"),
        "half": (5, half),
        "flag": (6, "bool"),
        "wide": (7, "int64_t"),
    }


def test_a_constant_is_no_variable():
    found = variables(llir_of(named, "*fp32,*fp32,i32:1,fp32,fp16,i1,i64", "N=16"))
    assert "n" not in found and found["factor"] == (3, "float")


def test_slots_without_a_name_are_left_out():
    found = variables(llir_of(described, "tensordesc<fp32[16,16]>,*fp32", "N=16"))
    assert found["out"][1] == "float *" and HIDDEN.items() <= found.items()


def test_the_function_is_called_as_the_kernel():
    llir = llir_of(named, "*fp32,*fp32,i32,fp32,fp16,i1,i64", "N=16")
    names = re.findall(r'!DISubprogram\(name: "(.*?)"', llir)
    assert names == ["named", "named"]  # one program, and the walk through all of them
    assert 'DIFile(filename: "test_debug_variables.py"' in llir


def test_without_source_positions_nothing_is_told():
    made = aot.compile_function(
        named,
        signature="*fp32,*fp32,i32,fp32,fp16,i1,i64",
        constexpr="N=16",
        core=find_core("host"),
        emit="ttir",
    )
    text = re.sub(r"loc\((?:[^()]|\([^()]*\))*\)", "loc(unknown)", made.data)
    llir = compile.render(text, "llir", find_core("host"))
    assert "#dbg_value" not in llir and "define void @named(" in llir
