"""acme-v512: a RISC-V core with vector registers of 512 bits and an integer dot instruction of its own."""

from vertebra.core.hooks import hookimpl
from vertebra.core.matrix import dot
from vertebra.core.target import Core, VectorUnit

VERTEBRA_API = 1  # the version of vertebra's hooks that this is written for
VLEN = 512
EXTENSION = "xacmedot"

# C (8 x 8, i32, in 4 registers) += A (8 x 8) @ B (8 x 8); in the bits a is vs1, b is vs2, d is vd.
DOT = dot(
    "acme.dot",
    "0000001 bbbbb aaaaa 000 ddd00 0001011",
    tile=(8, 8, 8),
    vlen=VLEN,
    types=("i8", "i8", "i32"),
    requires=EXTENSION,
)

CORE = Core(
    name="acme-v512",
    target="rvv",
    arch="riscv64",
    triple="riscv64-unknown-linux-gnu",
    abi="lp64d",
    cpu="generic-rv64",
    isa=f"rv64gcv_zvl{VLEN}b_{EXTENSION}",
    features=("+m", "+a", "+f", "+d", "+c", "+v", f"+zvl{VLEN}b"),
    extensions=frozenset({EXTENSION}),
    vector=VectorUnit(VLEN, registers=32, group=4, reach=2048),
    caches=(32 << 10, 1 << 20),
    clock=2.0,
    description="an example: change it into yours",
)


@hookimpl
def vertebra_cores():
    return [CORE]


@hookimpl
def vertebra_instructions():
    return [DOT]
