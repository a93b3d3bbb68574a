"""The machine's own processor, as LLVM describes it."""

import platform
from typing import Any

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Core, Target, VectorUnit

_SIMPLE = VectorUnit(128, registers=32)


def _vector_unit(arch: str, features: frozenset[str]) -> VectorUnit:
    if arch == "x86_64":
        half = {"f16"} if "+f16c" in features else set()
        # Not bf16: vcvtneps2bf16 flushes subnormals to zero, so integer arithmetic converts it.
        conversion = frozenset({"f32", "f64"} | half)
        x86: dict[str, Any] = {"scaled_index": True, "number_extremes": False}
        if "+avx512f" in features and "+avx512vl" in features:
            return VectorUnit(512, registers=32, conversion=conversion, **x86)
        if "+avx2" in features:
            return VectorUnit(256, registers=16, scalar_operand=False, conversion=conversion, **x86)
        return VectorUnit(128, registers=16, scalar_operand=False, **x86)
    return _SIMPLE  # NEON's, and what a machine without a record of its own is taken to have


def _host_core() -> Core:
    from vertebra.core.llvm import host_cpu

    cpu, features = host_cpu()
    arch = platform.machine()
    return Core(
        name="host",
        target="host",
        arch=arch,
        triple=f"{arch}-unknown-linux-gnu",
        isa=cpu,
        vector=_vector_unit(arch, frozenset(features)),
        cpu=cpu,
        features=features,
        description="the machine at hand",
        throughput=_throughput,
    )


def _throughput():
    from vertebra.plugins.host.throughput import measured

    return measured()


def _assembly(core: Core, base):
    from vertebra.plugins.host.assembly import reader

    return reader(core)


@hookimpl
def vertebra_cores():
    return [_host_core()]


@hookimpl
def vertebra_targets():
    from vertebra.lowering.cpu import CPU_STAGES

    return [
        Target(
            "host",
            stages=CPU_STAGES,
            micro_kernels=_micro_kernels,
            assembly=_assembly,
            ldexp=_ldexp,
            description="the machine's own vector registers",
        )
    ]


def _ldexp(core: Core):
    from vertebra.plugins.host.x86_scaling import ldexp

    return ldexp(core)


def _micro_kernels(core: Core):
    if core.arch == "x86_64":
        from vertebra.plugins.host.x86_products import micro_kernels
    elif core.arch == "aarch64":
        from vertebra.plugins.host.neon_products import micro_kernels
    else:
        return ()
    return micro_kernels(core)
