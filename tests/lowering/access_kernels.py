"""Small kernels, one for each way of reaching memory, used by the tests of the memory lowerings."""

import triton
import triton.language as tl


@triton.jit
def vector_add(x, y, out, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    m = i < n
    tl.store(out + i, tl.load(x + i, mask=m) + tl.load(y + i, mask=m, other=1.0), mask=m)


@triton.jit
def unmasked(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i))


@triton.jit
def known_mask(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=i < B), mask=i < B // 2)


@triton.jit
def swapped_mask(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=n > i), mask=n >= i)


@triton.jit
def strided(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i * n))


@triton.jit
def backwards(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + (n - 1 - i), tl.load(x + (B - 1 - i)), mask=i < n)


@triton.jit
def middle(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B) + n
    tl.store(out + i, tl.load(x + i, mask=(i >= 0) & (i < 10), other=7.0))


@triton.jit
def one_element(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=i == n, other=3.0))


@triton.jit
def descending_mask(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=n - 2 * i > 0, other=3.0))


@triton.jit
def odd_mask(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=i % 2 == 1, other=5.0), mask=i != n)


@triton.jit
def uniform_mask(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=(i < B) & (n > 3), other=0.0))


@triton.jit
def tensor_other(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i, mask=i < n, other=i.to(tl.float32)))


@triton.jit
def unsigned_mask(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B).to(tl.uint32)
    tl.store(out + i, tl.load(x + i, mask=i < n.to(tl.uint32), other=0.0))


@triton.jit
def rows(x, out, n, m, B: tl.constexpr):
    i = tl.arange(0, B)
    j = tl.arange(0, 2 * B)
    p = i[:, None] * m + j[None, :]
    mask = (i[:, None] < n) & (j[None, :] < m)
    tl.store(out + i[:, None] * (2 * B) + j[None, :], tl.load(x + p, mask=mask, other=0.0))


@triton.jit
def transposed(x, out, n, m, B: tl.constexpr):
    i = tl.arange(0, B)
    p = i[:, None] * n + i[None, :]
    tl.store(out + tl.trans(p), tl.load(x + p))


@triton.jit
def three_dimensions(x, out, n, m, B: tl.constexpr):
    i = tl.arange(0, B)[:, None, None]
    j = tl.arange(0, 2)[None, :, None]
    k = tl.arange(0, 4)[None, None, :]
    p = i * 8 + j * 4 + k
    tl.store(out + p, tl.load(x + p, mask=(i < n) & (k < m), other=0.0))


@triton.jit
def reshaped(x, out, n, m, B: tl.constexpr):
    p = tl.reshape(tl.arange(0, B * B), (B, B))
    tl.store(out + p, tl.load(x + p))


@triton.jit
def wide(x, out, n, B: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B).to(tl.int64)
    tl.store(out + i, tl.load(x + i, mask=i < n, other=0.0), mask=i < n)


@triton.jit
def wrapped(x, out, n, start, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + (start + i) % n))


@triton.jit
def wrapped_rows(x, out, n, m, B: tl.constexpr):
    i = (tl.program_id(0) * B + tl.arange(0, B)) % n
    j = tl.arange(0, B)
    tl.store(out + tl.arange(0, B)[:, None] * B + j[None, :], tl.load(x + i[:, None] * m + j[None, :]))


@triton.jit
def wrapped_both(x, out, n, m, start, B: tl.constexpr):
    i = (start + tl.arange(0, B)) % n
    j = (start + tl.arange(0, B)) % m
    mask = (tl.arange(0, B) < B - 1)[:, None]
    value = tl.load(x + i[:, None] * m + j[None, :], mask=mask, other=-1.0)
    tl.store(out + tl.arange(0, B)[:, None] * B + tl.arange(0, B)[None, :], value)


@triton.jit
def wrapped_by_two(x, out, n, start, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + (start + 2 * i) % n))


@triton.jit
def wrapped_store(x, out, n, start, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + (start + i) % n, tl.load(x + i), mask=i < n)


