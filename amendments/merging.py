"""Three texts into one, word by word. The algorithm is that of the package merge3 (Breezy's three-way merge)."""

from merge3 import Merge3

from constitution.diffs import TOKEN


def merge_words(base: str, ours: str, theirs: str) -> str | None:
    """`base` with the changes of both sides; None where they changed the same words, or words side by side.

    Two changes with only space or punctuation between them read as one: what each side meant is for people to say.
    """
    old, mine, other = (TOKEN.findall(text) for text in (base, ours, theirs))
    merged: list[str] = []
    last_side = ""
    for region in Merge3(old, mine, other).merge_regions():
        kind, start, end = region[0], region[1], region[2]
        if kind == "conflict" or {last_side, kind} == {"a", "b"}:
            return None
        source = {"unchanged": old, "same": mine, "a": mine, "b": other}[kind][start:end]
        merged += source
        if kind in ("a", "b"):
            last_side = kind
        elif any(token[0].isalnum() for token in source):
            last_side = ""
    return "".join(merged)
