"""Whether a kernel's buffers fit: sizes, lifetimes and what lies on top of what."""

from typing import NamedTuple

from vertebra.core.layout.errors import LayoutError


class Resource(NamedTuple):
    """A memory with `capacity` units, of which `reserved` are taken already."""

    name: str
    capacity: int
    reserved: int = 0


class Buffer(NamedTuple):
    """`size` units of `resource`, `stages` times.

    live: (first, last) phase of the kernel in which it is needed; None is all of them.
    over: the name of a buffer whose space it takes over, because that one has been read.
    """

    name: str
    resource: str
    size: int
    stages: int = 1
    live: tuple[int, int] | None = None
    over: str | None = None

    @property
    def total(self) -> int:
        return self.size * self.stages


def used(resource: Resource, buffers) -> int:
    """The most units that are live at once, aliased buffers counted once.

    Raises LayoutError for a buffer that lies over one that is not there, or smaller.
    """
    here = [b for b in buffers if b.resource == resource.name]
    named = {b.name: b for b in here}
    for b in here:
        if b.over is not None:
            below = named.get(b.over)
            if below is None:
                raise LayoutError(f"buffer {b.name} lies over {b.over}, which is not in {resource.name}")
            if below.total < b.total:
                raise LayoutError(
                    f"buffer {b.name} takes {b.total} units, and {b.over} below it {below.total}"
                )
    own = [b for b in here if b.over is None]
    moments = sorted({phase for b in own if b.live for phase in b.live}) or [0]
    return max(sum(b.total for b in own if b.live is None or b.live[0] <= t <= b.live[1]) for t in moments)


def free(resource: Resource, buffers) -> int:
    """Units that are left; negative where the buffers do not fit."""
    return resource.capacity - resource.reserved - used(resource, buffers)


def stages_that_fit(resource: Resource, buffers, size: int) -> int:
    """How many more buffers of `size` units fit beside `buffers`."""
    return max(0, free(resource, buffers) // size)
