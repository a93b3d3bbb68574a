"""How many matrix instructions per second the RISC-V emulator carries out.

    python benchmarks/ime_emulator.py [INSTRUCTION ... | all]

The words run in a loop of twelve that add to accumulators of their own, on one thread; once per second of
the clock, once per second of processor time, which other programs do not disturb as much.  Goals for
int8: 150,000 a second with registers of 256 bits, 50,000 with 1024.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from vertebra.core import hooks, select, toolchain
from vertebra.core.runtime import Binary
from vertebra.plugins.ime.instructions import MATRIX, instruction

_UNROLLED = 12
_ROUNDS = 5
_TURNS = 20_000
_ELEMENT = 0x3555  # of A, B and scales: 1/3 in half precision, and usual numbers in all other types


def kernel_of(core, record, turns: int):
    """A kernel that executes `record` _UNROLLED * `turns` times."""
    operands = {operand.name: 0 for operand in record.operands}
    operands |= {"vs1": 2, "vs2": 5}
    words = [record.directive(**operands | {"vd": 8 + 2 * i}) for i in range(_UNROLLED)]
    text = f"""
    .option arch, +v
    .text
    .globl dots
dots:
    vsetvli t0, zero, e16, m8, ta, ma
    li t1, {_ELEMENT}
    vmv.v.x v0, t1
    vmv.v.i v8, 0
    vmv.v.i v16, 0
    vmv.v.i v24, 0
    vsetvli t0, zero, e8, m1, ta, ma
    li t1, {turns}
1:
    {chr(10).join(words)}
    addi t1, t1, -1
    bnez t1, 1b
    ret
"""
    flags = ["-mcpu=generic_rv64+m+a+f+d+c+v"]
    made = toolchain.compile_source(text, triple=core.triple, flags=flags, language="S")
    return select.runtime_for(core).load(Binary("dots", made, 0, ("*u8",), core))


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def rates(core, record) -> tuple[float, float]:
    """Instructions per second of the clock and of processor time, the best of some rounds each."""
    turns, elapsed, used = _TURNS, [], []
    kernel, nothing = kernel_of(core, record, turns), np.zeros(1, np.uint8)
    kernel.launch((1, 1, 1), (nothing,))
    pid = hooks.runtimes()["qemu"].runner(core).process.pid
    for _ in range(_ROUNDS):
        before = processor_seconds(pid)
        kernel.launch((1, 1, 1), (nothing,))
        used.append(processor_seconds(pid) - before)
        elapsed.append(kernel.nanoseconds * 1e-9)
    return _UNROLLED * turns / min(elapsed), _UNROLLED * turns / min(used)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("instruction", nargs="*", help="names; default: int8 on both cores")
    names = parser.parse_args().instruction or ["smt.vmadot.i8"]
    os.environ["VERTEBRA_NUM_THREADS"] = "1"
    print(f"{'core':14} {'instruction':20} {'per second':>12} {'of processor':>12}")
    for core in hooks.cores().values():
        for record in [*MATRIX] if names == ["all"] else map(instruction, names):
            if record.requires & core.extensions:
                clock, processor = rates(core, record)
                print(f"{core.name:14} {record.name:20} {clock:12,.0f} {processor:12,.0f}")


if __name__ == "__main__":
    main()
