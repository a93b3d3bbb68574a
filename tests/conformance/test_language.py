"""Every public name of `triton.language` is in a conformance case, or here with the reason why not."""

import re
from pathlib import Path
from types import ModuleType

import triton.language as tl
from triton.language.core import tensor, tensor_descriptor

HERE = Path(__file__).parent
TEXT = "\n".join(
    path.read_text()
    for path in sorted(HERE.glob("*.py"))
    if path.name.startswith("cases_") or path.name in ("elementwise.py", "test_messages.py", "test_errors.py")
)

TYPES = {
    "block_type", "const", "constexpr_type", "dtype", "pi32_t", "slice", "str_to_ty", "tensor_descriptor",
    "tensor_descriptor_type", "tuple", "tuple_type", "void",
}  # fmt: skip
ELSEWHERE = {
    "TRITON_MAX_TENSOR_NUMEL": "a number, which Triton itself checks",
    "int1": "the type of every comparison",
    "philox_impl": "what philox calls",
}
# Methods of tensors that only forward to the function of that name.
METHODS_ELSEWHERE = {
    "T": "tl.trans",
    "to": "tl.cast",
    "logical_and": "the operator `and`",
    "logical_or": "the operator `or`",
    "advance": "tl.advance",
    "store": "tl.store",
}


def used(name: str) -> bool:
    return re.search(rf"\btl\.{name}\b", TEXT) is not None


def test_every_name_is_run_on_every_core():
    known = TYPES | set(ELSEWHERE)
    public = [n for n, v in vars(tl).items() if not n.startswith("_") and not isinstance(v, ModuleType)]
    forgotten = [n for n in public if n not in known and not used(n)]
    assert not forgotten, f"no conformance case uses tl.{', tl.'.join(forgotten)}"


def test_exceptions_exist_and_are_none():
    for name in TYPES | set(ELSEWHERE):
        assert hasattr(tl, name), f"tl.{name} does not exist; drop it here"
    for name in ELSEWHERE:
        assert not used(name), f"tl.{name} is in a conformance case; drop it here"


def test_every_method_of_a_tensor_is_a_function_that_is_run():
    builtin = [n for n, f in vars(tensor).items() if not n.startswith("_") and callable(f)]
    missing = [
        n for n in builtin if n not in METHODS_ELSEWHERE and not used(n) and not re.search(rf"\.{n}\(", TEXT)
    ]
    assert not missing, f"no conformance case uses tensor.{', tensor.'.join(missing)}"


def test_every_method_of_a_descriptor_is_run():
    bases = (tensor_descriptor, *tensor_descriptor.__mro__[1:-1])
    methods = {n for base in bases for n, f in vars(base).items() if not n.startswith("_") and callable(f)}
    missing = [n for n in sorted(methods) if not re.search(rf"\.{n}\(", TEXT)]
    assert not missing, f"no conformance case uses a descriptor's {', '.join(missing)}"


def test_every_option_of_loads_and_atomics_is_run():
    options = {
        "cache_modifier": (".ca", ".cg", ".cs", ".cv", ".wb", ".wt"),
        "eviction_policy": ("evict_first", "evict_last"),
        "sem": ("acquire", "relaxed", "release"),
        "scope": ("cta", "gpu", "sys"),
        "input_precision": ("ieee", "tf32", "tf32x3", "bf16x3", "bf16x6"),
        "padding_option": ("zero", "nan", "inf", "neg_inf"),
    }
    for option, values in options.items():
        missing = [v for v in values if f'"{v}"' not in TEXT]
        assert option in TEXT and not missing, f"no conformance case uses {option} {', '.join(missing)}"
