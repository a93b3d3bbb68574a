"""out = x + y"""

import triton
import triton.language as tl


@triton.jit
def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    """One program adds BLOCK elements; x, y and out are contiguous, with n elements each."""
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask)
    y = tl.load(y_ptr + offsets, mask=mask)
    tl.store(out_ptr + offsets, x + y, mask=mask)


def add(x, y, out, block=1024):
    """x, y, out: (N,) contiguous tensors or NumPy arrays of one dtype."""
    (n,) = out.shape
    add_kernel[(triton.cdiv(n, block),)](x, y, out, n, BLOCK=block)
    return out
