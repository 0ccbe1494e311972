"""A constitution as a file that people read and edit. Reading what was written gives the same bytes back."""

import yaml
from pydantic import ValidationError

from constitution.errors import BadFile
from constitution.texts import ClauseText, Line, Value, sentences

MAX_BYTES = 5_000_000


class ConstitutionFile(Value):
    """What the file holds: a title and the clauses in order."""

    title: Line
    clauses: tuple[ClauseText, ...]


def read(content: str) -> ConstitutionFile:
    """Parse the YAML of a constitution. Raises BadFile with the line, or the clause and field, that is wrong."""
    if len(content) > MAX_BYTES:
        raise BadFile(f"The file is larger than {MAX_BYTES:,} characters.")
    try:
        return ConstitutionFile.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        raise BadFile(f"This is not YAML: {error}") from error
    except ValidationError as error:
        raise BadFile(sentences(error)) from error


def write(file: ConstitutionFile) -> str:
    """The canonical text of a constitution file."""
    content = {"title": file.title, "clauses": [clause.model_dump(mode="json") for clause in file.clauses]}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
