"""The command line's notation for a kernel's arguments."""

import pytest

from vertebra.core.errors import ConfigError
from vertebra.plugins.triton.signature import Parameter, bind, parse_constants, parse_type, split

ADD = [
    Parameter("x"),
    Parameter("y"),
    Parameter("n"),
    Parameter("BLOCK", constexpr=True),
    Parameter("EVEN", constexpr=True, default=False, has_default=True),
]


def test_split_outside_of_brackets_and_quotes():
    assert split("a, tensordesc<fp32[16, 32]>,'x,y' , (1,2)") == [
        "a",
        "tensordesc<fp32[16, 32]>",
        "'x,y'",
        "(1,2)",
    ]
    assert split(" ") == []
    assert split("a,,b") == ["a", "", "b"]


@pytest.mark.parametrize(
    "text, kind, hint",
    [
        ("*fp32", "*fp32", None),
        ("*f16:16", "*fp16", 16),
        (" i32 : 1", "i32", 1),
        ("i1", "u1", None),
        ("**i8", "**i8", None),
        ("*fp8e4nv", "*fp8e4nv", None),
        ("tensordesc<f32[16,32]>", "tensordesc<fp32[16, 32]>", None),
    ],
)
def test_parse_type(text, kind, hint):
    assert parse_type(text) == (kind, hint)


@pytest.mark.parametrize("text", ["", "*", "fp31", "fp8e5", "float *", "i32:8", "*fp32:x"])
def test_what_is_no_type(text):
    with pytest.raises(ConfigError):
        parse_type(text)


def test_parse_constants():
    assert parse_constants("A=1, B=-2.5,C=True,D='x,y',E=(1, 2),F=None") == {
        "A": 1, "B": -2.5, "C": True, "D": "x,y", "E": (1, 2), "F": None,
    }  # fmt: skip
    assert parse_constants("") == {}


@pytest.mark.parametrize(
    "text, part",
    [("A", "'A'"), ("1=2", "'1=2'"), ("A=b", "of A, b"), ("A=", "nothing"), ("A=1,A=2", "twice")],
)
def test_bad_constants(text, part):
    with pytest.raises(ConfigError, match=part):
        parse_constants(text)


def test_bind():
    bound = bind("add", ADD, "*fp32:16,*fp32,i32:16", "BLOCK=64")
    assert bound.types == {"x": "*fp32", "y": "*fp32", "n": "i32", "BLOCK": "constexpr", "EVEN": "constexpr"}
    assert bound.constants == {"BLOCK": 64, "EVEN": False}
    assert bound.multiples == {"x", "n"}
    assert bound.runtime == {"x": "*fp32", "y": "*fp32", "n": "i32"}


def test_a_plain_parameter_may_be_constant():
    assert bind("add", ADD, "*fp32,*fp32", "BLOCK=64,n=100").constants["n"] == 100
    assert bind("add", ADD, "*fp32,*fp32,i32:1", "BLOCK=64").types["n"] == "constexpr"


@pytest.mark.parametrize(
    "signature, constexpr, message",
    [
        ("*fp32", "BLOCK=1", "no type for y, n"),
        ("*fp32,*fp32,i32,i32", "BLOCK=1", "has 4 types and kernel add takes 3"),
        ("*fp32,*fp32,i32", "", "needs values for BLOCK"),
        ("*fp32,*fp32,i32", "BLOCK=1,BLOK=2", "no parameter BLOK"),
    ],
)
def test_mismatch_shows_the_parameters(signature, constexpr, message):
    with pytest.raises(ConfigError, match=message) as caught:
        bind("add", ADD, signature, constexpr)
    assert "(x, y, n, BLOCK: constexpr, EVEN: constexpr=False)" in caught.value.fix
