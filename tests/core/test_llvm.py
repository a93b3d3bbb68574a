"""LLVM IR as the MLIR bindings print it, through to machine code: every constant's bits, the host, RISC-V."""

import ctypes
import re
import struct
import time

import attrs
import llvmlite.binding as binding
import numpy as np
import pytest

from vertebra.core import llvm, toolchain
from vertebra.core.errors import BackendError
from vertebra.core.mlir import ir
from vertebra.core.mlir import llvm as llvm_dialect


@attrs.frozen
class Target:
    triple: str
    cpu: str = ""
    features: tuple[str, ...] = ()
    abi: str = ""


HOST = Target(binding.get_process_triple(), *llvm.host_cpu())
RISCV = Target(
    "riscv64-unknown-linux-gnu",
    "generic-rv64",
    ("+m", "+a", "+f", "+d", "+c", "+v", "+zvl256b", "+xsmtvdot"),
    "lp64d",
)
off_riscv = pytest.mark.skipif(
    HOST.triple.startswith("riscv"), reason="llvmlite parses the assembly of its own machine"
)


def translate(text: str) -> str:
    """MLIR in the llvm dialect as the bindings print it in LLVM IR."""
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        return llvm_dialect.translate_module_to_llvmir(module.operation)


class Loaded:
    """The functions and globals of LLVM IR `text` in this process."""

    def __init__(self, text: str, vectorize: bool = False):
        obj = llvm.emit_object(llvm.optimize(text, HOST, vectorize=vectorize), HOST)
        machine = binding.Target.from_default_triple().create_target_machine(jit=True)
        self.engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
        self.engine.add_object_file(binding.object_file.ObjectFileRef.from_data(obj))
        self.engine.finalize_object()

    def function(self, name: str, *arguments):
        return ctypes.CFUNCTYPE(None, *arguments)(self.engine.get_function_address(name))

    def read(self, name: str, dtype, count: int) -> np.ndarray:
        address = self.engine.get_global_value_address(name)
        return np.frombuffer(ctypes.string_at(address, np.dtype(dtype).itemsize * count), dtype)


# MLIR type, integers of its width, (exponent, fraction) bits
FORMATS = {
    "f16": (np.uint16, 5, 10),
    "bf16": (np.uint16, 8, 7),
    "f32": (np.uint32, 8, 23),
    "f64": (np.uint64, 11, 52),
}
# Values that the bindings print in decimal although the decimal is exact in no type.
DECIMALS = {"f16": 0x2E66, "bf16": 0x3DCD, "f32": 0x3DCCCCCD, "f64": 0x3FB999999999999A}


