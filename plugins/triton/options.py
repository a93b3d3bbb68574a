"""What `kernel[grid](..., option=value)` and `triton.Config` may set."""

import hashlib
import os

import attrs

from vertebra.core import pipeline

# Every 8-bit floating-point type of Triton's language.
FLOAT8 = ("fp8e4b15", "fp8e4b8", "fp8e4nv", "fp8e5", "fp8e5b16")
# Options of these names reach the code that is made; all others steer GPUs and change nothing.
_MEANINGFUL = (
    "core",
    "fast_math",
    "bounds_check",
    "debug",
    "sanitize_overflow",
    "default_dot_input_precision",
    "ir_override",
    "instrumentation_mode",
)


@attrs.frozen(slots=False)  # Triton reads __dict__
class VertebraOptions:
    """Options of one compilation.

    fast_math: looser bounds for math functions.  bounds_check: every load and store is checked at
    run time, also where $VERTEBRA_BOUNDS is set.  debug: device assertions are compiled, and
    source lines kept.  ir_override: a file that replaces the kernel's IR at the stage its suffix
    names.  core: the core's name, set by the back end.  Those from `num_warps` to
    `instrumentation_mode` mean something to a GPU; kernels that set them compile unchanged here.
    """

    core: str = ""
    fast_math: bool = False
    bounds_check: bool = False
    debug: bool = False
    sanitize_overflow: bool = True
    ir_override: str | None = None
    default_dot_input_precision: str = "ieee"
    allowed_dot_input_precisions: tuple[str, ...] = ("tf32", "tf32x3", "ieee", "bf16x3", "bf16x6")
    supported_fp8_dtypes: tuple[str, ...] = FLOAT8
    deprecated_fp8_dot_operand_dtypes: tuple[str, ...] = ()
    max_num_imprecise_acc_default: int = 0
    extern_libs: tuple = ()
    backend_name: str = "vertebra"
    num_warps: int = 4
    num_stages: int = 3
    num_ctas: int = 1
    warp_size: int = 1
    maxnreg: int | None = None
    cluster_dims: tuple[int, ...] = (1, 1, 1)
    enable_fp_fusion: bool = True
    enable_reflect_ftz: bool = True
    enable_warp_specialization: bool = False
    launch_cooperative_grid: bool = False
    launch_pdl: bool = False
    num_buffers_warp_spec: int = 0
    num_consumer_groups: int = 0
    reg_dec_producer: int = 0
    reg_inc_consumer: int = 0
    waves_per_eu: int = 0
    matrix_instr_nonkdim: int = 0
    kpack: int = 1
    allow_flush_denorm: bool = False
    schedule_hint: str = "none"
    arch: str | None = None
    ptx_version: int | None = None
    ptx_options: str | None = None
    allow_fp8e4nv: bool = True
    allow_fp8e4b15: bool = True
    instrumentation_mode: str = ""

    def hash(self) -> str:
        """Part of the key of Triton's cache: configurations that differ in a GPU's options share code."""
        values = {name: getattr(self, name) for name in _MEANINGFUL}
        return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()

    def code_options(self) -> pipeline.Options:
        return pipeline.Options(fast_math=self.fast_math, bounds_check=self.bounds_check)


def parse_options(given: dict, core: str) -> VertebraOptions:
    """The options among `given`; names that are not options are left to Triton, which reports them."""
    known = {field.name for field in attrs.fields(VertebraOptions)}
    chosen = {name: value for name, value in given.items() if name in known and value is not None}
    chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    chosen.setdefault("bounds_check", os.environ.get("VERTEBRA_BOUNDS", "0") not in ("", "0"))
    options = VertebraOptions(**{**chosen, "core": core})
    # The checks end in device assertions, which exist in debug mode only.
    return attrs.evolve(options, sanitize_overflow=options.sanitize_overflow and options.debug)
