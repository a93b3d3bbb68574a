"""Kernels that between them use every operation of the `tt` dialect, and their TTIR from stock Triton."""

import functools
import tempfile
import warnings

import triton
import triton.language as tl
from triton._C.libtriton import ir, passes
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.compiler import ASTSource
from triton.language.extra.cuda import libdevice
from triton.runtime import driver

TARGET = GPUTarget("cuda", 90, 32)
KERNELS = {}
_reader = ir.context()
ir.load_dialects(_reader)


class NoDevice:
    """Stands for the device that some language functions ask for."""

    def get_current_target(self):
        return TARGET


def kernel(constants=None, **signature):
    """Registers a kernel: the types of its arguments, and its compile-time constants."""

    def register(function):
        names = {n: "constexpr" for n in constants or {}}
        KERNELS[function.__name__] = (triton.jit(function), {**signature, **names}, constants or {})
        return KERNELS[function.__name__][0]

    return register


@functools.cache
def ttir(name: str, optimized: bool = True) -> str:
    """The text of a kernel as Triton's front end leaves it, or after its own clean-up."""
    function, signature, constants = KERNELS[name]
    backend = CUDABackend(TARGET)
    options = backend.parse_options({"debug": True})
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    before, driver._active = driver._active, NoDevice()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ASTSource(function, signature, constants).make_ir(
                TARGET,
                options,
                backend.get_codegen_implementation(options),
                backend.get_module_map(),
                context,
            )
    finally:
        driver._active = before
    if optimized:
        manager = ir.pass_manager(context)
        passes.common.add_inliner(manager)
        passes.common.add_canonicalizer(manager)
        passes.ttir.add_combine(manager)
        passes.ttir.add_reorder_broadcast(manager)
        passes.common.add_cse(manager)
        passes.common.add_symbol_dce(manager)
        passes.ttir.add_loop_unroll(manager)
        manager.run(module, "clean_up")
    return str(module)


def reprinted(text: str) -> str:
    """`text` as Triton's own parser and printer give it back."""
    with tempfile.NamedTemporaryFile("w", suffix=".ttir") as file:
        file.write(text)
        file.flush()
        return str(ir.parse_mlir_module(file.name, _reader))


