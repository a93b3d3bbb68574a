"""The C side of a library: functions that choose a specialisation, fill its slots and launch it."""

from vertebra.core.buffers import element_bytes
from vertebra.core.header import c_type, field_name
from vertebra.core.library.conditions import SELECTOR, Need, is_integer
from vertebra.core.library.model import Kernel, Specialisation

COMMON = """
#include <stddef.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))
#define MAYBE static inline __attribute__((unused))

/* See core/abi.py. */
typedef void compiled(const uint64_t *, void *, int64_t, int64_t, int32_t, int32_t, int32_t);

/* Of a number that is not 0, as Python's // and %. */
MAYBE int64_t vertebra_floor_div(int64_t a, int64_t b) { return a / b - (a % b && (a < 0) != (b < 0)); }
MAYBE int64_t vertebra_floor_mod(int64_t a, int64_t b) { return a - b * vertebra_floor_div(a, b); }

MAYBE uint64_t slot_of(const void *value, size_t bytes) {
  uint64_t slot = 0;
  memcpy(&slot, value, bytes);
  return slot;
}
"""


def symbol(library: str, kernel: Kernel, number: int) -> str:
    """What stands before the names of everything in the object of specialisation `number`, from 1."""
    return f"{library}.{kernel.name}.{number}."  # dots: no two libraries of one program have the same


def source(library: str, kernels: tuple[Kernel, ...], processor: str, start: str | None = None) -> str:
    """The functions that the library's header declares; to be compiled behind it and native/library.h.

    processor: what the kernels need of it (see native/processor.c).  start: a function to call first.
    """
    return (
        COMMON
        + f"""
static const char processor[] = "{processor}";
{f"void {start}(void);" if start else ""}
static void prepare(void) {{ {f"{start}();" if start else ""} }}

EXPORT const char *{library}_message(void) {{ return vertebra_library_message(); }}
EXPORT void {library}_print_to(void (*sink)(const char *line)) {{ vertebra_print_sink = sink; }}
"""
        + "".join(_kernel(library, kernel) for kernel in kernels)
    )


def _kernel(library: str, kernel: Kernel) -> str:
    name = kernel.name
    numbered = list(enumerate(kernel.specialisations, 1))
    needs = {number: kernel.needs(which) for number, which in numbered}
    choose = "".join(f"  if ({_all(needs[number])})\n    return {number};\n" for number, _ in numbered)
    declared = "".join(
        f'HIDDEN compiled {name}_{number} __asm__("{symbol(library, kernel, number)}{which.binary.name}");\n'
        for number, which in numbered
    )
    cases = "".join(_case(kernel, number, which) for number, which in numbered)
    unfit = "".join(_unfit(kernel, number, needs[number]) for number, _ in numbered)
    return f"""
{declared}
EXPORT int {name}_choose(const struct {name}_args *args) {{
  if (!args)
    return 0;
{choose}  return 0;
}}

static int unfit_{name}(const struct {name}_args *args) {{
  struct vertebra_sentence why = {{.used = 0}};
  if (!args) {{
    vertebra_say(&why, "{name}: args is NULL");
    return vertebra_refuse(VERTEBRA_BAD_ARGUMENT, &why);
  }}
  vertebra_say(&why, "{name}: no specialisation fits");
{unfit}  return vertebra_refuse(VERTEBRA_NO_SPECIALISATION, &why);
}}

static int misaligned_{name}(const struct {name}_args *args) {{
  struct vertebra_sentence why = {{.used = 0}};
  (void)args;
{_misaligned(kernel)}  return why.used ? vertebra_refuse(VERTEBRA_BAD_ARGUMENT, &why) : VERTEBRA_OK;
}}

EXPORT int {name}_launch(const struct {name}_args *args, int32_t grid_x, int32_t grid_y, int32_t grid_z,
                         int32_t threads) {{
  prepare();
  int which = {name}_choose(args), status = which ? misaligned_{name}(args) : VERTEBRA_OK;
  if (status)
    return status;
  switch (which) {{
{cases}  default:
    return unfit_{name}(args);
  }}
}}
"""


def _misaligned(kernel: Kernel) -> str:
    """Says which addresses are no multiples of the size of what they point to."""
    code = ""
    for name, kind in kernel.fields.items():
        if kind != SELECTOR and kind.startswith("*") and (size := element_bytes(kind)) > 1:
            place = f"(uintptr_t)args->{field_name(name)}"
            code += f"""\
  if ({place} % {size})
    vertebra_say(&why, "%s{name} is misaligned: %p is %d bytes past a multiple of {size}",
                 why.used ? "; " : "{kernel.name}: ", (const void *)args->{field_name(name)},
                 (int)({place} % {size}));
"""
    return code


def _all(needs: list[Need]) -> str:
    return " && ".join(need.test for need in needs) or "1"


def _case(kernel: Kernel, number: int, which: Specialisation) -> str:
    fields = [f"args->{field_name(name)}" for name in which.slots]
    slots = ", ".join(f"slot_of(&{field}, sizeof {field})" for field in fields) or "0"
    return f"""\
  case {number}: {{
    const uint64_t slots[] = {{{slots}}};
    return vertebra_library_launch("{kernel.name}", processor, {kernel.name}_{number}, slots,
                                   {which.binary.scratch_bytes}, grid_x, grid_y, grid_z, threads);
  }}
"""


def _unfit(kernel: Kernel, number: int, needs: list[Need]) -> str:
    """Says what keeps one specialisation from fitting: the first need that is not met, and the values."""
    tests = []
    for need in needs:
        values = [_value(kernel, name) for name in need.shown]
        words = "; %d wants " + need.text.replace("%", "%%")
        form = words + "".join(
            f", {name} is {form}" for name, (form, _) in zip(need.shown, values, strict=True)
        )
        arguments = "".join(f", {value}" for _, value in values)
        tests.append(f'if (!({need.test}))\n    vertebra_say(&why, "{form}", {number}{arguments});\n')
    return "  " + "  else ".join(tests) if tests else ""


def _value(kernel: Kernel, name: str) -> tuple[str, str]:
    """(printf's conversion, argument) that show a field."""
    kind, place = kernel.fields[name], f"args->{field_name(name)}"
    if kind != SELECTOR and kind.startswith("*"):
        return "%p", f"(const void *){place}"
    if is_integer(kind):
        return "%lld", f"(long long){place}"
    if c_type(kind).startswith("uint"):
        return "%#x", f"(unsigned){place}"
    return "%g", f"(double){place}"