def special_bits(kind: str) -> list[int]:
    """Zeros, ones, subnormals, limits, infinities, NaNs of both kinds with payloads; both signs of each."""
    _, exponent, fraction = FORMATS[kind]
    infinity = ((1 << exponent) - 1) << fraction
    one = ((1 << (exponent - 1)) - 1) << fraction
    quiet = infinity | 1 << (fraction - 1)
    positive = [0, 1, (1 << fraction) - 1, 1 << fraction, one, one + 1, one + 3, DECIMALS[kind], infinity - 1]
    positive += [infinity, infinity + 1, quiet - 1, quiet, quiet + 1, infinity | ((1 << fraction) - 1)]
    return positive + [bits | 1 << (exponent + fraction) for bits in positive]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_constant_keeps_its_bits_in_every_place(kind):
    """In an array, alone, in all lanes, in some lanes, and where no type stands before it."""
    unsigned = FORMATS[kind][0]
    digits = np.dtype(unsigned).itemsize * 2
    bits = special_bits(kind)
    words = [f"0x{b:0{digits}X}" for b in bits]
    text = f"llvm.mlir.global constant @all(dense<[{', '.join(words)}]> : tensor<{len(bits)}x{kind}>)"
    text += f" : !llvm.array<{len(bits)} x {kind}>\n"
    for number, word in enumerate(words):
        text += f"""
llvm.func @f{number}(%p: !llvm.ptr, %q: !llvm.ptr, %r: !llvm.ptr, %s: !llvm.ptr, %c: i1) {{
  %one = llvm.mlir.constant(1.0 : {kind}) : {kind}
  %x = llvm.mlir.constant({word} : {kind}) : {kind}
  %splat = llvm.mlir.constant(dense<{word}> : vector<4x{kind}>) : vector<4x{kind}>
  %mixed = llvm.mlir.constant(dense<[1.0, {word}, {word}, 1.0]> : vector<4x{kind}>) : vector<4x{kind}>
  llvm.store %x, %p : {kind}, !llvm.ptr
  llvm.store %splat, %q {{alignment = 2 : i64}} : vector<4x{kind}>, !llvm.ptr
  llvm.store %mixed, %r {{alignment = 2 : i64}} : vector<4x{kind}>, !llvm.ptr
  llvm.cond_br %c, ^yes, ^end(%one : {kind})
^yes:
  llvm.br ^end(%x : {kind})
^end(%y: {kind}):
  %z = llvm.bitcast %y : {kind} to i{digits * 4}
  llvm.store %z, %s : i{digits * 4}, !llvm.ptr
  llvm.return
}}"""
    # Optimised, for x86 carries a bfloat from block to block as a float and back, which flushes subnormals.
    loaded = Loaded(llvm.downgrade(translate(text)))
    np.testing.assert_array_equal(loaded.read("all", unsigned, len(bits)), np.array(bits, unsigned))
    one = int(np.array(special_bits(kind)[4], unsigned))
    for number, expected in enumerate(bits):
        found = np.zeros((4, 4), unsigned)
        function = loaded.function(f"f{number}", *[ctypes.c_void_p] * 4, ctypes.c_bool)
        function(*[row.ctypes.data for row in found], True)
        want = [[expected, 0, 0, 0], [expected] * 4, [one, expected, expected, one], [expected, 0, 0, 0]]
        np.testing.assert_array_equal(found, np.array(want, unsigned), err_msg=words[number])


@pytest.mark.parametrize("kind", FORMATS)
def test_random_constants_keep_their_bits(kind):
    unsigned, exponent, fraction = FORMATS[kind]
    draw = np.random.default_rng(7)
    bits = draw.integers(0, 2 ** (1 + exponent + fraction), 500, dtype=np.uint64).astype(unsigned)
    # Short decimals too: those are what the bindings print in decimal.
    short = np.round(draw.uniform(-10, 10, 500), 3)
    if kind == "bf16":
        bits[250:] = (short[250:].astype(np.float32).view(np.uint32) >> 16).astype(unsigned)
    else:
        bits[250:] = (
            short[250:].astype({"f16": np.float16, "f32": np.float32, "f64": np.float64}[kind]).view(unsigned)
        )
    digits = np.dtype(unsigned).itemsize * 2
    words = ", ".join(f"0x{int(b):0{digits}X}" for b in bits)
    text = (
        f"llvm.mlir.global constant @all(dense<[{words}]> : tensor<500x{kind}>) : !llvm.array<500 x {kind}>"
    )
    loaded = Loaded(llvm.downgrade(translate(text)))
    np.testing.assert_array_equal(loaded.read("all", unsigned, 500), bits)


def test_downgrade_reads_no_string_and_finds_the_type_of_a_bare_operand():
    same = '@s = constant [10 x i8] c"float +inf"\n'
    same += '!1 = !DIFile(filename: "float -inf b", directory: "f0x3F800000 f0x1")\n'
    assert llvm.downgrade(same) == same
    assert (
        llvm.downgrade(" %2 = fmul fast float %1, f0x3FB8AA3B\n")
        == " %2 = fmul fast float %1, 0x3FF7154760000000\n"
    )
    assert llvm.downgrade(" %2 = fcmp olt half %1, -inf\n") == " %2 = fcmp olt half %1, 0xHFC00\n"


def test_downgrade_takes_time_in_proportion_to_the_text():
    """About 4 ms for 6,000 lines on a quiet machine; the bound is for a busy one."""
    lines = [
        "  %3 = fmul <4 x float> %2, splat (float f0x3FB8AA3B)",
        "  %4 = add i64 %5, 16",
        "  br label %bb1",
    ]
    text = "\n".join(lines * 2000)
    start = time.perf_counter()
    assert llvm.downgrade(text).count("0x3FF7154760000000") == 2000
    assert time.perf_counter() - start < 0.1


