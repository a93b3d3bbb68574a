"""What bounds a Triton kernel, as `vertebra.core.roofline` finds it."""

from collections.abc import Mapping, Sequence

from vertebra.core.roofline.analysis import analyse
from vertebra.core.roofline.measure import Measurement, measure
from vertebra.core.roofline.model import Prediction
from vertebra.core.target import Core
from vertebra.plugins.triton import aot
from vertebra.plugins.triton.options import parse_options


def roofline_of_file(
    path: str,
    kernel: str,
    *,
    signature: str,
    constexpr: str = "",
    core: Core,
    values: Mapping[str, int],
    grid: tuple[int, int, int],
    measured: bool = False,
    **options,
) -> tuple[Prediction, Measurement | None]:
    """Of one launch on `grid` of the kernel named `kernel` in the Python file `path`.

    signature, constexpr: as in `vertebra.plugins.triton.signature`.  values: integer arguments by name.
    measured: run it too.  Raises ConfigError, CompileError, LaunchError, OSError.
    """
    artifact = aot.compile_function(
        aot.load_kernel(path, kernel),
        signature=signature,
        constexpr=constexpr,
        core=core,
        emit="ttir",
        **options,
    )
    code, names = parse_options(options, core.name).code_options(), artifact.fields
    values = with_descriptors(names, values)
    found = analyse(
        artifact.data,
        core,
        code,
        kernel=artifact.name,
        names=names,
        values=values,
        grid=grid,
        implied=implied_names(names),
    )
    if not measured:
        return found, None
    kinds = artifact.signature
    return found, measure(artifact.data, found, code, names=names, signature=kinds, values=values)


def _descriptors(names: Sequence[str]) -> dict[str, int]:
    """Tensor descriptor -> rank; names: a kernel's arguments, of which a descriptor takes several."""
    bases = [name.removesuffix("_size0_again") for name in names if name.endswith("_size0_again")]
    return {
        base: sum(name.startswith(f"{base}_size") and name.endswith("_again") for name in names)
        for base in bases
    }


def implied_names(names: Sequence[str]) -> frozenset[str]:
    """Arguments that follow from the sizes of tensor descriptors, if the arrays are contiguous."""
    return frozenset(
        f"{base}_{word}{axis}{again}"
        for base, rank in _descriptors(names).items()
        for axis in range(rank)
        for word, again in (("stride", ""), ("stride", "_again"), ("size", "_again"))
    )


def with_descriptors(names: Sequence[str], values: Mapping[str, int]) -> dict[str, int]:
    """`values` with what follows from them for tensor descriptors, of which a kernel takes sizes and strides.

    Strides that are not given are those of a contiguous array; a descriptor's switches are off.
    """
    found = dict(values)
    for base, rank in _descriptors(names).items():
        step: int | None = 1
        for axis in reversed(range(rank)):
            size, stride = f"{base}_size{axis}", f"{base}_stride{axis}"
            if step is not None:
                found.setdefault(stride, step)
            step = None if size not in found or step is None else step * found[size]
            found |= {f"{name}_again": found[name] for name in (size, stride) if name in found}
        found |= dict.fromkeys((f"{base}_pads_with_nan", f"{base}_rounds_to_tf32"), 0)
    return found
