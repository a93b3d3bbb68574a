"""linalg on packed matrices on its way to vectors: text in, checked text out."""

import re

import pytest

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.core.mlir import ir, passmanager
from vertebra.lowering.packs_to_matrices import packs_to_matrices

ARGUMENTS = (
    "%s: tensor<64x48xf32>, %w: tensor<48x32xf32>, %t: tensor<8x3x8x16xf32>, %a: tensor<8x6x8x8xf32>,"
    " %b: tensor<2x6x16x8xf32>, %c: tensor<8x2x8x16xf32>, %n: index"
)


def pack(result: str, source: str, tile: str, packed: str, plain: str) -> str:
    number = result.strip("%")
    return (
        f"%e_{number} = tensor.empty() : {packed}\n{result} = linalg.pack {source} inner_dims_pos = [0, 1]"
        f" inner_tiles = [{tile}] into %e_{number} : {plain} -> {packed}\n"
    )


def unpack(result: str, source: str, tile: str, packed: str, plain: str) -> str:
    number = result.strip("%")
    return (
        f"%e_{number} = tensor.empty() : {plain}\n{result} = linalg.unpack {source} inner_dims_pos = [0, 1]"
        f" inner_tiles = [{tile}] into %e_{number} : {packed} -> {plain}\n"
    )


def lowered(body: str, result: str, type: str) -> list[str]:
    """What a function that computes `result` becomes; operands without names, no constants."""
    text = f"func.func @f({ARGUMENTS}) -> {type} {{\n{body}\nreturn {result} : {type}\n}}"
    with context(), ir.Location.unknown(context()):
        module = assembly.parse(text, context(), name="-")
        packs_to_matrices(module)
        module.operation.verify()
        _drop_unused(module)
        printed = assembly.print_module(module)
    lines = [re.sub(r"^%[\w:, ]+ = ", "", line.strip()) for line in printed.splitlines()]
    wanted = [line for line in lines if re.match(r"(linalg|tensor|arith|scf)\.", line)]
    wanted = [line for line in wanted if not line.startswith(("arith.constant", "tensor.empty"))]
    return [re.sub(r"%[\w#]+", "%", line) for line in wanted]


def _drop_unused(module) -> None:
    """What the pass leaves without a use, as every later stage does."""
    passmanager.PassManager.parse("builtin.module(cse)").run(module.operation)


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def test_a_pack_is_a_reshape_and_a_transpose():
    body = pack("%p", "%s", "8, 16", "tensor<8x3x8x16xf32>", "tensor<64x48xf32>")
    found = lowered(body, "%p", "tensor<8x3x8x16xf32>")
    assert names(found) == ["tensor.expand_shape", "linalg.transpose"]
    assert "[[0, 1], [2, 3]] output_shape [8, 8, 3, 16]" in found[0]
    assert "permutation = [0, 2, 1, 3]" in found[1]


def test_an_unpack_is_a_transpose_and_a_reshape():
    body = unpack("%u", "%t", "8, 16", "tensor<8x3x8x16xf32>", "tensor<64x48xf32>")
    assert names(lowered(body, "%u", "tensor<64x48xf32>")) == ["linalg.transpose", "tensor.collapse_shape"]


def test_what_an_unpack_drops_is_cut_off():
    body = unpack("%u", "%t", "8, 16", "tensor<8x3x8x16xf32>", "tensor<60x40xf32>")
    found = lowered(body, "%u", "tensor<60x40xf32>")
    assert names(found)[-1] == "tensor.extract_slice" and "[0, 0] [60, 40] [1, 1]" in found[-1]


def test_padding_is_a_window_with_zeros():
    packed = "tensor<4x4x16x16xf32>"
    body = (
        "%x = tensor.empty() : tensor<60x50xf32>\n%z = arith.constant 0.0 : f32\n"
        f"%e = tensor.empty() : {packed}\n%p = linalg.pack %x padding_value(%z : f32)"
        f" inner_dims_pos = [0, 1] inner_tiles = [16, 16] into %e : tensor<60x50xf32> -> {packed}"
    )
    found = names(lowered(body, "%p", packed))
    assert found[0] == "linalg.generic" and "tensor.extract" in found
    assert found[-2:] == ["tensor.expand_shape", "linalg.transpose"]


