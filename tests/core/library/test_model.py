"""Which fields a kernel has in C, and which specialisations contradict each other."""

import pytest

from vertebra.core.errors import ConfigError
from vertebra.core.library import Kernel
from vertebra.core.library.model import check_names

from .specimens import form, kernel


def test_a_constant_in_which_forms_differ_is_a_field():
    made = kernel(form(constants={"BLOCK": 16}), form(constants={"BLOCK": 32}))
    assert made.fields == {"out": "*i64", "n": "i32", "BLOCK": "selector"}
    assert made.fixed == {}
    assert [need.text for need in made.needs(made.specialisations[1])] == ["BLOCK to be 32"]


def test_where_conditions_choose_it_is_none():
    made = kernel(
        form(constants={"BLOCK": 16}, when="n <= BLOCK"), form(constants={"BLOCK": 32}, when="n <= BLOCK")
    )
    assert made.fields == {"out": "*i64", "n": "i32"}
    assert [need.text for s in made.specialisations for need in made.needs(s)] == ["n <= 16", "n <= 32"]


def test_an_argument_that_one_form_fixes_stays_a_field():
    fixed = form(constants={"BLOCK": 16, "n": 1})
    made = kernel(fixed, form())
    assert made.fields == {"out": "*i64", "n": "i32"} and made.fixed == {"BLOCK": 16}
    assert [need.text for need in made.needs(fixed)] == ["n to be 1"]


def test_a_null_pointer_may_be_fixed():
    fixed = form(types=(("n", "i32"),), constants={"BLOCK": 16, "out": None}, slots=("n",))
    made = kernel(fixed, form())
    assert made.needs(fixed)[0].test == "args->out == NULL"


def test_numbers_that_are_fixed_are_compared_as_their_type():
    def test_of(kind, value):
        fixed = form(types=(("out", "*i64"),), constants={"BLOCK": 16, "n": value}, slots=("out",))
        other = form(types=(("out", "*i64"), ("n", kind)))
        return kernel(fixed, other).needs(fixed)[0].test

    assert test_of("fp32", 0.1) == "args->n == (float)0.1"
    assert test_of("fp16", 1.0) == "args->n == 0x3c00"
    assert test_of("i64", -3) == "args->n == (-INT64_C(3))"


@pytest.mark.parametrize(
    "forms, said",
    [
        ((form(), form()), "specialisations 1 and 2 fit the same launches"),
        (
            (form(), form(multiples=frozenset({"n"}))),
            "specialisation 2 is never chosen, as 1.*\n.*put 2 first",
        ),
        ((form(), form(types=(("out", "*fp32"), ("n", "i32")))), r"out is \*i64 and \*fp32"),
        ((form(constants={"BLOCK": "tl.int8"}), form(constants={"BLOCK": 3})), "BLOCK, which is 'tl.int8'"),
        ((form(when="k < 3"),), "k cannot be used here"),
        ((form(types=(("out", "*i64"),), constants={"BLOCK": 1, "n": "x"}), form()), "n is i32 in one.*'x'"),
    ],
)
def test_contradictions(forms, said):
    with pytest.raises(ConfigError, match=said):
        kernel(*forms)


@pytest.mark.parametrize("name", ["double", "a-b", "2d", ""])
def test_names_that_c_does_not_take(name):
    with pytest.raises(ConfigError, match=r"name that C does not take"):
        kernel(form(), name=name)


def test_two_arguments_of_one_name():
    arguments = (("short", "i32"), ("short_", "i32"))
    with pytest.raises(ConfigError, match="two arguments are called short_ in C"):
        Kernel("k", "", ("short", "short_"), (form(types=arguments, constants={}, slots=()),)).fields  # noqa: B018


def test_two_kernels_of_one_name():
    with pytest.raises(ConfigError, match="two kernels are called probe"):
        check_names([kernel(form()), kernel(form())])
    with pytest.raises(ConfigError, match="without kernels"):
        check_names([])
