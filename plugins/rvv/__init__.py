"""Cores with RISC-V's vector extension (RVV 1.0)."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Core, Target, VectorUnit
from vertebra.lowering.cpu import CPU_STAGES

_TRIPLE = "riscv64-unknown-linux-gnu"
_RVA22V = ("+m", "+a", "+f", "+d", "+c", "+v", "+zvl256b")
_BITMANIP = ("+zba", "+zbb", "+zbs")


def _core(name: str, *, features: tuple[str, ...], arithmetic: frozenset[str], isa: str, **fields) -> Core:
    return Core(
        name=name,
        target="rvv",
        arch="riscv64",
        triple=_TRIPLE,
        abi="lp64d",
        isa=isa,
        cpu="generic-rv64",
        features=features,
        vector=VectorUnit(
            256, registers=32, group=4, arithmetic=arithmetic, conversion=arithmetic, reach=2048
        ),
        **fields,
    )


_SINGLE_DOUBLE = frozenset({"f32", "f64"})

SPACEMIT_X60 = _core(
    "spacemit-x60",
    features=_RVA22V,
    arithmetic=_SINGLE_DOUBLE,
    isa="rv64gcv_zvl256b",
    arch_id=0x503C,
    caches=(32 << 10, 512 << 10),
    clock=1.6,
    description="SpacemiT K1, general cluster",
)

SPACEMIT_X100 = _core(
    "spacemit-x100",
    features=(*_RVA22V, *_BITMANIP, "+zfh", "+zvfh", "+zicbop"),
    arithmetic=_SINGLE_DOUBLE | {"f16"},
    isa="rv64gcv_zba_zbb_zbs_zfh_zicbop_zvfh_zvl256b",
    arch_id=0x5064,
    caches=(64 << 10, 1 << 20),
    clock=2.0,
    description="SpacemiT K3, general cluster",
)


@hookimpl
def vertebra_cores():
    return [SPACEMIT_X60, SPACEMIT_X100]


@hookimpl
def vertebra_targets():
    return [Target("rvv", stages=CPU_STAGES, description="RISC-V vector registers")]
