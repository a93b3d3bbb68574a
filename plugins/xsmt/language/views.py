"""Views of matrices: pack, unpack, repack and sub-blocks of memory; and loads through them."""

import triton.language as tl
from triton.language.core import builtin

from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.accumulators import Part, name_of, remember
from vertebra.plugins.xsmt.language.arguments import (
    ceil_div,
    described,
    element_of,
    i32,
    is_block,
    is_pair,
    is_pointer,
    items,
    note,
    offsets,
    plain,
    pointer_to,
    shape_of,
    shown,
    sizes,
    tensor_type,
)


@builtin
def view(base, offsets, shape, packed_size=None, destination=None, _semantic=None, _generator=None):
    """The part of `base` that starts at `offsets` and has `shape`, in another packing.

    base: a tensor (R, C), a packed tensor (R/r, C/c, r, c), or a pointer to a block of either.
    offsets: 2 integers, of run time or not; shape, packed_size: 2 compile-time sizes each; all
    count elements of the plain matrix.  packed_size (1, 1) gives a plain tensor `shape`;
    (p, q) gives `[ceil(shape0/p), ceil(shape1/q), p, q]`; without it a packed base keeps its tile.
    What lies outside the base reads as zero.

    A view of a pointer is a pointer to a part of the same memory: there the tile has to
    divide shape and offsets.  destination: a block pointer, or a variable that holds a tensor
    of the result's type, that the result is also written to.

    Where `base` is a variable, a packed view of it can be the accumulator of `dot`, which then
    puts its sums into that variable.  Raises ValueError, with what would be legal.
    """
    name, target = name_of(_generator, 0, "base"), name_of(_generator, 4, "destination")
    viewed = make_view(_semantic, _generator, base, offsets, shape, packed_size, destination, target)
    if name is None or not is_block(base) or len(shape_of(viewed)) != 4:
        return viewed

    def again(semantic, generator, value):
        return make_view(semantic, generator, value, offsets, shape, packed_size, None)

    depth, where, part = len(_generator.scf_stack), items(offsets), items(shape)
    return remember(viewed, Part(name, base, depth, where, part, again))


@builtin
def descriptor_load(base, *args, _semantic=None, _generator=None, **named):
    """Loads from a block pointer; what lies outside the tensor reads as zero.

    descriptor_load(base, offsets) -> tensor of the block's shape, `offsets` elements further on
    descriptor_load(base, offsets, destination) stores it to that block pointer, and returns None

    Of earlier dates: (base, offsets, shape, micro_size[, destination]) also takes a `view` of
    what was loaded; (base, view) packs the block as `view` is packed, and where that is a
    pointer also stores it there.
    """
    rest = list(args)
    for name in ("offsets", "shape", "micro_size", "view", "destination"):
        if name in named:
            rest.append(named.pop(name))
    if named or not 1 <= len(rest) <= 4:
        extra = f", and {', '.join(named)}" if named else ""
        raise TypeError(
            f"smt.descriptor_load: base and {len(rest)} arguments{extra}; write (base, offsets) or"
            " (base, offsets, destination)"
        )
    if not is_pointer(base):
        raise TypeError(
            f"smt.descriptor_load: base is {described(base)};"
            " give a block pointer, of tl.make_block_ptr or smt.alloc"
        )
    semantic, generator = _semantic, _generator
    rank = len(shape_of(base))
    if not is_pair(rest[0]):
        return _load_like(semantic, generator, base, rest[0])
    loaded = _load(semantic, base, offsets("descriptor_load", rest[0], rank))
    if len(rest) == 1:
        return loaded
    if len(rest) == 2:
        if not is_pointer(rest[1]):
            raise TypeError("smt.descriptor_load: the destination has to be a block pointer")
        _store(semantic, "descriptor_load", rest[1], loaded)
        return None
    note(
        "descriptor_load(base, offsets, shape, micro_size)",
        "view(descriptor_load(base, offsets), (0, 0), shape, micro_size)",
    )
    viewed = make_view(semantic, generator, loaded, (0, 0), rest[1], rest[2], None)
    if len(rest) == 3:
        return viewed
    if not is_pointer(rest[3]):
        raise TypeError("smt.descriptor_load: the destination has to be a block pointer")
    _store(semantic, "descriptor_load", rest[3], viewed)
    return None


