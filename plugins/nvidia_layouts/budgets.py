"""What attention takes of sm100's memories, per head dimension and keys in a tile, with 128 query rows."""

from vertebra.core.layout.budget import Buffer, Resource, free, stages_that_fit

TMEM = Resource("TMEM", 512)  # columns of 32 bits, 128 lanes each
SMEM = Resource("SMEM", 232448, 1024)  # bytes; barriers take the rest
_ROWS, _ELEMENT = 128, 2
CASES = ((64, 128), (128, 128), (256, 128), (256, 64), (512, 128), (512, 64))


def columns(head_dim: int, keys: int, *, tiles: int = 1, apart: bool = False) -> int:
    """TMEM columns that are left: S and O per query tile, P apart or over S once S has been read."""
    buffers = []
    for i in range(tiles):
        buffers += [Buffer(f"S{i}", "TMEM", keys), Buffer(f"O{i}", "TMEM", head_dim)]
        buffers.append(Buffer(f"P{i}", "TMEM", keys // 2, over=None if apart else f"S{i}"))
    return free(TMEM, buffers)


def key_tiles(head_dim: int, keys: int, *, p_in_smem: bool) -> int:
    """Tiles of K or V that fit in SMEM beside Q, and P where it is there."""
    buffers = [Buffer("Q", "SMEM", _ROWS * head_dim * _ELEMENT)]
    if p_in_smem:
        buffers.append(Buffer("P", "SMEM", _ROWS * keys * _ELEMENT))
    return stages_that_fit(SMEM, buffers, keys * head_dim * _ELEMENT)


def verdict(head_dim: int, keys: int) -> str:
    """Where P should be."""
    if columns(head_dim, keys) < 0:
        return "neither: O alone fills TMEM; halve M or pass over the head twice"
    if key_tiles(head_dim, keys, p_in_smem=False) < 1:
        return "neither: K does not fit in SMEM"
    two = ", also for two query tiles" if columns(head_dim, keys, tiles=2) >= 0 else ""
    if key_tiles(head_dim, keys, p_in_smem=True) < 4 and not two:
        return "P in TMEM fits; in SMEM K and V cannot be buffered twice"
    return f"P in TMEM{two}"


def table() -> tuple[tuple[str, ...], ...]:
    """Rows of text: head dim and keys, columns, bytes and tiles, and the verdict."""
    rows = [
        (
            "head dim, keys",
            "S+O",
            "+P apart",
            "two tiles",
            "Q / K / P KB",
            "K or V tiles, P in TMEM / SMEM",
            "verdict",
        )
    ]
    for head_dim, keys in CASES:
        two = 2 * (keys + head_dim)
        kb = [n * _ELEMENT // 1024 for n in (_ROWS * head_dim, keys * head_dim, _ROWS * keys)]
        fit = [key_tiles(head_dim, keys, p_in_smem=p) for p in (False, True)]
        rows.append(
            (
                f"{head_dim}, {keys}",
                _columns(keys + head_dim),
                _columns(keys + head_dim + keys // 2),
                _columns(two),
                " / ".join(map(str, kb)),
                " / ".join(map(str, fit)),
                verdict(head_dim, keys),
            )
        )
    return tuple(rows)


def _columns(count: int) -> str:
    return f"{count}" if count <= TMEM.capacity else f"{count} no"
