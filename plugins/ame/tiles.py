"""The products of the unit as rows of the table of tiles."""

from vertebra.core.target import Core
from vertebra.core.tiles import MatrixTile
from vertebra.plugins.ame.codegen import PRODUCTS, registers
from vertebra.plugins.ame.geometry import geometry_of
from vertebra.plugins.ame.types import NAMED


def matrix_tiles(core: Core) -> list[MatrixTile]:
    """One row for each pair of types.  Accumulators are no matrix registers: they take none.

    One multiplication per cycle is an assumption: the draft says nothing about time.
    """
    g = geometry_of(core.extensions)
    if g is None:
        return []
    table = []
    for a, b, acc in PRODUCTS:
        kind, sums = NAMED[a], NAMED[acc]
        m, n, k = registers.shape_of(g, kind)
        rows, columns = registers.largest(g, kind, sums)
        columns *= g.pack(sums.bits)
        plan = registers.needed(g, kind, sums, rows, columns)
        table.append(
            MatrixTile(
                "mmulbtacc.2d",
                a,
                b,
                acc,
                m,
                n,
                k,
                a_registers=g.group(kind.bits),
                b_registers=g.group(kind.bits),
                acc_registers=0,
                other_registers=g.group(sums.bits) if plan.sums else 0,
                grid=(rows, columns),
                strided=True,
            )
        )
    return table