def _load(semantic, pointer, where) -> tl.tensor:
    if any(not isinstance(o, int) or o for o in where):
        where = [
            semantic.cast(o, tl.int32) if isinstance(o, tl.tensor) and o.dtype != tl.int32 else o
            for o in where
        ]
        pointer = semantic.advance(pointer, where)
    every = tuple(range(len(shape_of(pointer))))
    return semantic.load(pointer, None, None, every, "zero", "", "", False)


def _load_like(semantic, generator, base, like):
    """The whole block of `base` in the packing of `like`, which is written where it is memory."""
    if not is_pointer(like) and not is_block(like):
        raise TypeError("smt.descriptor_load: the second argument is neither offsets nor a view")
    note("descriptor_load(base, view)", "view(descriptor_load(base, offsets), ...) and tl.store")
    loaded, wanted = _load(semantic, base, [0, 0]), shape_of(like)
    if len(wanted) == 4:
        plain_shape = (wanted[0] * wanted[2], wanted[1] * wanted[3])
        loaded = make_view(semantic, generator, loaded, (0, 0), plain_shape, wanted[2:], None)
    elif wanted != shape_of(loaded):
        raise ValueError(
            f"smt.descriptor_load: base is {shown(shape_of(base))} and the view {shown(wanted)}; shapes have"
            " to agree, or the view be packed"
        )
    if is_pointer(like):
        _store(semantic, "descriptor_load", like, loaded)
    return loaded


def _store(semantic, function: str, pointer, value) -> None:
    if shape_of(pointer) != shape_of(value):
        raise ValueError(
            f"smt.{function}: the destination is {shown(shape_of(pointer))} and the result"
            f" {shown(shape_of(value))}; give a destination of the result's shape"
        )
    value = semantic.cast(value, element_of(pointer))
    semantic.store(pointer, value, None, tuple(range(len(shape_of(pointer)))), "", "")


def make_view(semantic, generator, base, where, shape, packed_size, destination, target=None):
    """What `view` returns, for other builtins.  target: the variable that `destination` is, if it is one."""
    if not is_pointer(base) and not is_block(base):
        raise TypeError(f"smt.view: base is {described(base)}; give a tensor or a block pointer")
    have = shape_of(base)
    if len(have) not in (2, 4):
        raise ValueError(
            f"smt.view: base has {len(have)} dimensions ({shown(have)});"
            " give a matrix of 2, or a packed one of 4"
        )
    where = offsets("view", where)
    shape = sizes("view", "shape", shape)
    packed = (0, 0) if plain(packed_size) is None else sizes("view", "packed_size", packed_size, least=0)
    if (packed[0] == 0) != (packed[1] == 0):
        raise ValueError(f"smt.view: packed_size is {packed}; both members have to be positive, or both 0")
    if is_pointer(base):
        if destination is not None:
            raise ValueError("smt.view: a view of a pointer copies nothing; leave destination out")
        return _view_memory(semantic, generator, base, where, shape, packed)
    operation, result = _choose(base, have, where, shape, packed)
    if operation is None:
        viewed = base
    else:
        kind = tensor_type("view", element_of(base), result)
        operands = {"src": base.handle, "offsets": [i32(semantic, o) for o in where]}
        attributes = {"shape": list(shape)}
        if operation != "unpack":
            attributes["packed_size"] = list(result[2:])
        (handle,) = leave_call(
            generator, f"xsmt.{operation}", operands, [kind.to_ir(semantic.builder)], attributes
        )
        viewed = tl.tensor(handle, kind)
    if destination is not None:
        _write(semantic, generator, viewed, destination, target)
    return viewed


