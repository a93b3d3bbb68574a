"""Cores with RISC-V's vector extension (RVV 1.0)."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Core, Pass, Target, Throughput, VectorUnit

_TRIPLE = "riscv64-unknown-linux-gnu"
_RVA22V = ("+m", "+a", "+f", "+d", "+c", "+v", "+zvl256b")
_BITMANIP = ("+zba", "+zbb", "+zbs")


def _core(name: str, *, features: tuple[str, ...], arithmetic: frozenset[str], isa: str, **fields) -> Core:
    """group=8: a group's registers are computed one after the other, so that what surrounds the arithmetic
    (addresses, scalars of a product, branches) counts least with the longest groups, most of all on the
    X60, which issues two instructions a cycle in order.  A product keeps three rows of sums beside one
    of B then; its loads are a third of its multiply-adds, against a seventh with groups of four.
    """
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
            256, registers=32, group=8, arithmetic=arithmetic, conversion=arithmetic, reach=2048
        ),
        **fields,
    )


_SINGLE_DOUBLE = frozenset({"f32", "f64"})

_K1 = Throughput(
    issue=2,
    vector_bits=256,
    load_bits=256,
    memory=10.7,
    cores=4,
    source="issue width and 256 bits per cycle: published, and measured with cpufp (f32 multiply-adds, 32 "
    "GFLOPS at 2.0 GHz); memory: 32 bits of LPDDR4X at 2666 MT/s, by the data sheet; loads of one vector "
    "register per cycle: a guess",
)
_K3 = Throughput(
    issue=4,
    vector_bits=256,
    load_bits=256,
    memory=51.2,
    cores=8,
    source="all guesses: four instructions and one vector register of arithmetic and of loads per cycle; "
    "memory: 64 bits of LPDDR5 at 6400 MT/s",
)

SPACEMIT_X60 = _core(
    "spacemit-x60",
    features=_RVA22V,
    arithmetic=_SINGLE_DOUBLE,
    isa="rv64gcv_zvl256b",
    arch_id=0x503C,
    caches=(32 << 10, 512 << 10),
    clock=1.6,
    description="SpacemiT K1, general cluster",
    throughput=_K1,
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
    throughput=_K3,
)


@hookimpl
def vertebra_cores():
    return [SPACEMIT_X60, SPACEMIT_X100]


def _stages() -> dict[str, tuple[Pass, ...]]:
    """Those of every core with vectors, and what LLVM needs to know about groups of registers."""
    from vertebra.lowering.cpu import CPU_STAGES

    passes = list(CPU_STAGES["llvm"])
    names = [step.name for step in passes]
    passes.insert(names.index("describe-kernels"), Pass("addends-in-scalars", _addends))
    passes.append(Pass("register-length", _length))
    return {**CPU_STAGES, "llvm": tuple(passes)}


def _addends(module, core, options) -> None:
    from vertebra.plugins.rvv.registers import keep_addends_scalar

    keep_addends_scalar(module, core, options)


def _length(module, core, options) -> None:
    from vertebra.plugins.rvv.registers import state_register_length

    state_register_length(module, core, options)


@hookimpl
def vertebra_targets():
    return [
        Target(
            "rvv",
            stages=_stages(),
            panel_kernels=_panel_kernels,
            assembly=_assembly,
            description="RISC-V vector registers, and matrix instructions on them",
        )
    ]


def _panel_kernels(core: Core):
    from vertebra.plugins.rvv.matrix import panel_kernels

    return panel_kernels(core)


def _assembly(core: Core, base):
    from vertebra.plugins.rvv.assembly import RiscvReader

    return RiscvReader(core)
