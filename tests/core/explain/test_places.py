"""Lines of every stage's text, and the lines of the source that they come from."""

from vertebra.core.explain.places import NOWHERE, assembly_lines, llvm_lines, mlir_lines

MLIR = """\
module {
  func.func @k(%x: memref<?xf32> loc("x"(#loc1)), %n: i32 loc(unknown)) {
    %a = memref.alloc() : memref<4xf32> loc("a"(#loc2))
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %x[%i] : memref<?xf32> loc(#loc4)
    } loc(#loc3)
    scf.if %c {
      "test.op"() : () -> () loc(unknown)
    } else {
      "test.op"() : () -> ()
    } loc(fused<"note">[#loc2, "other.py":9:1])
    return
  } loc(#loc)
}
#loc = loc("k.py":1:1)
#loc1 = loc("k.py":2:1)
#loc2 = loc("k (2).py":3:1)
#loc3 = loc("k.py":4:1)
#loc4 = loc("v"(callsite("std.py":70:2 at callsite(#loc3 at #loc5))))
#loc5 = loc("k.py":8:1)
"""


def by_text(lines):
    return {line.text.strip(): line.places for line in lines}


def test_locations_of_mlir_are_read_and_not_shown():
    lines = mlir_lines(MLIR)
    places = by_text(lines)
    assert len(lines) == MLIR.count("\n") - 6
    assert not [line.text for line in lines if "loc(" in line.text.replace("alloc(", "")]
    assert places["%a = memref.alloc() : memref<4xf32>"] == {("k (2).py", 3)}
    assert places["return"] == NOWHERE


def test_an_operation_with_regions_has_its_place_on_its_first_line():
    places = by_text(mlir_lines(MLIR))
    assert places["func.func @k(%x: memref<?xf32>, %n: i32) {"] == {("k.py", 1)}
    assert places["scf.for %i = %c0 to %n step %c1 {"] == {("k.py", 4)}
    assert places["scf.if %c {"] == {("k (2).py", 3), ("other.py", 9)}


def test_an_inlined_operation_is_of_the_callers_lines_too():
    places = by_text(mlir_lines(MLIR))
    assert places["%v = memref.load %x[%i] : memref<?xf32>"] == {("std.py", 70), ("k.py", 4), ("k.py", 8)}


LLVM = """\
define void @k(ptr %0) !dbg !3 {
  %2 = load float, ptr %0, align 4, !dbg !6
  %3 = fadd float %2, %2, !dbg !7
  ret void
}

!llvm.dbg.cu = !{!0}
!0 = distinct !DICompileUnit(language: DW_LANG_C, file: !1, producer: "a, b", emissionKind: LineTablesOnly)
!1 = !DIFile(filename: "k.py", directory: "/home/me")
!2 = !DIFile(filename: "std.py", directory: "/lib")
!3 = distinct !DISubprogram(name: "k", scope: !1, file: !1, line: 1, unit: !0)
!4 = distinct !DISubprogram(name: "f", scope: !2, file: !2, line: 60, unit: !0)
!6 = !DILocation(line: 5, column: 2, scope: !3)
!7 = !DILocation(line: 70, column: 9, scope: !4, inlinedAt: !8)
!8 = !DILocation(line: 6, column: 1, scope: !3)
"""


def test_llvms_metadata_is_followed_through_inlining():
    places = by_text(llvm_lines(LLVM))
    assert places["define void @k(ptr %0) {"] == {("/home/me/k.py", 1)}
    assert places["%2 = load float, ptr %0, align 4"] == {("/home/me/k.py", 5)}
    assert places["%3 = fadd float %2, %2"] == {("/lib/std.py", 70), ("/home/me/k.py", 6)}
    assert places["ret void"] == NOWHERE
    assert "!" not in "".join(places)


ASSEMBLY = """\
\t.file\t"kernel"
\t.text
k:
.Lfunc_begin0:
\t.file\t1 "/home/me" "k.py"
\t.loc\t1 5 2 prologue_end
\tflw\tfa0, 0(a0)                      # 4-byte Folded Reload
\t.file\t2 "/lib" "std.py"
\t.loc\t2 70 9
\tfadd.s\tfa0, fa0, fa0
\t.loc\t2 0 9 is_stmt 0
\tnop
.Ltmp1:
\t.cfi_endproc
\t.section\t.debug_abbrev,"",@progbits
\t.byte\t1
\t.section\t.rodata
\t.word\t7
"""


def test_assembly_knows_what_the_llvm_ir_says_about_inlining():
    lines = assembly_lines(ASSEMBLY, LLVM)
    places = by_text(lines)
    assert places["flw fa0, 0(a0) # 4-byte Folded Reload"] == {("/home/me/k.py", 5)}
    assert places["fadd.s fa0, fa0, fa0"] == {("/lib/std.py", 70), ("/home/me/k.py", 6)}
    assert places["nop"] == NOWHERE
    assert [line.text.strip() for line in lines if ".byte" in line.text or ".loc" in line.text] == []
    assert ".word 7" in places
    assert by_text(assembly_lines(ASSEMBLY))["fadd.s fa0, fa0, fa0"] == {("/lib/std.py", 70)}


def test_labels_for_debugging_stay_where_something_jumps_to_them():
    text = (
        "k:\n.Ltmp0:\n\tli\ta0, 3\n.Ltmp1:\n\taddi\ta0, a0, -1\n\tbnez\ta0, .Ltmp1 # .Ltmp2\n.Ltmp2:\n\tret\n"
    )
    assert [line.text for line in assembly_lines(text) if "Ltmp" in line.text] == [
        ".Ltmp1:",
        "    bnez a0, .Ltmp1 # .Ltmp2",
    ]
