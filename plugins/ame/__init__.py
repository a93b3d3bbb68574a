"""Cores with the attached matrix extension of the RISC-V task group's draft (AME)."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Target
from vertebra.plugins.ame.cores import AME_GENERIC


@hookimpl
def vertebra_cores():
    return [AME_GENERIC]


@hookimpl
def vertebra_targets():
    return [
        Target(
            "ame",
            extends="rvv",
            panel_kernels=_panel_kernels,
            assembly=_assembly,
            description="attached matrix extension",
        )
    ]


def _panel_kernels(core):
    from vertebra.plugins.ame.codegen import panel_kernels

    return panel_kernels(core)


def _assembly(core, base):
    from vertebra.plugins.ame.assembly import UnitReader

    return UnitReader(core, base)


@hookimpl
def vertebra_instructions():
    from vertebra.plugins.ame.instructions import INSTRUCTIONS

    return list(INSTRUCTIONS.values())


@hookimpl
def vertebra_emulators():
    from vertebra.plugins.ame.emulator import EMULATOR

    return [EMULATOR]


@hookimpl
def vertebra_layouts():
    """`ame.A.i8` and so on, of the generic core; of other ones `ame.NAME.A.i8`."""
    from vertebra.core.hooks import cores
    from vertebra.plugins.ame.geometry import geometry_of
    from vertebra.plugins.ame.layouts import families, space_of

    found = []
    for core in cores().values():
        if (g := geometry_of(core.extensions)) is not None:
            name = "ame" if core == AME_GENERIC else f"ame.{core.name}"
            found += [space_of(g, name), *families(g, name)]
    return found


@hookimpl
def vertebra_matrix_tiles(core):
    from vertebra.plugins.ame.tiles import matrix_tiles

    return matrix_tiles(core)