def test_debug_information_and_attributes_of_the_bindings_parse():
    text = """
#file = #llvm.di_file<"k.py" in "/a -inf">
#unit = #llvm.di_compile_unit<id = distinct[0]<>, sourceLanguage = DW_LANG_Python, file = #file,
  producer = "v", isOptimized = true, emissionKind = Full, nameTableKind = None>
#float = #llvm.di_basic_type<tag = DW_TAG_base_type, name = "f32", sizeInBits = 32, encoding = DW_ATE_float>
#type = #llvm.di_subroutine_type<types = #float, #float>
#sub = #llvm.di_subprogram<id = distinct[1]<>, compileUnit = #unit, scope = #file, name = "f",
  linkageName = "f", file = #file, line = 1, subprogramFlags = "Definition|Optimized", type = #type>
#var = #llvm.di_local_variable<scope = #sub, name = "a", file = #file, line = 2, arg = 1, type = #float>
llvm.func @f(%a: f32, %p: !llvm.ptr {llvm.noalias, llvm.nonnull, llvm.align = 64 : i64, llvm.nocapture})
    attributes {passthrough = ["nounwind", ["prefer-vector-width", "512"]]} {
  llvm.intr.dbg.value #var #llvm.di_expression<[DW_OP_plus_uconst(4)]> = %a : f32 loc(#here)
  %i = llvm.mlir.constant(1 : i32) : i32
  %w = llvm.zext nneg %i : i32 to i64 loc(#here)
  %g = llvm.getelementptr inbounds|nuw %p[%w] : (!llvm.ptr, i64) -> !llvm.ptr, f32 loc(#here)
  llvm.store %a, %g {alignment = 4 : i64} : f32, !llvm.ptr loc(#here)
  llvm.return loc(#here)
} loc(fused<#sub>["k.py":1:1])
#here = loc("k.py":2:3)
"""
    obj = llvm.emit_object(llvm.optimize(llvm.downgrade(translate(text)), HOST), HOST)
    assert b".debug_line" in obj


