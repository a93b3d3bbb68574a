"""The subcommands that need no plugin to be there."""

from vertebra.core.commands import cores, layout, opt, passes, plugins, tiles

COMMANDS = (opt.COMMAND, cores.COMMAND, plugins.COMMAND, passes.COMMAND, tiles.COMMAND, layout.COMMAND)
