"""The driver under the name that scripts written for SpacemiT's fork of Triton give it."""

from vertebra.core import select
from vertebra.plugins.triton.driver import VertebraDriver


class CPUDriver(VertebraDriver):
    """`triton.runtime.driver.set_active(CPUDriver())` makes kernels run by vertebra."""

    def set_current_arch_id(self, arch_id: str | int) -> None:
        """Compiles for the core of this vendor's number from now on ("0x503C", or the number itself).

        Raises ConfigError, which lists the installed cores, where there is none.
        """
        select.set_core(arch_id if isinstance(arch_id, str) else hex(arch_id))

    @property
    def current_arch_id(self) -> str:
        """The vendor's number of the current core, "0x503C"; that of a core without one is "0x0"."""
        return f"0x{select.current_core().arch_id or 0:X}"
