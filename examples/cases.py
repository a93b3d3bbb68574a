"""What `run.py` runs: every example on inputs of some shape and type, with NumPy's answer."""

from collections.abc import Callable

import attention
import attrs
import layer_norm
import matmul
import numpy as np
import packed_attention
import packed_rows
import packed_scores
import packed_split_k
import softmax
import torch
import vector_add

EPS = {torch.float32: 2.0**-23, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}


@attrs.frozen
class Example:
    """One row of the table.

    prepare: a function of a seeded generator that returns (launch, outputs, references): a function
    that runs the kernels, the tensors that they write, and what float64 arithmetic says.
    tolerance: greatest allowed |got - want|, relative to 1 + |want|; 0 asks for equality.
    """

    kernel: str
    shape: str
    dtype: str
    prepare: Callable[[np.random.Generator], tuple[Callable, list, list]]
    tolerance: float


def normal(rng, *shape, dtype=torch.float32, scale=1.0):
    return torch.from_numpy(rng.standard_normal(shape) * scale).to(dtype)


def exact(tensor):
    """`tensor` for NumPy to compute with, in float64 or int64."""
    return tensor.to(torch.float64 if tensor.is_floating_point() else torch.int64).numpy()


def name(dtype) -> str:
    return str(dtype).removeprefix("torch.")


def vector_add_example(n=100_003):
    def prepare(rng):
        x, y = normal(rng, n), normal(rng, n)
        out = torch.empty(n)
        return lambda: vector_add.add(x, y, out), [out], [exact(x) + exact(y)]

    return Example("vector_add", f"{n}", "float32", prepare, EPS[torch.float32])


def numpy_softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_example(m=64, n=781):
    def prepare(rng):
        x = normal(rng, m, n, scale=4)
        out = torch.empty(m, n)
        return lambda: softmax.softmax(x, out), [out], [numpy_softmax(exact(x))]

    return Example("softmax", f"{m}x{n}", "float32", prepare, 4 * EPS[torch.float32])


def matmul_example(dtype, out_dtype, m=127, n=130, k=200):
    def prepare(rng):
        if dtype == torch.int8:
            a, b = (torch.from_numpy(rng.integers(-128, 128, s, dtype=np.int8)) for s in ((m, k), (k, n)))
        else:
            a, b = normal(rng, m, k, dtype=dtype), normal(rng, k, n, dtype=dtype)
        out = torch.empty(m, n, dtype=out_dtype)
        return lambda: matmul.matmul(a, b, out), [out], [exact(a) @ exact(b)]

    # Each of k additions rounds once, by half an eps of a sum that is seldom greater than the result.
    tolerance = 0.0 if dtype == torch.int8 else EPS[torch.float32] * k / 2
    if out_dtype == torch.float16:
        tolerance += EPS[torch.float16]
    return Example("matmul", f"{m}x{n}x{k}", f"{name(dtype)} to {name(out_dtype)}", prepare, tolerance)


def numpy_layer_norm(x, weight, bias, eps=1e-5):
    mean = x.mean(1, keepdims=True)
    rstd = 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    return (x - mean) * rstd * weight + bias, mean[:, 0], rstd[:, 0]


def layer_norm_forward_example(m=64, n=781):
    def prepare(rng):
        x, weight, bias = normal(rng, m, n), normal(rng, n), normal(rng, n)
        y, mean, rstd = torch.empty(m, n), torch.empty(m), torch.empty(m)
        references = list(numpy_layer_norm(exact(x), exact(weight), exact(bias)))
        return lambda: layer_norm.forward(x, weight, bias, y, mean, rstd), [y, mean, rstd], references

    return Example("layer_norm forward", f"{m}x{n}", "float32", prepare, 16 * EPS[torch.float32])


def numpy_layer_norm_backward(dy, x, weight):
    _, mean, rstd = numpy_layer_norm(x, weight, 0.0)
    normal = (x - mean[:, None]) * rstd[:, None]
    scaled = dy * weight
    along = normal * (normal * scaled).mean(1, keepdims=True)
    dx = (scaled - along - scaled.mean(1, keepdims=True)) * rstd[:, None]
    return [dx, (dy * normal).sum(0), dy.sum(0)]


def layer_norm_backward_example(m=64, n=781):
    def prepare(rng):
        x, weight, dy = normal(rng, m, n), normal(rng, n), normal(rng, m, n)
        _, mean, rstd = numpy_layer_norm(exact(x), exact(weight), 0.0)
        mean, rstd = (torch.from_numpy(a.astype(np.float32)) for a in (mean, rstd))
        outputs = [torch.empty(m, n), torch.empty(n), torch.empty(n)]
        references = numpy_layer_norm_backward(exact(dy), exact(x), exact(weight))
        return lambda: layer_norm.backward(dy, x, weight, mean, rstd, *outputs), outputs, references

    return Example("layer_norm backward", f"{m}x{n}", "float32", prepare, 32 * EPS[torch.float32])


