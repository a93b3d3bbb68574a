"""Kernels of any size, and how their compile time grows with it; `compile_time.py --growth` prints it."""

import importlib.util
import tempfile
from pathlib import Path

from rich.table import Table

_IMPORTS = "import triton\nimport triton.language as tl\n\n\n"
_HEAD = _IMPORTS + "@triton.jit\ndef kernel(x, out, n, BLOCK: tl.constexpr):\n"
_MASKED = ["i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)", "m = i < n"]


def chain(n: int) -> list[str]:
    """n elementwise operations, each on the result of the one before."""
    lines = [f"a = a * {k}.5" if k % 2 else f"a = {k}.25 - a" for k in range(n)]
    return [*_MASKED, "a = tl.load(x + i, mask=m)", *lines, "tl.store(out + i, a, mask=m)"]


def braid(n: int) -> list[str]:
    """n elementwise operations on two values that need each other."""
    lines = [f"a = a * b + {k}.5" if k % 2 else f"b = b - a * {k}.25" for k in range(n // 2)]
    return [*_MASKED, "a = tl.load(x + i, mask=m)", "b = a", *lines, "tl.store(out + i, a + b, mask=m)"]


def accesses(n: int) -> list[str]:
    """n / 2 masked loads and as many stores, any of which may overlap."""
    at = "i + {k} * n"
    pairs = [f"tl.store(out + {at}, tl.load(x + {at}, mask=m) + {{k}}, mask=m)" for _ in range(n // 2)]
    return [*_MASKED, *(line.format(k=k) for k, line in enumerate(pairs))]


def loops(n: int) -> list[str]:
    """n loops, each on the result of the one before."""
    body = ["for k in range(n):", "    a = a * 1.5 + tl.load(x + k * BLOCK + i)"]
    return ["i = tl.arange(0, BLOCK)", "a = tl.load(x + i)", *body * n, "tl.store(out + i, a)"]


# name -> (kernel's lines for a size, sizes)
FAMILIES = {
    "chain of operations": (chain, (500, 1000, 2000, 4000)),
    "braid of operations": (braid, (500, 1000, 2000, 4000)),
    "loads and stores": (accesses, (75, 150, 300, 600)),
    "loops": (loops, (12, 25, 50, 100)),
}
SIGNATURE = ["*fp32", "*fp32", "i32"], {"BLOCK": 1024}


def kernel_of(lines: list[str]):
    """The jitted kernel of these lines; Triton reads its text from a file."""
    path = Path(tempfile.mkdtemp(prefix="vertebra-"), "growth.py")
    path.write_text(_HEAD + "".join(f"    {line}\n" for line in lines))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def table(core, measure_lines) -> Table:
    """Times on `core`; measure_lines(kernel, types, constants) -> (part, step) -> milliseconds."""
    found = Table(title=f"growth of compile time on {core.name}")
    for column in ("kernel", "size", "total ms", "us each", "growth", "worst step"):
        found.add_column(column, justify="left" if column in ("kernel", "worst step") else "right")
    for name, (lines, sizes) in FAMILIES.items():
        before = None
        for size in sizes:
            times = measure_lines(kernel_of(lines(size)), *SIGNATURE)
            total = sum(times.values())
            growth = f"{total / before:.2f}x" if before else ""
            part, step = worst = max(times, key=times.get)
            label = f"{part}: {step}" if step else part
            found.add_row(
                name,
                str(size),
                f"{total:.0f}",
                f"{1e3 * total / size:.0f}",
                growth,
                f"{label} {times[worst]:.0f}",
            )
            before = total
    return found