SAXPY = """
define void @saxpy(ptr %x, ptr %y, i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %px = getelementptr float, ptr %x, i64 %i
  %py = getelementptr float, ptr %y, i64 %i
  %a = load float, ptr %px
  %b = load float, ptr %py
  %m = fmul float %a, 2.0
  %s = fadd float %m, %b
  store float %s, ptr %py
  %next = add nsw i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


@pytest.mark.parametrize("vectorize", [False, True])
def test_either_pipeline_computes_the_same(vectorize):
    loaded = Loaded(SAXPY, vectorize)
    function = loaded.function("saxpy", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    x, y = np.arange(100, dtype=np.float32), np.ones(100, np.float32)
    function(x.ctypes.data, y.ctypes.data, 100)
    np.testing.assert_array_equal(y, 2 * np.arange(100, dtype=np.float32) + 1)


def test_vectorize_turns_a_scalar_loop_into_vectors():
    modules = [llvm.optimize(SAXPY, RISCV, vectorize=choice) for choice in (False, True)]
    scalar, vector = (llvm.emit_assembly(module, RISCV) for module in modules)
    assert "vle32.v" not in scalar
    assert "vle32.v" in vector


def outer_product(rows: int, lanes: int, unroll: int) -> str:
    """C[rows, lanes] = A[k, rows].T @ B[k, lanes] in fp32, one accumulator a row, `unroll` k at a time."""
    vec = f"<{lanes} x float>"
    out = [f"declare {vec} @llvm.fma.v{lanes}f32({vec}, {vec}, {vec})"]
    out += ["define void @matmul(ptr noalias %a, ptr noalias %b, ptr noalias %c, i64 %k) {", "entry:"]
    out += [
        " %any = icmp sgt i64 %k, 0",
        " br i1 %any, label %body, label %end",
        "body:",
        " %p = phi i64 [ 0, %entry ], [ %next, %body ]",
    ]
    for i in range(rows):
        out += [f" %r{i} = phi {vec} [ zeroinitializer, %entry ], [ %r{i}_{unroll - 1}, %body ]"]
    out += [f" %ia = mul nuw nsw i64 %p, {rows}", f" %ib = mul nuw nsw i64 %p, {lanes}"]
    for u in range(unroll):
        out += [f" %ib{u} = add nuw nsw i64 %ib, {u * lanes}"]
        out += [f" %pb{u} = getelementptr float, ptr %b, i64 %ib{u}"]
        out += [f" %b{u} = load {vec}, ptr %pb{u}, align 4"]
        for i in range(rows):
            before = f"%r{i}_{u - 1}" if u else f"%r{i}"
            out += [f" %ia{u}_{i} = add nuw nsw i64 %ia, {u * rows + i}"]
            out += [f" %pa{u}_{i} = getelementptr inbounds nuw float, ptr %a, i64 %ia{u}_{i}"]
            out += [f" %a{u}_{i} = load float, ptr %pa{u}_{i}, align 4"]
            out += [f" %e{u}_{i} = insertelement {vec} poison, float %a{u}_{i}, i64 0"]
            splat = f"{vec} %e{u}_{i}, {vec} poison, <{lanes} x i32> zeroinitializer"
            out += [f" %s{u}_{i} = shufflevector {splat}"]
            operands = f"{vec} %s{u}_{i}, {vec} %b{u}, {vec} {before}"
            out += [f" %r{i}_{u} = call {vec} @llvm.fma.v{lanes}f32({operands})"]
    out += [f" %next = add nuw nsw i64 %p, {unroll}", " %more = icmp slt i64 %next, %k"]
    out += [" br i1 %more, label %body, label %done", "done:"]
    for i in range(rows):
        out += [f" %pc{i} = getelementptr float, ptr %c, i64 {i * lanes}"]
        out += [f" store {vec} %r{i}_{unroll - 1}, ptr %pc{i}"]
    return "\n".join([*out, " br label %end", "end:", " ret void", "}"])


def inner_loop(assembly: str) -> list[str]:
    """The instructions of the only loop in RISC-V `assembly`."""
    found = re.search(r"^(\.LBB\w+):(.*?\bb\w+\s[^\n]*\1\b)", assembly, re.MULTILINE | re.DOTALL)
    lines = (line.split("#")[0].strip() for line in found[2].splitlines())
    return [line for line in lines if line and not line.startswith((".", "#"))]


@pytest.mark.parametrize("rows, lanes, unroll, most", [(7, 32, 1, 18), (7, 32, 2, 34), (15, 16, 2, 66)])
def test_outer_product_on_rvv_is_loads_and_multiply_adds(rows, lanes, unroll, most):
    """All accumulators in registers, A's elements in scalar ones, vtype set once, outside."""
    assembly = llvm.emit_assembly(llvm.optimize(outer_product(rows, lanes, unroll), RISCV), RISCV)
    loop = inner_loop(assembly)
    names = [line.split()[0] for line in loop]
    assert sum(n in ("vfmacc.vf", "vfmadd.vf") for n in names) == rows * unroll
    assert names.count("flw") == rows * unroll
    assert names.count("vle32.v") == unroll
    assert not any(n.startswith(("vset", "vs4r", "vl4r", "vs2r", "vl2r", "vmv", "vrgather")) for n in names)
    assert len(loop) <= most


def test_riscv_objects_have_the_double_float_abi_and_link():
    obj = llvm.emit_object(llvm.optimize(outer_product(7, 32, 1), RISCV), RISCV)
    assert struct.unpack_from("<H", obj, 18) == (243,)  # EM_RISCV
    assert struct.unpack_from("<I", obj, 48)[0] & 6 == 4  # EF_RISCV_FLOAT_ABI_DOUBLE
    shared = toolchain.link_shared([obj], RISCV)
    assert struct.unpack_from("<H", shared, 16) == (3,)  # ET_DYN


INLINE = """
define i64 @twice(i64 %x) {
  %y = call i64 asm "add $0, $1, $1", "=r,r"(i64 %x)
  call void asm sideeffect ".insn r 0x2b, 3, 0x71, $0, $1, $2", "^vr,^vr,^vr"(
    <vscale x 2 x i32> zeroinitializer,
    <vscale x 8 x i8> zeroinitializer, <vscale x 8 x i8> zeroinitializer)
  ret i64 %y
}
"""


