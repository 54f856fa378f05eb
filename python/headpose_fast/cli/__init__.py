"""The command line: one module per command, and what commands share.

May import everything. Each command's module has `parser` and `run`, and only `run` imports what the
work needs, so `--help` and `--version` answer without NumPy. A new command is a module and an entry
in `main.COMMANDS`; an option of the job goes into `prepare.py`.
"""
