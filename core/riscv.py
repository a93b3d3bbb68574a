"""RISC-V cores with vector registers, by the name of their instruction set."""

import re

from vertebra.core.errors import ConfigError
from vertebra.core.target import Core, VectorUnit

_G = "imafd"  # what the letter stands for
_FLOATS = frozenset({"f32", "f64"})
_REACH = 2048  # bytes: half of what a signed offset of 12 bits spans
# A group's registers are computed one after the other, so that what surrounds the arithmetic (addresses,
# scalars of a product, branches) counts least with the longest groups, most of all where few instructions
# start a cycle, in order.  A product keeps three rows of sums beside one of B then; its loads are a third of
# its multiply-adds, against a seventh with groups of four.
_GROUP = 8


def features_of(isa: str) -> tuple[str, ...]:
    """LLVM's features of an instruction set such as "rv64gcv_zba_zvl256b", behind which there may be words.

    Vendors' own extensions (x...) are none: plugins serve them.  Raises ConfigError for what is no such name.
    """
    base, *more = isa.split()[0].split("_")
    letters = re.fullmatch(r"rv64([a-z]+)", base)
    if letters is None:
        raise ConfigError(f"{isa!r} is no instruction set of RISC-V", fix="write one as rv64gcv_zba_zvl256b")
    single = letters[1].replace("g", _G).replace("i", "")
    return tuple(f"+{name}" for name in (*single, *more) if not name.startswith("x"))


def vector_core(name: str, *, isa: str, target: str, kind: type[Core] = Core, **fields) -> Core:
    """The core `name` of type `kind`, whose features and vector registers follow from `isa`.

    isa: as of `features_of`, with the length of vector registers (zvl...b).  fields: of the core.  Raises
    ConfigError for a name without that length.
    """
    features = features_of(isa)
    lengths = [int(found[1]) for feature in features if (found := re.fullmatch(r"\+zvl(\d+)b", feature))]
    if not lengths:
        raise ConfigError(
            f"core {name}: {isa} does not say how long vector registers are", fix="add _zvl256b"
        )
    floats = _FLOATS | {"f16"} if "+zvfh" in features else _FLOATS
    return kind(
        name=name,
        target=target,
        arch="riscv64",
        triple="riscv64-unknown-linux-gnu",
        abi="lp64d",
        isa=isa,
        cpu="generic-rv64",
        features=features,
        vector=VectorUnit(
            max(lengths), registers=32, group=_GROUP, arithmetic=floats, conversion=floats, reach=_REACH
        ),
        **fields,
    )