@triton.jit
def gather(x, index, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    at = tl.load(index + i)
    tl.store(out + i, tl.load(x + at, mask=i < n, other=0.0))


@triton.jit
def gather_around(x, index, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    at = tl.load(index + i)
    tl.store(out + i, tl.load(x + (3 * i + at + (i + n) % 5)) + tl.load(x + at * 2 + i))


@triton.jit
def never(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i + 1000 * n, mask=i >= B, other=4.0), mask=i < n)
    tl.store(out + i + 1000 * n, tl.load(x + i), mask=i > B)


@triton.jit
def unsigned_window(x, out, n, m, B: tl.constexpr):
    i = tl.arange(0, B) - m
    mask = i.to(tl.uint32, bitcast=True) < n.to(tl.uint32, bitcast=True)
    tl.store(out + tl.arange(0, B), tl.load(x + i, mask=mask, other=-1.0))


@triton.jit
def gather_rows(x, index, out, m, B: tl.constexpr):
    i = tl.arange(0, B)
    at = tl.load(index + i)
    tl.store(
        out + i[:, None] * B + i[None, :], tl.load(x + at[:, None] * m + i[None, :], mask=i[None, :] < m)
    )


@triton.jit
def gather_anywhere(x, index, out, m, B: tl.constexpr):
    i = tl.arange(0, B)
    p = i[:, None] * B + i[None, :]
    at = tl.load(index + p)
    tl.store(out + p, tl.load(x + at * m + 1, mask=p < m, other=0.0))


@triton.jit
def scatter(x, index, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + tl.load(index + i), tl.load(x + i), mask=i < n)


@triton.jit
def scatter_rows(x, index, out, m, B: tl.constexpr):
    i = tl.arange(0, B)
    at = tl.load(index + i)
    tl.store(out + at[:, None] * m + i[None, :], tl.load(x + i[:, None] * B + i[None, :]))


@triton.jit
def scalars(x, out, n, B: tl.constexpr):
    p = x + n
    if n > 2:
        p += 1
    tl.store(out, tl.load(p + 1))


@triton.jit
def matmul(a, b, c, M, N, K, sam, sak, sbk, sbn, B: tl.constexpr):
    i = (tl.program_id(0) * B + tl.arange(0, B)) % M
    j = (tl.program_id(1) * B + tl.arange(0, B)) % N
    k = tl.arange(0, B)
    pa = a + i[:, None] * sam + k[None, :] * sak
    pb = b + k[:, None] * sbk + j[None, :] * sbn
    acc = tl.zeros((B, B), tl.float32)
    for step in range(0, K, B):
        left = tl.load(pa, mask=k[None, :] < K - step, other=0.0)
        right = tl.load(pb, mask=k[:, None] < K - step, other=0.0)
        acc = tl.dot(left, right, acc, input_precision="ieee")
        pa += B * sak
        pb += B * sbk
    i = tl.program_id(0) * B + tl.arange(0, B)
    j = tl.program_id(1) * B + tl.arange(0, B)
    tl.store(c + i[:, None] * N + j[None, :], acc, mask=(i[:, None] < M) & (j[None, :] < N))


@triton.jit
def nested_loops(x, out, n, m, B: tl.constexpr):
    i = tl.arange(0, B)
    p = x + i
    q = out + i
    for _ in range(n):
        for _ in range(m):
            tl.store(q, tl.load(p))
            p += B
            q += B
        p -= B * m


@triton.jit
def carried_offsets(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    total = tl.zeros((B,), tl.float32)
    for _ in range(0, n, B):
        total += tl.load(x + i, mask=i < n, other=0.0)
        i += B
    tl.store(out + tl.arange(0, B), total)


@triton.jit
def carried_strides(x, out, n, B: tl.constexpr):
    p = x + tl.arange(0, B)
    total = tl.zeros((B,), tl.float32)
    for _ in range(n):
        total += tl.load(p)
        p += tl.arange(0, B)
    tl.store(out + tl.arange(0, B), total)


@triton.jit
def carried_lookups(x, index, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = x + i
    total = tl.zeros((B,), tl.float32)
    for _ in range(n):
        total += tl.load(p)
        p += tl.load(index + i)
    tl.store(out + i, total)


@triton.jit
def swapped_pointers(x, y, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = x + i
    q = y + i
    for _ in range(n):
        tl.store(out + i, tl.load(p) - tl.load(q))
        p, q = q, p


@triton.jit
def scalar_in_loop(x, out, n, B: tl.constexpr):
    p = x
    for _ in range(n):
        tl.store(out, tl.load(p) + tl.load(out))
        p += 2


@triton.jit
def while_loop(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = x + i
    left = n
    while left > 0:
        tl.store(out + i, tl.load(p) + tl.load(out + i))
        p += B
        left -= 1


@triton.jit
def one_of_two(x, y, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = x + i
    if n > 3:
        p = y + i * 2
    tl.store(out + i, tl.load(p))


@triton.jit
def selected(x, y, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = tl.where(n > 3, x + i, x + (i + 5))
    q = tl.where(i < 2, x + i, y + i)
    tl.store(out + i, tl.load(p) + tl.load(q))


@triton.jit
def block_pointers(x, out, n, m, B: tl.constexpr):
    p = tl.make_block_ptr(x, (n, m), (m, 1), (-2, 3), (B, B), (1, 0))
    q = tl.make_block_ptr(out, (n, m), (m, 1), (0, 0), (B, B), (0, 1))
    for _ in range(0, m, B):
        tl.store(q, tl.load(p, boundary_check=(0, 1), padding_option="nan"), boundary_check=(1,))
        p = tl.advance(p, (0, B))
        q = tl.advance(q, (0, B))


@triton.jit
def block_inside(x, out, n, m, B: tl.constexpr):
    p = tl.make_block_ptr(x, (n, m), (m, 1), (0, 0), (B, B), (1, 0))
    tl.store(p, tl.load(p) + 1)


@triton.jit
def descriptors(x, out, n, m, B: tl.constexpr):
    source = tl.make_tensor_descriptor(x, [n, m], [m, 1], [B, B])
    target = tl.make_tensor_descriptor(out, [n, m], [m, 1], [B, B])
    target.store([n - 4, 0], source.load([-1, 2]))


@triton.jit
def descriptor_rows(x, index, out, n, m, B: tl.constexpr):
    i = tl.load(index + tl.arange(0, B))
    source = tl.make_tensor_descriptor(x, [n, m], [m, 1], [1, 8])
    value = source.gather(i, 2)
    tl.store(out + tl.arange(0, B)[:, None] * 8 + tl.arange(0, 8)[None, :], value)


@triton.jit
def addresses(table, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = tl.load(table + i).to(tl.pointer_type(tl.float32))
    tl.store(out + i, tl.load(p + n))


@triton.jit
def pointers_in_memory(table, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    p = tl.load(table.to(tl.pointer_type(tl.pointer_type(tl.float32))) + i, mask=i < n)
    tl.store(table.to(tl.pointer_type(tl.pointer_type(tl.float32))) + i, p + 1, mask=i < n)
    first = tl.load(table.to(tl.pointer_type(tl.pointer_type(tl.float32))))
    tl.store(out + i, tl.load(p, mask=i < n, other=0.0) + tl.load(first))


@triton.jit
def one_of_one(x, index, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    at = tl.load(index + n + tl.arange(0, 1))
    tl.store(out + i, tl.load(x + i + at))


@triton.jit
def halves(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    h = (x + i).to(tl.pointer_type(tl.float16))
    s = (x + n).to(tl.pointer_type(tl.float16))
    tl.store(out + i, tl.load(h + 1).to(tl.float32) + tl.load(s + 1).to(tl.float32))


@triton.jit
def booleans(x, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, tl.load(x + i) > 0)


@triton.jit
def atomics(x, index, out, n, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.atomic_add(out + tl.load(index + i), tl.load(x + i), mask=i < n)
    tl.atomic_max(out + i, tl.load(x + i))
    tl.atomic_cas(out, tl.load(x), tl.load(x + 1))


SOURCES = {name: kernel for name, kernel in globals().items() if isinstance(kernel, triton.JITFunction)}
