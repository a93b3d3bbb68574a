"""Operand layouts of NVIDIA's matrix instructions, as declarations: nothing here makes code.

They are here because the question that they answer is the same on every machine: how a computed
tile gets into the layout that a matrix instruction reads.
"""

from vertebra.core.hooks import hookimpl


@hookimpl
def vertebra_layouts():
    from vertebra.plugins.nvidia_layouts import blackwell, hopper, spaces

    return [*spaces.SPACES, *hopper.FAMILIES, *blackwell.FAMILIES]
