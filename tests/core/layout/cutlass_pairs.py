"""Run by an interpreter with the nvidia-cutlass-dsl wheel: what CUTLASS makes of pairs of layouts."""

import json
import sys
from pathlib import Path

import cutlass.cute as cute

PAIRS = json.loads(Path(sys.argv[1]).read_text())
ANSWERS = []


def layout(text):
    shape, stride = text.split(":")
    return cute.make_layout(eval(shape), stride=eval(stride))


@cute.jit
def evaluate():
    for source, target in PAIRS:
        a, b = layout(source), layout(target)
        inverse = cute.right_inverse(a)
        ANSWERS.append([str(inverse), str(cute.composition(b, inverse)), str(cute.coalesce(b))])


evaluate()
Path(sys.argv[2]).write_text(json.dumps(ANSWERS))
