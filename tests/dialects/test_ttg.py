"""The barrier, as stock Triton prints it, there and back."""

import kernels
import pytest

from vertebra.core import assembly
from vertebra.core.errors import ParseError
from vertebra.core.mlir import ir
from vertebra.dialects import ttg
from vertebra.dialects.tt import Tt
from vertebra.dialects.ttg import Ttg


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        Tt.load()
        Ttg.load()
    return context


def module_of(barrier: str) -> str:
    return f"tt.func @f() {{\n{barrier}\ntt.return\n}}"


def barrier_in(text: str) -> str:
    (line,) = [x for x in text.splitlines() if "barrier" in x]
    return line.split("loc(")[0].strip()


@pytest.mark.parametrize("number", range(32))
def test_triton_prints_the_same(number, context):
    generic = module_of(f'"ttg.barrier"() {{addrSpace = {number} : i32}} : () -> ()')
    ours = barrier_in(assembly.print_module(assembly.parse(generic, context)))
    assert ours == barrier_in(kernels.reprinted(generic))
    again = assembly.parse(module_of(ours), context)
    (op, _) = again.body.operations[0].regions[0].blocks[0].operations
    assert isinstance(op, ttg.BarrierOp)
    assert op.addrSpace.value == number


def test_an_unknown_kind_is_refused(context):
    with pytest.raises(ParseError, match="expected one of none, local"):
        assembly.parse(module_of("ttg.barrier warp"), context)
