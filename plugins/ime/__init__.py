"""SpacemiT's cores with matrix instructions (IME): A60 in the K1, A100 in the K3."""

from vertebra.core.hooks import hookimpl
from vertebra.core.riscv import vector_core
from vertebra.core.target import Core, Target, Throughput

_A60_EXTENSIONS = frozenset({"xsmti8i32mm", "xsmti8i32mm_slide"})
_A100_EXTENSIONS = (
    _A60_EXTENSIONS
    | {"xsmti4i32mm", "xsmti4i32mm_42sp", "xsmti8i32mm_42sp", "xsmtlayout"}
    | {f"xsmti{bits}{half}mm_scl16f" for bits in (4, 8) for half in ("fp16", "bf16")}
    | {f"xsmt{half}fp32mm{slide}" for half in ("fp16", "bf16") for slide in ("", "_slide")}
)

_A60_RATES = Throughput(
    issue=2,
    vector_bits=256,
    load_bits=256,
    memory=10.7,
    cores=4,
    source="one matrix instruction and 256 bits of vectors per cycle: measured with cpufp (511.5 int8 Gop/s "
    "and 32 f32 GFLOPS at 2.0 GHz); two instructions per cycle: published; memory: 32 bits of LPDDR4X at "
    "2666 MT/s, by the data sheet; loads of one vector register per cycle: a guess",
)
_A100_RATES = Throughput(
    issue=2,
    vector_bits=512,
    load_bits=512,
    memory=51.2,
    cores=8,
    engines=4,
    source="512 bits of vectors per cycle: from the 4.45 ns that others measured for an f32 multiply-add on "
    "four registers; one matrix unit for two cores: from how much others saw two slow each other "
    "down; guesses: one matrix instruction, two instructions and 512 bits of loads per cycle, and memory of "
    "64 bits of LPDDR5 at 6400 MT/s",
)

SPACEMIT_A60 = vector_core(
    "spacemit-a60",
    isa="rv64gcv_zvl256b_xsmtvdot",
    target="ime",
    arch_id=0xA03C,
    caches=(32 << 10, 512 << 10),
    clock=2.0,
    extensions=_A60_EXTENSIONS,
    throughput=_A60_RATES,
    description="SpacemiT K1, cluster with matrix instructions",
)

SPACEMIT_A100 = vector_core(
    "spacemit-a100",
    isa="rv64gcv_zba_zbb_zbs_zfh_zicbop_zvfh_zvl1024b_xsmtvdotii",
    target="ime",
    arch_id=0xA064,
    caches=(64 << 10, 1 << 20),
    clock=2.0,
    extensions=_A100_EXTENSIONS,
    throughput=_A100_RATES,
    description="SpacemiT K3, cluster with matrix instructions",
)


@hookimpl
def vertebra_cores():
    return [SPACEMIT_A60, SPACEMIT_A100]


@hookimpl
def vertebra_targets():
    return [
        Target(
            "ime",
            extends="rvv",
            panel_kernels=_panel_kernels,
            description="SpacemiT matrix instructions",
        )
    ]


def _panel_kernels(core: Core):
    """For what the instructions do beside plain products, which `rvv` makes of any matrix instruction."""
    from vertebra.plugins.ime.forms import form_kernels

    return form_kernels(core)


@hookimpl
def vertebra_instructions():
    from vertebra.plugins.ime.instructions import INSTRUCTIONS

    return list(INSTRUCTIONS.values())


@hookimpl
def vertebra_emulators():
    from vertebra.plugins.ime.emulator import EMULATOR

    return [EMULATOR]


@hookimpl
def vertebra_layouts():
    from vertebra.plugins.ime import layouts

    return [*layouts.SPACES.values(), *layouts.FAMILIES]
