"""Bodies for the functions that turn an address into a memref (`__vertebra_view_<element>`)."""

from vertebra.core.mlir import ir

PREFIX = "__vertebra_view_"

_BODY = """
func.func private @{name}(%address: i64) -> {memref} {{
  %p = llvm.inttoptr %address : i64 to !llvm.ptr
  %zero = llvm.mlir.constant(0 : i64) : i64
  %one = llvm.mlir.constant(1 : i64) : i64
  %unbounded = llvm.mlir.constant(9223372036854775807 : i64) : i64
  %0 = llvm.mlir.poison : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %1 = llvm.insertvalue %p, %0[0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %2 = llvm.insertvalue %p, %1[1] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %3 = llvm.insertvalue %zero, %2[2] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %4 = llvm.insertvalue %unbounded, %3[3, 0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %5 = llvm.insertvalue %one, %4[4, 0] : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>
  %m = builtin.unrealized_conversion_cast %5
    : !llvm.struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)> to {memref}
  func.return %m : {memref}
}}
"""


def define_address_views(module, core=None, options=None) -> None:
    """Gives every declared view function its body, in place."""
    for func in list(module.body.operations):
        func = func.operation
        if func.name != "func.func":
            continue
        name = func.attributes["sym_name"].value
        if name.startswith(PREFIX) and not len(func.regions[0].blocks):
            memref = func.attributes["function_type"].value.results[0]
            made = ir.Module.parse(_BODY.format(name=name, memref=memref))  # owns the function until it moves
            body = made.body.operations[0].operation
            body.detach_from_parent()
            module.body.append(body)
            func.erase()
