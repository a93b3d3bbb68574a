"""`smt.expand`: the errors of operands that do not fit, with both shapes."""

import pytest
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from .kernel_text import ttir


@triton.jit
def expanding(values, mask, out, KEPT: tl.constexpr, GROUPS: tl.constexpr, N: tl.constexpr):
    columns = tl.arange(0, N)
    v = tl.load(values + tl.arange(0, KEPT)[:, None] * N + columns[None, :])
    m = tl.load(mask + tl.arange(0, GROUPS)[:, None] * N + columns[None, :])
    dense = smt.expand(v, m)
    tl.store(out + tl.arange(0, 2 * KEPT)[:, None] * N + columns[None, :], dense)


def text(values: str = "*i8", mask: str = "*i8", kept: int = 32, groups: int = 16) -> str:
    pointers = {"values": values, "mask": mask, "out": values}
    return ttir(expanding, pointers, KEPT=kept, GROUPS=groups, N=8)


def test_the_dense_matrix_has_twice_as_many_rows():
    assert "tensor<32x8xi8>, tensor<16x8xi8>) -> tensor<64x8xi8>" in text()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"groups": 8}, "values are 32x8, that is 16 groups of two rows; mask is 8x8; it has to be 16x8"),
        ({"mask": "*i32"}, "mask is of int32; load it as int8 or uint8"),
        ({"values": "*fp16"}, "values is .*; it has to be a matrix of integers"),
    ],
)
def test_operands_that_do_not_fit(changes, message):
    with pytest.raises(triton.CompilationError, match=f"smt.expand: {message}"):
        text(**changes)
