"""The product of benchmarks/rvv.py as IREE compiles it, as an object that our runner can run.

IREE's compiler is a wheel: `pip install iree-base-compiler`, in an environment of its own.  The object
that it dumps exports one function, which returns a table with the address of the kernel
(iree/hal/local/executable_library.h).  A few lines of C, which the counts include, call it for every
workgroup; the rest of IREE's runtime has no part in it.
"""

import math
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_PRODUCT = """
func.func @product(%a: tensor<{m}x{k}xf32>, %b: tensor<{k}x{n}xf32>) -> tensor<{m}x{n}xf32> {{
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<{m}x{n}xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<{m}x{n}xf32>) -> tensor<{m}x{n}xf32>
  %c = linalg.matmul ins(%a, %b : tensor<{m}x{k}xf32>, tensor<{k}x{n}xf32>)
    outs(%start : tensor<{m}x{n}xf32>) -> tensor<{m}x{n}xf32>
  return %c : tensor<{m}x{n}xf32>
}}
"""

_CALLER = """
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t size_x, size_y; uint16_t size_z, constant_count;
  uint32_t count_x, count_y; uint16_t count_z; uint8_t concurrency, binding_count;
  const uint32_t *constants; void *const *bindings; const size_t *lengths;
  uint64_t reserved[16];
} dispatch_t;
typedef struct {
  uint32_t id_x, id_y; uint16_t id_z, reserved; uint32_t processor; void *memory; uint32_t memory_size;
} workgroup_t;
typedef struct {
  const void *header;
  struct { uint32_t count; const void *symbols; } imports;
  struct { uint32_t count; int (*const *kernels)(const void *, const dispatch_t *, const workgroup_t *);
  } exports;
} library_t;

const library_t *iree_hal_executable_library_query(uint32_t version, const void *environment);
const int64_t iree_scratch_bytes = 0;

void iree(const uint64_t *args, void *scratch, int64_t begin, int64_t end, int32_t x, int32_t y, int32_t z) {
  const library_t *library = iree_hal_executable_library_query(VERSION, NULL);
  void *bindings[3] = {(void *)args[0], (void *)args[1], (void *)args[2]};
  size_t lengths[3] = {4 * M * K, 4 * K * N, 4 * M * N};
  dispatch_t dispatch = {1, 1, 1, 0, GROUPS, 1, 1, 1, 3, NULL, bindings, lengths, {0}};
  for (uint32_t i = 0; i < GROUPS; i++) {
    workgroup_t group = {i, 0, 0, 0, 0, NULL, 0};
    library->exports.kernels[0](NULL, &dispatch, &group);
  }
}
"""


def compiler() -> str | None:
    """The path of iree-compile, or None where it is not installed."""
    return shutil.which("iree-compile")


def product_object(core, m: int, n: int, k: int) -> bytes:
    """A relocatable object that exports the kernel `iree`: c (m, n) = a (m, k) @ b (k, n), float32."""
    from vertebra.core import toolchain

    with tempfile.TemporaryDirectory(prefix="vertebra-") as name:
        folder = Path(name)
        source, out = folder / "product.mlir", folder / "iree.o"
        source.write_text(_PRODUCT.format(m=m, n=n, k=k))
        options = {
            "iree-hal-target-device": "local",
            "iree-hal-local-target-device-backends": "llvm-cpu",
            "iree-llvmcpu-target-triple": core.triple,
            "iree-llvmcpu-target-cpu": core.cpu,
            "iree-llvmcpu-target-abi": core.abi,
            "iree-llvmcpu-target-cpu-features": ",".join(core.features),
            # Of the sizes and thread counts tried, one workgroup for all executes the fewest instructions.
            "iree-llvmcpu-distribution-size": str(max(m, n)),
            "iree-hal-dump-executable-files-to": str(folder),
        }
        command = [compiler(), *(f"--{key}={value}" for key, value in options.items())]
        subprocess.run([*command, str(source), "-o", str(folder / "out")], check=True, capture_output=True)
        (kernel,) = folder.glob("*.o")
        (text,) = folder.glob("*.codegen.ll")
        (made,) = folder.glob("configured_*.mlir")
        version = re.search(r"icmp eq i32 %0, (\d+)", text.read_text())[1]
        rows, columns = map(int, re.search(r"distribution = \[(\d+), (\d+)", made.read_text()).groups())
        values = {"VERSION": version, "M": m, "N": n, "K": k}
        values["GROUPS"] = math.ceil(m / rows) * math.ceil(n / columns)
        caller = folder / "caller.c"
        caller.write_text(_CALLER)
        triple = toolchain.zig_triple(core.triple)
        flags = ["-target", triple, "-mcpu=generic_rv64" + "".join(core.features), "-fPIC", "-O2"]
        defines = [f"-D{key}={value}" for key, value in values.items()]
        toolchain.run_compiler(
            [*flags, *defines, "-r", "-nostdlib", str(caller), str(kernel), "-o", str(out)]
        )
        return out.read_bytes()