@off_riscv
def test_inline_assembly_of_another_machine_goes_through_clang():
    module = llvm.optimize(INLINE, RISCV)
    assert module.inline_assembly
    assert re.search(r"add\s+a0, a0, a0", llvm.emit_assembly(module, RISCV))
    obj = llvm.emit_object(module, RISCV)
    assert struct.unpack_from("<H", obj, 18) == (243,)
    assert struct.unpack_from("<I", obj, 48)[0] & 6 == 4


@off_riscv
def test_wrong_inline_assembly_is_an_error_with_the_assembler_s_words():
    with pytest.raises(BackendError, match=r"(?s)kernel twice.*unrecognized instruction mnemonic"):
        llvm.emit_object(llvm.optimize(INLINE.replace("add $0", "nonsense $0"), RISCV), RISCV)


def test_an_isolated_process_makes_the_same_code():
    module = llvm.optimize(SAXPY, RISCV)
    assert llvm.emit_object(module, RISCV, isolated=True) == llvm.emit_object(module, RISCV)


@off_riscv
def test_an_internal_error_of_llvm_is_an_exception_when_isolated():
    name = "llvm.x86.avx512.rcp14.ps.512"
    vec = "<16 x float>"
    text = f"declare {vec} @{name}({vec}, {vec}, i16)\ndefine {vec} @wrong({vec} %a) {{\n"
    text += f" %b = call {vec} @{name}({vec} %a, {vec} %a, i16 -1)\n ret {vec} %b\n}}\n"
    module = llvm.optimize(text, RISCV)
    with pytest.raises(BackendError, match=r"kernel wrong: code generation for riscv64.*promote") as error:
        llvm.emit_object(module, RISCV, isolated=True)
    assert error.value.fix


@pytest.mark.parametrize(
    "change, words",
    [
        ({"cpu": "no-such-cpu"}, "no-such-cpu"),
        ({"features": ("+m", "+d", "+nonsense")}, r"\+nonsense"),
        ({"features": ("m",)}, "without a sign"),
        ({"features": ("+m", "+d", "+zvl256b")}, "zvl"),
        ({"abi": "lp65"}, "lp65"),
        ({"triple": "nowhere-unknown-linux"}, "nowhere"),
    ],
)
def test_a_wrong_target_is_an_error_before_llvm_ends_the_process(change, words, tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path))
    with pytest.raises(BackendError, match=words):
        llvm.optimize(SAXPY, attrs.evolve(RISCV, **change))
    assert not list(tmp_path.rglob("*"))


def test_a_target_is_checked_once_for_each_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path))
    core = attrs.evolve(RISCV, features=(*RISCV.features, "+zba"))
    llvm.optimize(SAXPY, core)
    assert len(list((tmp_path / "targets").iterdir())) == 1


def test_invalid_ir_is_an_error_that_shows_the_line():
    with pytest.raises(
        BackendError, match=r"kernel f.*line 2: floating point constant invalid.*ret float 0\.1"
    ):
        llvm.optimize("define float @f() {\n  ret float 0.1\n}", HOST)
    with pytest.raises(BackendError, match="incompatible"):
        llvm.optimize("define void @f(ptr readonly writeonly %p) { ret void }", HOST)


def test_a_call_into_libm_is_an_error_and_one_into_compiler_rt_is_not():
    text = "declare float @llvm.exp.f32(float)\ndefine float @f(float %a) {\n"
    text += " %b = call float @llvm.exp.f32(float %a)\n ret float %b\n}"
    with pytest.raises(BackendError, match=r"kernel f: the machine code calls expf;"):
        llvm.emit_object(llvm.optimize(text, RISCV), RISCV)
    half = "define void @f(ptr %p, float %x) { %h = fptrunc float %x to half store half %h, ptr %p ret void }"
    assert b"__truncsfhf2" in llvm.emit_object(llvm.optimize(half, RISCV), RISCV)
    with pytest.raises(BackendError, match="kernel f: the machine code calls __truncsfbf2;"):
        llvm.emit_object(llvm.optimize(half.replace("half", "bfloat"), RISCV), RISCV)
