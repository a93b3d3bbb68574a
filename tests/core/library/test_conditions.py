"""Conditions mean in C what they mean in Python."""

import ctypes
import random

import pytest

from vertebra.core import toolchain
from vertebra.core.errors import ConfigError
from vertebra.core.library import conditions, dispatch

FIELDS = {"n": "i32", "m": "i64", "flag": "i1"}
CONSTANTS = {"BLOCK": 64, "EVEN": True, "KIND": "tl.float32"}
TEXTS = [
    "n <= BLOCK",
    "0 < n < m <= 100",
    "not flag or n % 8 == 0",
    "n // 3 * 3 + n % 3 == n",
    "n % BLOCK == 5 and m // 7 < -2",
    "-n > m - 1 and EVEN",
    "n != m",
    "(n + m) % 16 >= 9 or n == -1",
]


def test_c_agrees_with_python(tmp_path):
    functions = "".join(
        f"EXPORT int test{i}(const struct args *args) "
        f"{{ return {conditions.parse(t, FIELDS, CONSTANTS, 'k').test}; }}\n"
        for i, t in enumerate(TEXTS)
    )
    code = f"#include <stdint.h>\n{dispatch.COMMON}\nstruct args {{ int32_t n; int64_t m; uint8_t flag; }};\n"
    path = tmp_path / "tests.so"
    path.write_bytes(toolchain.compile_source(code + functions, "so", flags=["-fwrapv"]))
    library = ctypes.CDLL(str(path))

    class Args(ctypes.Structure):
        _fields_ = [("n", ctypes.c_int32), ("m", ctypes.c_int64), ("flag", ctypes.c_uint8)]

    rng = random.Random(5)
    seen = {text: set() for text in TEXTS}
    for _ in range(400):
        values = {"n": rng.randint(-70, 110), "m": rng.randint(-110, 110), "flag": rng.randint(0, 1)}
        for i, text in enumerate(TEXTS):
            wanted = bool(eval(text, {**CONSTANTS, **values}))
            assert bool(getattr(library, f"test{i}")(ctypes.byref(Args(**values)))) == wanted, (text, values)
            seen[text].add(wanted)
    assert all(len(found) == 2 for text, found in seen.items() if "* 3 + n" not in text)


def test_what_is_told_of_a_condition():
    need = conditions.parse("n <= BLOCK and m > 2", FIELDS, CONSTANTS, "k")
    assert need.text == "n <= 64 and m > 2"
    assert need.shown == ("n", "m")


@pytest.mark.parametrize(
    "text, said",
    [
        ("n <=", "invalid syntax"),
        ("n < size", "size cannot be used here; .*known are n, m, flag, BLOCK, EVEN"),
        ("f(n)", r"f\(n\) cannot be used"),
        ("n < 1.5", r"1.5 cannot be used"),
        ("n % m == 0", "a number or constant other than 0"),
        ("n // 0 == 0", "a number or constant other than 0"),
        ("KIND == 1", "KIND cannot be used"),
        ("n < 2**70", r"cannot be used"),
        ("n < 99999999999999999999", "does not fit in 64 bits"),
        ("n if m else 1", "cannot be used"),
    ],
)
def test_what_is_no_condition(text, said):
    with pytest.raises(ConfigError) as caught:
        conditions.parse(text, FIELDS, CONSTANTS, "k")
    import re

    assert re.search(said.replace("; ", ".*"), str(caught.value), re.DOTALL), caught.value
    assert "k" in str(caught.value)
