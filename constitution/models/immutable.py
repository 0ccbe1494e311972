"""Tables whose rows are written once."""

import pgtrigger


def immutable(*extra: pgtrigger.Trigger) -> list[pgtrigger.Trigger]:
    """Triggers for a table whose rows are written once. (Protect alone does not stop TRUNCATE.)"""
    return [
        pgtrigger.Protect(name="write_once", operation=pgtrigger.Update | pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            operation=pgtrigger.Truncate,
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            func="RAISE EXCEPTION 'table % is written once', TG_TABLE_NAME;",
        ),
        *extra,
    ]
