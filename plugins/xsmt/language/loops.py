"""`parallel`: a loop whose iterations may run at once.

Triton's code generator takes `tl.range` and `range` by identity.  `install` teaches it, in this
one place, to read a loop over `parallel` as one over `tl.range` whose body begins with a call
that marks it.  The call takes the induction variable: where Triton unfolds a loop of a single
iteration, the mark no longer belongs to the loop around it.
"""

import ast

import triton.language as tl
from triton.compiler.code_generator import CodeGenerator
from triton.language.core import builtin

from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.arguments import plain

_PLAIN_LOOP = CodeGenerator.visit_For


class parallel(tl.range):
    """An iterator like `tl.range` whose iterations may run at once, on different threads.

    parallel(end), parallel(start, end[, step]): integers, of run time or not
    bind_sub_block: False makes it an ordinary loop
    A scalar cannot be carried from one iteration to the next.
    """

    def __init__(self, a1, a2=None, step=None, num_stages=None, loop_unroll_factor=None, bind_sub_block=True):
        super().__init__(a1, a2, step, num_stages=num_stages, loop_unroll_factor=loop_unroll_factor)
        self.bind_sub_block = bool(plain(bind_sub_block))


class Known(ast.expr):
    """An expression whose value is known: `value`."""

    value: object
    _fields = ()


def _known(value, place: ast.AST) -> Known:
    found = Known()
    found.value = value
    return ast.copy_location(found, place)


@builtin
def _mark(index, _semantic=None, _generator=None):
    leave_call(_generator, "scf.for", {"index": index.handle}, (), {"bind_sub_block": True})


def _visit_known(generator, node: Known):
    return node.value


def _visit_for(generator, node):
    kind = generator.visit(node.iter.func) if isinstance(node.iter, ast.Call) else None
    if not (isinstance(kind, type) and issubclass(kind, parallel)):
        return _PLAIN_LOOP(generator, node)
    arguments = [generator.visit(argument) for argument in node.iter.args]
    named = dict(generator.visit(keyword) for keyword in node.iter.keywords)
    loop = kind(*arguments, **named)
    iterator = ast.Call(
        func=_known(tl.range, node.iter),
        args=[_known(v, node.iter) for v in (loop.start, loop.end, loop.step)],
        keywords=[
            ast.keyword(arg=name, value=_known(getattr(loop, name), node.iter))
            for name in ("num_stages", "loop_unroll_factor")
        ],
    )
    body = node.body
    if loop.bind_sub_block:
        index = ast.copy_location(ast.Name(id=node.target.id, ctx=ast.Load()), node.target)
        mark = ast.Call(func=_known(_mark, node.iter), args=[index], keywords=[])
        body = [ast.copy_location(ast.Expr(value=ast.copy_location(mark, node.iter)), node.iter), *body]
    plain_loop = ast.For(
        target=node.target, iter=ast.copy_location(iterator, node.iter), body=body, orelse=node.orelse
    )
    return _PLAIN_LOOP(generator, ast.copy_location(plain_loop, node))


def install() -> None:
    """Makes `parallel` known to Triton's code generator; a second time changes nothing."""
    CodeGenerator.visit_Known = _visit_known
    CodeGenerator.visit_For = _visit_for
