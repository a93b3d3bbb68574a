"""The subcommands that need no plugin to be there."""

from vertebra.core.commands import cores, opt, passes, plugins

COMMANDS = (opt.COMMAND, cores.COMMAND, plugins.COMMAND, passes.COMMAND)
