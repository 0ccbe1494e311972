"""docs/states.md, drawn from the tables: `python -m tests.architecture.states_page` writes it."""

import os
from importlib import import_module

from constitution.state_table import StateTable
from tests.architecture.source import APPS, ROOT

PAGE = ROOT / "docs" / "states.md"
HEAD = """\
# What can become of what

One table per state machine says which moves there are, who makes each and what the ledger then says. The guards in the
code, the triggers in PostgreSQL and these drawings come from the same tables (`states.py` in each app). Written by
`python -m tests.architecture.states_page`; a test fails when it is out of date.
"""


def tables() -> list[StateTable]:
    found = []
    for app in APPS:
        if (ROOT / app / "states.py").exists():
            module = import_module(f"{app}.states")
            found += [value for value in vars(module).values() if isinstance(value, StateTable)]
    return found


def page() -> str:
    sections = [f"## {table.name.capitalize()}\n\n```mermaid\n{table.mermaid()}\n```\n" for table in tables()]
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    PAGE.write_text(page())
