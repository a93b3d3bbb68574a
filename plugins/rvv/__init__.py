"""Cores with RISC-V's vector extension (RVV 1.0)."""

from vertebra.core.hooks import hookimpl
from vertebra.core.riscv import vector_core
from vertebra.core.target import Core, Pass, Target, Throughput

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

SPACEMIT_X60 = vector_core(
    "spacemit-x60",
    isa="rv64gcv_zvl256b",
    target="rvv",
    arch_id=0x503C,
    caches=(32 << 10, 512 << 10),
    clock=1.6,
    description="SpacemiT K1, general cluster",
    throughput=_K1,
)

SPACEMIT_X100 = vector_core(
    "spacemit-x100",
    isa="rv64gcv_zba_zbb_zbs_zfh_zicbop_zvfh_zvl256b",
    target="rvv",
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
