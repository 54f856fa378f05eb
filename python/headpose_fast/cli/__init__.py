"""The command line: one module a command, and what commands share.

May import everything. Each command's module has `parser` and `run`, and imports what the work needs
in `run` only, so that `--help` and `--version` answer before NumPy is there. A new command is a
module and an entry in `main.COMMANDS`; an option of the job goes to `prepare.py`.
"""