PRODUCT = "%d = linalg.mmt4d ins({}, {} : {}, {}) outs({} : tensor<8x2x8x16xf32>) -> tensor<8x2x8x16xf32>\n"
TYPES = ("tensor<8x6x8x8xf32>", "tensor<2x6x16x8xf32>")


def test_a_product_between_packs_is_a_plain_product():
    """B by columns, packed: its transpose and the product's cancel."""
    turned = (
        "%e = tensor.empty() : tensor<2x6x16x8xf32>\n%q = linalg.pack %w outer_dims_perm = [1, 0]"
        " inner_dims_pos = [1, 0] inner_tiles = [16, 8] into %e : tensor<48x32xf32> -> tensor<2x6x16x8xf32>\n"
    )
    body = pack("%p", "%s", "8, 8", TYPES[0], "tensor<64x48xf32>") + turned
    body += "%z = arith.constant 0.0 : f32\n%f = linalg.fill ins(%z : f32) outs(%c : tensor<8x2x8x16xf32>)"
    body += " -> tensor<8x2x8x16xf32>\n" + PRODUCT.format("%p", "%q", *TYPES, "%f")
    body += unpack("%u", "%d", "8, 16", "tensor<8x2x8x16xf32>", "tensor<64x32xf32>")
    found = lowered(body, "%u", "tensor<64x32xf32>")
    (product,) = [line for line in found if line.startswith("linalg.matmul")]
    assert "tensor<64x48xf32>, tensor<48x32xf32>" in product
    assert not [line for line in found if "pack" in line or "mmt4d" in line]


def test_factors_of_two_types_are_widened():
    body = "%h = arith.truncf %a : tensor<8x6x8x8xf32> to tensor<8x6x8x8xf16>\n"
    body += PRODUCT.format("%h", "%b", "tensor<8x6x8x8xf16>", TYPES[1], "%c")
    found = lowered(body, "%d", "tensor<8x2x8x16xf32>")
    assert "arith.extf" in names(found) and "linalg.matmul" in names(found)


def test_work_on_the_tiles_of_a_product_is_done_plainly():
    body = PRODUCT.format("%a", "%b", *TYPES, "%c") + (
        "%two = arith.constant dense<2.0> : tensor<8x2x8x16xf32>\n"
        "%x = arith.mulf %d, %two : tensor<8x2x8x16xf32>\n"
    )
    body += unpack("%u", "%x", "8, 16", "tensor<8x2x8x16xf32>", "tensor<64x32xf32>")
    found = lowered(body, "%u", "tensor<64x32xf32>")
    (scaled,) = [line for line in found if line.startswith("arith.mulf")]
    assert scaled.endswith(": tensor<64x32xf32>")


def test_a_loop_carries_the_matrix():
    body = (
        "%i0 = arith.constant 0 : index\n%i1 = arith.constant 1 : index\n"
        "%z = arith.constant dense<0.0> : tensor<8x2x8x16xf32>\n"
        "%r = scf.for %i = %i0 to %n step %i1 iter_args(%o = %z) -> (tensor<8x2x8x16xf32>) {\n"
        + PRODUCT.format("%a", "%b", *TYPES, "%o")
        + "scf.yield %d : tensor<8x2x8x16xf32>\n}\n"
    )
    body += unpack("%u", "%r", "8, 16", "tensor<8x2x8x16xf32>", "tensor<64x32xf32>")
    found = lowered(body, "%u", "tensor<64x32xf32>")
    (loop,) = [line for line in found if line.startswith("scf.for")]
    assert "-> (tensor<64x32xf32>)" in loop
    assert not [
        line for line in found[found.index(loop) :] if "tensor<8x2x8x16xf32>" in line and "trans" in line
    ]


@pytest.mark.parametrize("body", ["%r = arith.addf %t, %t : tensor<8x3x8x16xf32>\n"])
def test_without_packs_nothing_changes(body):
    assert lowered(body, "%r", "tensor<8x3x8x16xf32>") == ["arith.addf %, % : tensor<8x3x8x16xf32>"]
