"""Which core is meant, and what runs it."""

import pytest

from vertebra.core import hooks, select
from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.target import Core, VectorUnit


def make(name, arch="riscv64", arch_id=None):
    return Core(name, target="t", arch=arch, triple="t", isa="i", vector=VectorUnit(256), arch_id=arch_id)


CORES = [make("host", "x86_64"), make("acme-a60", arch_id=0xA03C), make("acme-x60", arch_id=0x503C)]


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    monkeypatch.setattr(hooks, "cores", lambda: {core.name: core for core in CORES})
    monkeypatch.delenv("VERTEBRA_CORE", raising=False)
    monkeypatch.setattr(select, "_chosen", None)
    monkeypatch.setattr(select, "_current", None)
    monkeypatch.setattr(select, "board_core", lambda: None)


@pytest.mark.parametrize(
    "text, name",
    [
        ("host", "host"),
        ("ACME-X60", "acme-x60"),
        ("x60", "acme-x60"),
        ("0xA03C", "acme-a60"),
        ("0xa03c", "acme-a60"),
        ("20540", "acme-x60"),
    ],
)
def test_find_core(text, name):
    assert select.find_core(text).name == name


@pytest.mark.parametrize("text", ["acme-x61", "60", "0x1", ""])
def test_unknown_core_lists_all(text):
    with pytest.raises(ConfigError) as caught:
        select.find_core(text)
    for part in ("host", "acme-a60 (0xa03c)", "acme-x60 (0x503c)"):
        assert part in caught.value.fix


def test_unknown_core_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean acme-x60"):
        select.find_core("acme-x61")


def test_order_of_choices(monkeypatch):
    monkeypatch.setattr(select, "board_core", lambda: CORES[2])
    assert select.current_core() is CORES[2]
    monkeypatch.setattr(select, "_current", None)
    monkeypatch.setenv("VERTEBRA_CORE", "a60")
    assert select.is_chosen()
    assert select.current_core() is CORES[1]
    assert select.set_core("host") is CORES[0]
    assert select.current_core() is CORES[0]
    assert select.set_core(None) is None
    assert select.current_core() is CORES[1]


def test_default_is_host():
    assert not select.is_chosen()
    assert select.current_core() is CORES[0]


def test_set_core_tells_plugins():
    class Listener:
        heard = []

        @hooks.hookimpl
        def vertebra_core_chosen(self, core):
            self.heard.append(core.name)

    listener = Listener()
    hooks.plugins().manager.register(listener)
    try:
        select.set_core("x60")
        select.set_core(None)
    finally:
        hooks.plugins().manager.unregister(listener)
    assert listener.heard == ["acme-x60"]


BOARD = """\
processor\t: 0
hart\t\t: 0
isa\t\t: rv64imafdcv_zicbom
uarch\t\t: {uarch}
mvendorid\t: 0x710
marchid\t\t: {marchid}

processor\t: 1
"""


@pytest.mark.parametrize(
    "uarch, marchid, machine, name",
    [
        ("acme,x60", "0x8000000058000001", "riscv64", "acme-x60"),
        ("acme,a60", "0x503c", "riscv64", "acme-a60"),
        ("other,c1", "0x800000000000503c", "riscv64", "acme-x60"),
        ("other,c1", "0x1", "riscv64", None),
        ("acme,x60", "0x503c", "x86_64", None),
    ],
)
def test_board_core(uarch, marchid, machine, name, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(hooks, "cores", lambda: {core.name: core for core in CORES})
    found = select.board_core(BOARD.format(uarch=uarch, marchid=marchid), machine)
    assert (found and found.name) == name


class Runtime:
    def __init__(self, name, reason):
        self.name, self.reason = name, reason

    def supports(self, core):
        return self.reason


def test_first_runtime_that_serves(monkeypatch):
    runtimes = {r.name: r for r in (Runtime("a", "too slow"), Runtime("b", None), Runtime("c", None))}
    monkeypatch.setattr(hooks, "runtimes", lambda: runtimes)
    assert select.runtime_for(CORES[0]).name == "b"


def test_no_runtime_gives_every_reason(monkeypatch):
    runtimes = {r.name: r for r in (Runtime("a", "too slow"), Runtime("b", "apt-get install b"))}
    monkeypatch.setattr(hooks, "runtimes", lambda: runtimes)
    with pytest.raises(LaunchError) as caught:
        select.runtime_for(CORES[1])
    for part in ("acme-a60", "a: too slow", "b: apt-get install b"):
        assert part in str(caught.value)