@kernel(x="*fp32", y="*fp32", o="*fp32", n="i32", constants={"B": 128})
def add(x, y, o, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    m = i < n
    tl.store(o + i, tl.load(x + i, mask=m) + tl.load(y + i, mask=m, other=1.0), mask=m)


@kernel(x="*fp32", o="*fp32", constants={"B": 64})
def hints(x, o, B: tl.constexpr):
    i = tl.arange(0, B)
    a = tl.load(x + i, cache_modifier=".cg", eviction_policy="evict_last")
    b = tl.load(x + i, i < 7, cache_modifier=".ca")
    c = tl.load(x + i, volatile=True)
    tl.store(o + i, a + b + c, eviction_policy="evict_first")
    tl.store(o + i, a, i < 9, cache_modifier=".wt", eviction_policy="evict_last")


@kernel(x="*fp32", o="*fp32", n="i32", rows="i32", constants={"B": 64})
def softmax(x, o, n, rows, B: tl.constexpr):
    for r in tl.range(tl.program_id(0), rows, tl.num_programs(0)):
        i = tl.arange(0, B)
        row = tl.load(x + r * n + i, mask=i < n, other=-float("inf"))
        e = tl.exp(row - tl.max(row, axis=0))
        tl.store(o + r * n + i, e / tl.sum(e, axis=0), mask=i < n)


@kernel(a="*fp16", b="*fp16", c="*fp16", M="i32", N="i32", K="i32", constants={"BM": 32, "BN": 32, "BK": 16})
def matmul_blocks(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    pa = tl.make_block_ptr(a, (M, K), (K, 1), (tl.program_id(0) * BM, 0), (BM, BK), (1, 0))
    pb = tl.make_block_ptr(b, (K, N), (N, 1), (0, tl.program_id(1) * BN), (BK, BN), (1, 0))
    acc = tl.zeros((BM, BN), tl.float32)
    for _ in range(0, K, BK):
        left = tl.load(pa, boundary_check=(0, 1), padding_option="zero")
        acc = tl.dot(left, tl.load(pb, boundary_check=(0,), padding_option="nan"), acc)
        pa = tl.advance(pa, (0, BK))
        pb = tl.advance(pb, (BK, 0))
    pc = tl.make_block_ptr(
        c, (M, N), (N, 1), (tl.program_id(0) * BM, tl.program_id(1) * BN), (BM, BN), (1, 0)
    )
    tl.store(pc, acc.to(tl.float16), boundary_check=(0, 1))


@kernel(a="*fp32", b="*fp32", c="*fp32", constants={"B": 32})
def dot_precisions(a, b, c, B: tl.constexpr):
    i = tl.arange(0, B)[:, None] * B + tl.arange(0, B)[None, :]
    x, y = tl.load(a + i), tl.load(b + i)
    acc = tl.dot(x, y, input_precision="ieee")
    acc = tl.dot(x, y, acc, input_precision="tf32x3")
    acc = tl.dot(x.to(tl.float8e5), y.to(tl.float8e5), acc, max_num_imprecise_acc=32)
    tl.store(c + i, acc)


@kernel(a="*i8", c="*i32", constants={"B": 32})
def dot_integers(a, c, B: tl.constexpr):
    i = tl.arange(0, B)[:, None] * B + tl.arange(0, B)[None, :]
    x = tl.load(a + i)
    tl.store(c + i, tl.dot(x, x, out_dtype=tl.int32))


@kernel(a="*fp16", c="*fp32")
def dot_batched(a, c):
    z = tl.arange(0, 4)[:, None, None] * 256
    i = z + tl.arange(0, 16)[None, :, None] * 16 + tl.arange(0, 16)[None, None, :]
    x = tl.load(a + i)
    tl.store(c + i, tl.dot(x, x))


@kernel(a="*fp8e4nv", b="*fp8e5", c="*fp32", sa="*u8", sb="*u8")
def dot_scaled(a, b, c, sa, sb):
    i, j, k = tl.arange(0, 32), tl.arange(0, 64), tl.arange(0, 2)
    x = tl.load(a + i[:, None] * 64 + j[None, :])
    y = tl.load(b + j[:, None] * 32 + i[None, :])
    s = tl.load(sa + i[:, None] * 2 + k[None, :])
    t = tl.load(sb + i[:, None] * 2 + k[None, :])
    acc = tl.dot_scaled(x, s, "e4m3", y, t, "e5m2")
    acc = tl.dot_scaled(x, None, "e4m3", y, t, "e5m2", acc, fast_math=True)
    tl.store(c + i[:, None] * 32 + i[None, :], acc)


@kernel(a="*u8", b="*u8", c="*fp32", s="*u8")
def dot_packed(a, b, c, s):
    i, j, k = tl.arange(0, 32), tl.arange(0, 64), tl.arange(0, 2)
    x = tl.load(a + i[:, None] * 32 + i[None, :])
    y = tl.load(b + j[:, None] * 16 + tl.arange(0, 16)[None, :])
    t = tl.load(s + i[:, None] * 2 + k[None, :])
    acc = tl.dot_scaled(x, t, "e2m1", y, t, "e2m1", rhs_k_pack=False)
    tl.store(c + i[:, None] * 32 + i[None, :], acc)


@triton.jit
def larger(a, b):
    return tl.where(a > b, a, b)


@triton.jit
def both(a, i, b, j):
    return a + b, i + j


@kernel(x="*fp32", o="*fp32", constants={"B": 32})
def reductions(x, o, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i[:, None] * B + i[None, :])
    tl.store(o + i, tl.sum(v, 0))
    tl.store(o + i, tl.reduce(v, 1, larger))
    tl.store(o, tl.max(tl.min(v, 0), 0))
    m, at = tl.max(v, 1, return_indices=True)
    tl.store(o + i, m + at)
    p, q = tl.reduce((v, i[:, None] + tl.zeros((B, B), tl.int32)), 0, both)
    tl.store(o + i, p + q)


@kernel(x="*fp32", o="*fp32", constants={"B": 32})
def scans(x, o, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i)
    tl.store(o + i, tl.cumsum(v, 0) + tl.cumprod(v, 0, reverse=True))
    tl.store(o + i, tl.associative_scan(v, 0, larger))
    p, q = tl.associative_scan((v, i), 0, both)
    tl.store(o + i, p + q)


@kernel(x="*fp32", o="*fp32", n="i32", f="fp32", constants={"B": 32})
def atomics(x, o, n, f, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i)
    tl.atomic_add(o + i, v, mask=i < n)
    tl.atomic_add(o, f, sem="relaxed", scope="cta")
    tl.atomic_max(o + i, v, sem="acquire", scope="sys")
    tl.atomic_xchg(o + i, v, sem="release")


@kernel(x="*i32", u="*u32", n="i32")
def atomics_integers(x, u, n):
    i = tl.arange(0, 16)
    tl.atomic_and(x + i, i)
    tl.atomic_or(x + i, i)
    tl.atomic_xor(x + i, i)
    tl.atomic_add(x + i, i)
    tl.atomic_min(x + i, i)
    tl.atomic_max(u + i, i.to(tl.uint32))
    tl.atomic_min(u + i, i.to(tl.uint32))
    old = tl.atomic_cas(x, n, 2)
    tl.atomic_cas(x + i, i, old + i, sem="acquire")


@kernel(desc="tensordesc<fp16[64, 32]>", o="*fp16", n="i32")
def descriptors(desc, o, n):
    v = desc.load([n, 0])
    desc.store([0, n], v)
    made = tl.make_tensor_descriptor(o, shape=[n, 64], strides=[64, 1], block_shape=[1, 32])
    i = tl.arange(0, 16)
    rows = made.gather(i, n)
    made.scatter(rows, i, n)
    padded = tl.make_tensor_descriptor(o, [n, 64], [64, 1], [16, 32], padding_option="nan")
    tl.store(o + i[:, None] * 32 + tl.arange(0, 32)[None, :], padded.load([0, 0]))


@kernel(desc="tensordesc<i32[8, 32]>", n="i32")
def descriptor_reductions(desc, n):
    v = desc.load([n, 0])
    desc.atomic_add([0, n], v)
    desc.atomic_min([0, n], v)
    desc.atomic_max([0, n], v)
    desc.atomic_and([0, n], v)
    desc.atomic_or([0, n], v)
    desc.atomic_xor([0, n], v)


@kernel(x="*fp32", o="*fp32", constants={"B": 32})
def shapes(x, o, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i)
    q = tl.reshape(v, (2, B // 2))
    t = tl.trans(q)
    tl.store(o + tl.arange(0, B // 2)[:, None] * 2 + tl.arange(0, 2)[None, :], t)
    tl.store(o + tl.arange(0, 2 * B), tl.cat(v, v, can_reorder=True))
    left, right = tl.split(tl.join(v, v))
    tl.store(o + i, left + right)
    tl.store(o + i, tl.reshape(tl.permute(tl.reshape(v, (2, 4, 4)), (2, 0, 1)), (B,), can_reorder=True))
    tl.store(o + tl.arange(0, 2 * B), tl.interleave(v, v))


@kernel(x="*fp32", o="*fp32", n="i32")
def one_element(x, o, n):
    z = tl.zeros([1], tl.int32)
    v = tl.load(x + z)
    tl.store(o, v.item() + n)
    tl.store(o, tl.sum(v))
    tl.store(o + z, v)


@kernel(x="*fp32", o="*fp32", h="*i32", n="i32", constants={"B": 32})
def lookups(x, o, h, n, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i)
    tl.store(o + i, tl.gather(v, i ^ 1, 0))
    bins = tl.arange(0, 16)
    tl.store(h + bins, tl.histogram(i + n, 16))
    tl.store(h + bins, tl.histogram(i, 16, mask=i < n))


@kernel(x="*fp32", u="*u32", o="*fp32", constants={"B": 32})
def arithmetic(x, u, o, B: tl.constexpr):
    i = tl.arange(0, B)
    v, w = tl.load(x + i), tl.load(u + i)
    a = tl.clamp(v, 0.0, 1.0) + tl.clamp(v, -1.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
    a += tl.sqrt_rn(v) + tl.div_rn(v, a) + tl.umulhi(w, w).to(tl.float32)
    a += tl.exp2(v) * tl.log(v) + tl.sin(v) + tl.cos(v) + tl.rsqrt(v) + tl.erf(v) + tl.floor(v) + tl.abs(v)
    a += tl.fma(v, v, v) + tl.minimum(v, a) + tl.maximum(v, a, propagate_nan=tl.PropagateNan.ALL)
    tl.store(o + i, tl.sigmoid(a) + tl.softmax(a))


@kernel(x="*fp32", y="*bf16", o="*fp32", constants={"B": 32})
def conversions(x, y, o, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i)
    a = v.to(tl.float8e5).to(tl.float32) + v.to(tl.float16, fp_downcast_rounding="rtz")
    a += v.to(tl.int32, bitcast=True).to(tl.float32) + tl.load(y + i).to(tl.float32)
    a += v.to(tl.float8e4nv, fp_downcast_rounding="rtne").to(tl.float16)
    tl.store(o + i, a + v.to(tl.int8).to(tl.uint8).to(tl.float64).to(tl.float32))


@kernel(x="*fp32", p="*i64", b="*i1")
def pointers(x, p, b):
    i = tl.arange(0, 16)
    address = x.to(tl.int64)
    tl.store(address.to(tl.pointer_type(tl.float32)), 1.0)
    many = (x + i).to(tl.int64)
    tl.store(p + i, many)
    tl.store(many.to(tl.pointer_type(tl.float32)), 2.0)
    tl.store(b + i, tl.load(b + i) & (tl.load(x.to(tl.pointer_type(tl.int32), bitcast=True)) > 0))
    inner = tl.load(p.to(tl.pointer_type(tl.pointer_type(tl.float32)), bitcast=True) + i)
    tl.store(inner, 3.0)


@kernel(x="*fp32", o="*fp32", n="i32")
def inline_assembly(x, o, n):
    i = tl.arange(0, 16)
    v = tl.load(x + i)
    one = tl.inline_asm_elementwise('mov {$0}, $1; // "x"', "=r,r", [v], tl.float32, is_pure=True, pack=1)
    a, b = tl.inline_asm_elementwise(
        "mov $0, $2; mov $1, $3;", "=r,=r,r,r", [i, v], (tl.int32, tl.float32), is_pure=False, pack=2
    )
    c = tl.inline_asm_elementwise("mov $0, 1;", "=r", [], tl.int32, is_pure=True, pack=1)
    tl.store(o + i, one + a + b + c)


@kernel(x="*fp32", o="*fp32")
def external(x, o):
    i = tl.arange(0, 16)
    v = tl.load(x + i)
    tl.store(o + i, libdevice.tanh(v) + libdevice.pow(v, v))


@triton.jit
def branches(a, b):
    if a < b:
        return a
    else:
        return b + 1


@triton.jit
def two(a, b):
    return a + b, a > b


@kernel(x="*fp32", o="*fp32")
def mapped(x, o):
    i = tl.arange(0, 16)
    v = tl.load(x + i)
    tl.store(o + i, tl.map_elementwise(branches, v, v))
    s, c = tl.map_elementwise(two, v, v)
    tl.store(o + i, s + c)


@kernel(x="*fp32", n="i32")
def messages(x, n):
    v = tl.load(x + tl.arange(0, 16))
    tl.device_print("value {}", v, n)
    tl.device_print("in hexadecimal", n, hex=True)
    tl.device_print('only "text", \\ and }')
    tl.device_assert(v > 0, "not positive")
    tl.device_assert(n < 3, 'with "quotes"')


@triton.jit(noinline=True)
def apart(a, b):
    return a * 2 + b, a


@triton.jit(noinline=True)
def procedure(p):
    tl.store(p, 1.0)


@kernel(o="*fp32", f="fp32", n="i32")
def calls(o, f, n):
    a, b = apart(f, n)
    tl.store(o, a + b)
    procedure(o)


@kernel(o="*i32", n="i32")
def control(o, n):
    if n > 3:
        tl.store(o, 7)
        return
    while n < 10:
        n += 1
        for k in range(n):
            if k == 3:
                tl.store(o + k, n)
            else:
                tl.store(o, k)
    tl.store(o, n)


@kernel(o="*i32", n="i32", m="i64", f="fp64", h="fp16", b="i1", c="u8")
def scalars(o, n, m, f, h, b, c):
    tl.assume(n > 0)
    total = n + m + f.to(tl.int64) + h.to(tl.int64) + c
    tl.store(o + tl.program_id(1) + tl.program_id(2) * tl.num_programs(1), total, mask=b)


@kernel(x="*fp32", o="*fp32", n="i32")
def divisibility(x, o, n):
    i = tl.max_contiguous(tl.multiple_of(tl.arange(0, 32) + n, 16), 32)
    x = tl.multiple_of(x, 16)
    v = tl.load(x + i)
    tl.store(o + tl.max_constancy(i, 4), v)


@kernel(x="*fp32", o="*fp32", n="i32")
def loops(x, o, n):
    i = tl.arange(0, 16)
    acc = tl.zeros((16,), tl.float32)
    for k in tl.range(0, n, 2, num_stages=3, loop_unroll_factor=2):
        acc += tl.load(x + k * 16 + i)
    for k in tl.static_range(3):
        acc += k
    for k in tl.range(n, flatten=True):
        for m in tl.range(k, disallow_acc_multi_buffer=True):
            acc += m
    tl.store(o + i, acc)


@kernel(x="*fp32", o="*fp32")
def sorting(x, o):
    i = tl.arange(0, 16)
    v = tl.load(x + i)
    tl.store(o + i, tl.sort(v) + tl.flip(v, 0))


@kernel(o="*fp32", seed="i32")
def random(o, seed):
    i = tl.arange(0, 64)
    tl.store(o + i, tl.rand(seed, i) + tl.randn(seed, i))


@kernel(x="*fp32", o="*fp32", constants={"N": 8})
def outer(x, o, N: tl.constexpr):
    i, j = tl.arange(0, N), tl.arange(0, 2 * N)
    a = tl.load(x + i)[:, None] * tl.load(x + j)[None, :]
    tl.store(o + i[:, None] * 2 * N + j[None, :], tl.where(i[:, None] < j[None, :], a, 0.0))


@kernel(q="*fp16", k="*fp16", v="*fp16", o="*fp16", n="i32", scale="fp32", constants={"B": 32, "D": 16})
def attention(q, k, v, o, n, scale, B: tl.constexpr, D: tl.constexpr):
    i, d = tl.program_id(0) * B + tl.arange(0, B), tl.arange(0, D)
    query = tl.load(q + i[:, None] * D + d[None, :], mask=i[:, None] < n, other=0.0)
    m = tl.full((B,), float("-inf"), tl.float32)
    total = tl.zeros((B,), tl.float32)
    acc = tl.zeros((B, D), tl.float32)
    for start in range(0, n, B):
        j = start + tl.arange(0, B)
        keys = tl.load(k + j[None, :] * D + d[:, None], mask=j[None, :] < n, other=0.0)
        s = tl.where(j[None, :] < n, tl.dot(query, keys) * scale, float("-inf"))
        new = tl.maximum(m, tl.max(s, 1))
        p = tl.exp(s - new[:, None])
        alpha = tl.exp(m - new)
        total = total * alpha + tl.sum(p, 1)
        values = tl.load(v + j[:, None] * D + d[None, :], mask=j[:, None] < n, other=0.0)
        acc = tl.dot(p.to(tl.float16), values, acc * alpha[:, None])
        m = new
    tl.store(o + i[:, None] * D + d[None, :], (acc / total[:, None]).to(tl.float16), mask=i[:, None] < n)
