"""What has to happen before what in a transfer, and a checker for it.

A missing fence need not show in any test on hardware; the checker finds it in the list of steps.
"""

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Operand, Step


def steps_of(source: Operand, destination: Operand, access: str, store: bool) -> tuple[Step, ...]:
    """The steps of a transfer, in order: those of both ends, the accesses and the fence between proxies."""
    who = f"{(source if source.owners is not None else destination).owners.threads} threads"
    steps = [*source.before]
    if source.dtype != destination.dtype:
        kind = f"convert {source.dtype} to {destination.dtype}"
        if bits_of(source.dtype) != bits_of(destination.dtype):
            kind += f", {max(1, 32 // bits_of(destination.dtype))} to a register"
        steps.append(Step("convert", kind, who))
    if not store:
        return (*steps, Step("load", access, who))
    steps += [*destination.before, Step("store", access, who)]
    fence = fence_of(destination)
    if fence is not None:
        steps.append(fence._replace(who=f"each of the {who}"))
    return (*steps, *destination.after)


def fence_of(destination: Operand) -> Step | None:
    """The fence between the proxy that writes the operand and the one that reads it.

    Raises LayoutError where the space has none.
    """
    space = destination.space
    proxies = space.proxy, destination.reader or space.proxy
    found = next((step for step in space.fences if step.proxies == proxies), None)
    if found is None and proxies[0] != proxies[1]:
        raise LayoutError(
            f"{space.name} knows no fence from the {proxies[0]} proxy to the {proxies[1]} proxy"
        )
    return found


def check_order(steps, destination: Operand) -> None:
    """Raises LayoutError, saying what is missing where, unless the steps order the transfer.

    Every store needs the fence that the two proxies ask for, by the threads that stored, before
    they arrive; the reader waits for that arrival before it issues; and where the buffer is used
    again, what the reader commits is what the writers wait for before they store.
    """
    steps = tuple(steps)
    stores = [i for i, s in enumerate(steps) if s.kind == "store"]
    if not stores:
        raise LayoutError(f"no step stores into {destination.name}")
    last = stores[-1]
    needed = fence_of(destination)
    arrive = next((i for i, s in enumerate(steps) if i > last and s.kind == "arrive"), None)
    issue = next((i for i, s in enumerate(steps) if i > last and s.kind == "issue"), None)
    if needed is not None:
        ends = [i for i in (arrive, issue) if i is not None]
        limit = min(ends) if ends else len(steps)
        fences = [s for s in steps[last:limit] if s.kind in ("fence", "drain")]
        if not any(s.text == needed.text for s in fences):
            other = f"; {fences[0].text} orders another memory" if fences else ""
            raise LayoutError(
                f"{destination.name} is written through the {needed.proxies[0]} proxy and read through the"
                f" {needed.proxies[1]} proxy with no fence between{other}",
                fix=f"{needed.text} by every storing thread, after the last store and before the arrival",
            )
    if issue is None:
        return
    if arrive is None:
        raise LayoutError(f"the reader of {destination.name} is told by no arrival that the stores are done")
    edge = steps[arrive].edge
    if not any(s.kind == "wait" and s.edge == edge for s in steps[arrive:issue]):
        raise LayoutError(f"the reader of {destination.name} issues without waiting for {edge!r}")
    waits = {s.edge for s in steps[: stores[0]] if s.kind == "wait"}
    freed = [s.edge for s in steps[issue:] if s.kind == "commit"]
    if not waits & {e for edge in freed for e in edge.split(", ")}:
        raise LayoutError(
            f"{destination.name} is stored into again before its reader is known to be done",
            fix="wait, before the stores, for what the reader commits after its last read",
        )
