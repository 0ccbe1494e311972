"""The conventions of the source hold, and each check finds its own bad example."""

import ast

import pytest

from tests.architecture import source

CONVENTIONS = [
    pytest.param(source.no_model_signals, "", id="signals"),
    pytest.param(source.no_print, "", id="print"),
    pytest.param(source.actions_say_by_whom, "actions", id="actions"),
    pytest.param(source.no_writes, "views", id="views-writes"),
    pytest.param(source.tasks_are_short, "tasks", id="tasks"),
]

BAD = {
    source.no_model_signals: [
        "from django.db.models.signals import post_save",
        "from django.dispatch import receiver",
        "@signals.receiver(signals.post_save)\ndef follow(**_): ...",
    ],
    source.no_print: ["def f():\n    print('here')"],
    source.actions_say_by_whom: [
        "@transaction.atomic\ndef accept(amendment, *, by): ...",
        "@transaction.atomic\ndef accept(*, amendment): ...",
        "@atomic()\ndef accept(*, amendment): ...",
    ],
    source.no_writes: [
        "def show(request):\n    Amendment.objects.create(x=1)",
        "def show(request):\n    request.user.save()",
        "def show(request):\n    Amendment.objects.filter(pk=1).update(x=1)",
    ],
    source.tasks_are_short: [
        "@shared_task\ndef tick():\n    a = 1\n    b = 2\n    if a:\n        c = 3\n        d = 4\n    return b",
        "@shared_task()\ndef t():\n    with a:\n        b()\n        c()\n        d()\n        e()\n    f()",
    ],
}

GOOD = {
    source.no_model_signals: ["from celery.signals import setup_logging"],
    source.no_print: ["def f(self):\n    self.stdout.write('here')"],
    source.actions_say_by_whom: [
        "@transaction.atomic\ndef accept(*, amendment, by): ...",
        "def head(): ...",
        "@transaction.atomic\ndef _close(row): ...",
    ],
    source.no_writes: ["def show(request):\n    ctx = {}\n    ctx.update(a=1)\n    accept(by=request.user)"],
    source.tasks_are_short: ["@shared_task\ndef tick():\n    '''Look.'''\n    coordinator.tick()"],
}


@pytest.mark.parametrize(("check", "role"), CONVENTIONS)
def test_convention_holds_everywhere(check: source.Check, role: str) -> None:
    breaches = [
        f"{path.relative_to(source.ROOT)}: {breach}"
        for path in source.modules(role)
        for breach in check(source.parse(path))
    ]
    assert breaches == []


@pytest.mark.parametrize(("check", "code"), [(check, code) for check, codes in BAD.items() for code in codes])
def test_convention_finds_its_bad_example(check: source.Check, code: str) -> None:
    assert list(check(ast.parse(code)))


@pytest.mark.parametrize(("check", "code"), [(check, code) for check, codes in GOOD.items() for code in codes])
def test_convention_leaves_good_code_alone(check: source.Check, code: str) -> None:
    assert list(check(ast.parse(code))) == []


def test_modules_of_every_role_are_found() -> None:
    assert source.modules("views")
    assert source.modules("tasks")
    assert source.modules("actions")
