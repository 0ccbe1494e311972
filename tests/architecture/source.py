"""Our conventions as functions over syntax trees: each takes a module and gives a sentence for each breach."""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("config", "constitution", "amendments", "training")
WRITES = {"save", "create", "bulk_create", "bulk_update", "get_or_create", "update_or_create", "delete"}
LONGEST_TASK = 5

Check = Callable[[ast.Module], Iterable[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(role: str = "") -> list[Path]:
    """The project's modules, or those of one role: `views` finds `app/views.py` and `app/views/*.py`."""
    found = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts]
    return [path for path in found if not role or path.stem == role or path.parent.name == role]


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def functions(tree: ast.Module) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def public_functions(tree: ast.Module) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node


def decorators(function: Function) -> set[str]:
    """The last names of its decorators: `transaction.atomic` and `require_http_methods(["GET"])` without the rest."""
    found = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    return {ast.unparse(node).rpartition(".")[2] for node in found}


def no_model_signals(tree: ast.Module) -> Iterator[str]:
    """What should happen is called by the action that makes it happen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("django.db.models.signals", "django.dispatch"):
            yield f"line {node.lineno}: uses Django signals"
    for function in functions(tree):
        if "receiver" in decorators(function):
            yield f"line {function.lineno}: {function.name} receives a signal"


def no_print(tree: ast.Module) -> Iterator[str]:
    """Application code logs; a program that reads its own arguments may speak, any other on standard error."""
    if "argparse" in {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            where = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if where.get("file") != "sys.stderr":
                yield f"line {node.lineno}: prints"


def actions_say_by_whom(tree: ast.Module) -> Iterator[str]:
    """A public function that opens a transaction is a verb: keyword-only arguments, and `by`."""
    for function in public_functions(tree):
        if "atomic" not in decorators(function):
            continue
        if function.args.args or function.args.posonlyargs:
            yield f"{function.name}: takes positional arguments"
        if "by" not in {argument.arg for argument in function.args.kwonlyargs}:
            yield f"{function.name}: does not say by whom"


def no_writes(tree: ast.Module) -> Iterator[str]:
    """Views write through actions only."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        chain = ast.unparse(node.func)
        if node.func.attr in WRITES or (node.func.attr == "update" and (".objects" in chain or ".filter(" in chain)):
            yield f"line {node.lineno}: writes with {node.func.attr}()"


def tasks_are_short(tree: ast.Module) -> Iterator[str]:
    for function in functions(tree):
        statements = sum(isinstance(node, ast.stmt) for line in function.body for node in ast.walk(line))
        if "shared_task" in decorators(function) and statements - _has_docstring(function) > LONGEST_TASK:
            yield f"{function.name}: {statements} statements; a task loads and calls"


def _has_docstring(function: Function) -> bool:
    return ast.get_docstring(function) is not None
