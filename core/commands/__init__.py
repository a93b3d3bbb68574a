"""The subcommands that need no plugin to be there."""

from vertebra.core.commands import cores, layout, new_core, opt, passes, plugins, profile, tiles

COMMANDS = (
    opt.COMMAND,
    cores.COMMAND,
    plugins.COMMAND,
    passes.COMMAND,
    tiles.COMMAND,
    layout.COMMAND,
    profile.COMMAND,
    new_core.COMMAND,
)