def packed_scores_example(dtype=torch.float32, m=150, n=93, head=64):
    def prepare(rng):
        q, k = normal(rng, m, head, dtype=dtype), normal(rng, n, head, dtype=dtype)
        out, scale = torch.empty(m, n), 0.125
        return lambda: packed_scores.packed_scores(q, k, out, scale), [out], [exact(q) @ exact(k).T * scale]

    return Example("packed scores", f"{m}x{n}x{head}", name(dtype), prepare, EPS[torch.float32] * head / 2)


def packed_split_k_example(dtype=torch.float32, m=127, n=130, k=300):
    def prepare(rng):
        a, b = normal(rng, m, k, dtype=dtype), normal(rng, k, n, dtype=dtype)
        out = torch.empty(m, n)
        return lambda: packed_split_k.packed_split_k(a, b, out), [out], [exact(a) @ exact(b)]

    return Example("packed split K", f"{m}x{n}x{k}", name(dtype), prepare, EPS[torch.float32] * k / 2)


def packed_softmax_example(m=37, n=781):
    def prepare(rng):
        x = normal(rng, m, n, scale=4)
        out = torch.empty(m, n)
        return lambda: packed_rows.packed_softmax(x, out), [out], [numpy_softmax(exact(x))]

    return Example("packed softmax", f"{m}x{n}", "float32", prepare, 4 * EPS[torch.float32])


def packed_layer_norm_example(m=37, n=781):
    def prepare(rng):
        x, weight, bias = normal(rng, m, n), normal(rng, n), normal(rng, n)
        out = torch.empty(m, n)
        want, _, _ = numpy_layer_norm(exact(x), exact(weight), exact(bias))
        return lambda: packed_rows.packed_layer_norm(x, weight, bias, out), [out], [want]

    return Example("packed layer norm", f"{m}x{n}", "float32", prepare, 16 * EPS[torch.float32])


def packed_attention_example(causal, dtype, head, length, hybrid=False, heads=2, **sizes):
    def prepare(rng):
        launch, outputs, references = attention_inputs(rng, causal, dtype, heads, length, head)
        return lambda: launch(packed_attention.packed_attention, hybrid=hybrid, **sizes), outputs, references

    kind = "hybrid" if hybrid else "packed"
    kind += " attention causal" if causal else " attention full"
    return Example(kind, f"{heads}x{length}x{head}", name(dtype), prepare, attention_tolerance(dtype))


def attention_tolerance(dtype) -> float:
    """In half precision the weights are rounded before they multiply v, and the result once more."""
    return 32 * EPS[torch.float32] if dtype == torch.float32 else 2 * EPS[dtype]


def attention_inputs(rng, causal, dtype, heads, length, head):
    """(launch, outputs, references); launch(function, **options) calls an attention."""
    q, k, v = (normal(rng, heads, length, head, dtype=dtype) for _ in range(3))
    out = torch.empty(heads, length, head, dtype=dtype)
    scores = exact(q) @ exact(k).transpose(0, 2, 1) / head**0.5
    if causal:
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    references = [numpy_softmax(scores) @ exact(v)]
    return lambda function, **options: function(q, k, v, out, causal=causal, **options), [out], references


def attention_example(causal, dtype=torch.float32, heads=2, length=150, head=64):
    def prepare(rng):
        launch, outputs, references = attention_inputs(rng, causal, dtype, heads, length, head)
        return lambda: launch(attention.attention), outputs, references

    kind = "causal" if causal else "full"
    return Example(
        f"attention {kind}", f"{heads}x{length}x{head}", name(dtype), prepare, attention_tolerance(dtype)
    )


EXAMPLES = [
    vector_add_example(),
    softmax_example(),
    matmul_example(torch.float32, torch.float32),
    matmul_example(torch.float16, torch.float32),
    matmul_example(torch.float16, torch.float16),
    matmul_example(torch.int8, torch.int32),
    layer_norm_forward_example(),
    layer_norm_backward_example(),
    attention_example(False),
    attention_example(True),
    attention_example(True, torch.float16),
    packed_scores_example(),
    packed_scores_example(torch.float16),
    packed_split_k_example(),
    packed_split_k_example(torch.float16),
    packed_softmax_example(),
    packed_layer_norm_example(),
    packed_attention_example(False, torch.float32, 64, 150, hybrid=True),
    packed_attention_example(True, torch.float16, 64, 150, hybrid=True),
    packed_attention_example(False, torch.float32, 64, 150),
    packed_attention_example(True, torch.float32, 64, 150),
    packed_attention_example(True, torch.float16, 128, 77),
    packed_attention_example(False, torch.bfloat16, 256, 77),
    packed_attention_example(False, torch.float16, 512, 77),
]