def _write(semantic, generator, viewed, destination, target) -> None:
    """Stores `viewed` to the block pointer `destination`, or makes it the value of the variable `target`."""
    if is_pointer(destination):
        _store(semantic, "view", destination, viewed)
        return
    if target is None or not is_block(destination):
        raise TypeError(
            f"smt.view: the destination is {described(plain(destination))}; it has to be a block pointer, or"
            " a variable that holds a tensor"
        )
    if destination.type != viewed.type:
        raise ValueError(
            f"smt.view: the destination is {described(destination)} and the result {described(viewed)};"
            " they have to be alike"
        )
    generator.set_value(target, tl.tensor(viewed.handle, viewed.type))


def _choose(base, have, where, shape, packed) -> tuple[str | None, tuple[int, ...]]:
    """Which operation a view of a tensor is (None: the tensor itself), and the result's shape."""
    rank = len(have)
    if packed == (1, 1):
        if rank != 4:
            raise ValueError(
                f"smt.view: packed_size (1, 1) unpacks, but base is the plain matrix {shown(have)};"
                " give a packed base, or a packed_size above 1"
            )
        return "unpack", shape
    if packed == (0, 0):
        if rank == 2:
            raise ValueError(
                f"smt.view: base is the plain matrix {shown(have)} and there is no packed_size to pack it"
                " with; give one, for example (8, 8)"
            )
        packed = have[2:]
    result = (ceil_div(shape[0], packed[0]), ceil_div(shape[1], packed[1]), *packed)
    if rank == 2:
        return "pack", result
    whole = (have[0] * have[2], have[1] * have[3])
    at_origin = all(isinstance(o, int) and o == 0 for o in where)
    if packed == have[2:] and shape == whole and at_origin:
        return None, have
    return "repack", result


def _view_memory(semantic, generator, base, where, shape, packed):
    have = shape_of(base)
    tile = packed if packed != (0, 0) else have[2:]
    if not tile:
        raise ValueError(
            f"smt.view: the pointer's block is the plain matrix {shown(have)} and there is no packed_size;"
            " give one, for example (8, 8)"
        )
    if len(have) == 4 and tile != have[2:]:
        raise ValueError(
            f"smt.view: the memory is packed in tiles of {shown(have[2:])} and cannot be seen in tiles of"
            f" {shown(tile)}; keep packed_size {have[2:]}, or load it and view the tensor"
        )
    whole = have if len(have) == 2 else (have[0] * have[2], have[1] * have[3])
    for i, (size, step, limit, offset) in enumerate(zip(shape, tile, whole, where, strict=True)):
        if size % step:
            below, above = size // step * step, ceil_div(size, step) * step
            legal = f"{below} or {above}" if below else str(above)
            raise ValueError(
                f"smt.view: shape[{i}] is {size}, which the tile's {step} does not divide; a view of memory"
                f" needs whole tiles, {legal} are the nearest"
            )
        first = offset if isinstance(offset, int) else 0
        if first % step:
            raise ValueError(
                f"smt.view: offset {i} is {first}, not a multiple of the tile's {step}; the nearest are"
                f" {first // step * step} and {ceil_div(first, step) * step}"
            )
        if first < 0 or first + size > limit:
            raise ValueError(
                f"smt.view: elements {first} to {first + size - 1} of dimension {i} are outside the memory's"
                f" {limit}; offset plus shape can be {limit} at most"
            )
    kind = pointer_to(element_of(base), (shape[0] // tile[0], shape[1] // tile[1], *tile))
    operands = {"src": base.handle, "offsets": [i32(semantic, o) for o in where]}
    attributes = {"shape": list(shape)}
    if len(have) == 2:
        attributes["packed_size"] = list(tile)
    operation = "xsmt.subview_pack" if len(have) == 2 else "xsmt.subview"
    (handle,) = leave_call(generator, operation, operands, [kind.to_ir(semantic.builder)], attributes)
    return tl.tensor(handle, kind)
