"""The import paths of SpacemiT's fork of Triton, and its driver."""

import importlib
import subprocess
import sys

import pytest
import triton
from triton.backends.spine_triton.driver import CPUDriver

from vertebra.core import select
from vertebra.core.errors import ConfigError
from vertebra.plugins.triton import imports


@pytest.mark.parametrize("path, module", imports.MODULES.items())
def test_a_path_is_the_module_itself(path, module):
    own = importlib.import_module(module)
    assert importlib.import_module(path) is own
    assert own.__name__ == own.__spec__.name == module


def test_importing_triton_is_enough():
    script = (
        "import sys, triton, triton.language as tl\n"
        "assert 'vertebra.plugins.xsmt.language' not in sys.modules\n"
        "import triton.language.extra.smt as smt\n"
        "from triton.language.extra import tle\n"
        "from triton.language.extra.cpu import libdevice\n"
        "from triton.experimental import tle as same\n"
        "assert tle is same and tl.extra.smt is smt and smt.parallel and libdevice.exp\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_does_not_exist_stays_so():
    with pytest.raises(ModuleNotFoundError, match=r"triton\.language\.extra\.smtx"):
        importlib.import_module("triton.language.extra.smtx")


def test_install_adds_one_finder():
    imports.install()
    assert sum(isinstance(f, imports._Finder) for f in sys.meta_path) == 1


@pytest.fixture
def active():
    before = triton.runtime.driver._active
    triton.runtime.driver.set_active(CPUDriver())
    yield triton.runtime.driver.active
    select.set_core(None)
    triton.runtime.driver._active = before


@pytest.mark.parametrize("given", ["0x503C", "0x503c", 0x503C])
def test_a_core_by_its_vendors_number(active, given):
    active.set_current_arch_id(given)
    assert select.current_core().name == "spacemit-x60"
    assert active.current_arch_id == "0x503C"
    assert triton.runtime.driver.active is active


def test_an_unknown_number_names_the_known(active):
    with pytest.raises(ConfigError, match="0x503c"):
        active.set_current_arch_id("0x1234")
