"""`padding_option="inf"` and `"neg_inf"` of `tl.load`, which SpacemiT's fork of Triton has.

Stock Triton refuses them in one function, `TritonSemantic.load`.  `install` wraps it: such a load
is made as one that pads with NaN, and marked for `lowering/load_paddings.py`.
"""

import functools

from vertebra.dialects.tt_types import PaddingOption
from vertebra.lowering.load_paddings import PADDING

_INFINITE = ("inf", "neg_inf")


def install() -> None:
    """Idempotent."""
    from triton.language.semantic import TritonSemantic

    if not hasattr(TritonSemantic.load, "vertebra"):
        TritonSemantic.load = _around(TritonSemantic.load)


def _around(plain_load):
    from triton._C.libtriton import ir

    @functools.wraps(plain_load)
    def load(self, ptr, mask, other, boundary_check, padding_option, *rest):
        if padding_option not in _INFINITE:
            return plain_load(self, ptr, mask, other, boundary_check, padding_option, *rest)
        element = ptr.type.scalar
        while element.is_ptr() or element.is_block():
            element = element.element_ty
        if element.is_int():
            raise ValueError(
                f"tl.load: padding_option is {padding_option!r} and the elements are {element}, which has no"
                ' infinity; use "zero"'
            )
        found = plain_load(self, ptr, mask, other, boundary_check, "nan", *rest)
        number = PaddingOption.cases[padding_option]
        found.handle.set_attr(PADDING, ir.make_attr([number], found.handle.get_context()))
        return found

    load.vertebra = True
    return load
