"""The examples, on every core, and the program that runs them."""

import importlib
import sys

import attrs
import numpy as np
import pytest

from vertebra.kit.plugin import folder

FOLDER = folder("examples", "examples")


@pytest.fixture(scope="module")
def program():
    """`examples/run.py`, as a module."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("run")
    finally:
        sys.path.remove(str(FOLDER))


NAMES = [
    "vector_add-float32",
    "softmax-float32",
    "matmul-float32 to float32",
    "matmul-float16 to float32",
    "matmul-float16 to float16",
    "matmul-int8 to int32",
    "layer_norm forward-float32",
    "layer_norm backward-float32",
    "attention full-float32",
    "attention causal-float32",
    "attention causal-float16",
    "packed scores-float32",
    "packed scores-float16",
    "packed split K-float32",
    "packed split K-float16",
    "packed softmax-float32",
    "packed layer norm-float32",
    "hybrid attention full-float32",
    "hybrid attention causal-float16",
    "packed attention full-float32",
    "packed attention causal-float32",
    "packed attention causal-float16",
    "packed attention full-bfloat16",
    "packed attention full-float16",
]


def test_every_example_is_tested(program):
    assert [f"{e.kernel}-{e.dtype}" for e in program.EXAMPLES] == NAMES


def group(name: str) -> str:
    return "attention" if "attention" in name else "dots" if "matmul" in name else "examples"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.vertebra_group(group(name))) for name in NAMES]
)
def test_agrees_with_numpy(name, core, program, use_core):
    use_core(core)
    (example,) = (e for e in program.EXAMPLES if f"{e.kernel}-{e.dtype}" == name)
    check(program, example)


@pytest.mark.parametrize("head", [64, 128, 256, 512])
@pytest.mark.parametrize("causal, dtype", [(True, "float16"), (False, "bfloat16")])
def test_packed_attention_of_every_head_size(head, causal, dtype, core, program, use_core):
    """With a length that no block divides."""
    use_core(core)
    cases, torch = importlib.import_module("cases"), importlib.import_module("torch")
    check(program, cases.packed_attention_example(causal, getattr(torch, dtype), head, 69, heads=1))


def test_packed_attention_in_square_tiles_of_square_blocks(core, program, use_core):
    """Whose shapes do not tell whether K is turned."""
    use_core(core)
    cases, torch = importlib.import_module("cases"), importlib.import_module("torch")
    check(
        program, cases.packed_attention_example(False, torch.float32, 64, 69, block=(64, 64), micro=(8, 8, 8))
    )


def check(program, example) -> None:
    launch, outputs, references = example.prepare(np.random.default_rng(program.SEED))
    for output in outputs:
        output.fill_(77)
    launch()
    assert program.greatest_error(outputs, references) <= example.tolerance


def run_main(program, monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    return program.main()


def test_the_program_reports_success(program, monkeypatch, capsys):
    assert run_main(program, monkeypatch, "--core", "host", "--kernel", "vector_add", "--repeat", "1") == 0
    printed = capsys.readouterr().out
    assert "PASS" in printed
    assert "1 of 1 passed" in printed


def test_the_program_exits_with_1_on_a_wrong_result(program, monkeypatch, capsys):
    example = program.EXAMPLES[0]

    def prepare(rng):
        launch, outputs, references = example.prepare(rng)
        return launch, outputs, [references[0] + 1]

    monkeypatch.setattr(program, "EXAMPLES", [attrs.evolve(example, prepare=prepare)])
    assert run_main(program, monkeypatch, "--core", "host", "--repeat", "1") == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed
    assert "0 of 1 passed" in printed


def test_the_program_names_the_nearest_core(program, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_main(program, monkeypatch, "--core", "spacemit-x6O")
    assert stopped.value.code == 2
    assert "spacemit-x60" in capsys.readouterr().err
