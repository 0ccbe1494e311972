"""What somebody wrote into a form to name a day or a proposal."""

from datetime import date

from amendments.models import Amendment
from config.http import number_in
from constitution.errors import Refused


def day(written: str) -> date:
    """Raises Refused where it is none."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise Refused("Say until which day, as year-month-day.") from None


def proposal(written: str) -> Amendment:
    """The proposal of this number, written 12 or #12. Raises Refused where there is none."""
    found = Amendment.objects.filter(pk=number_in(written.removeprefix("#")) or 0).first()
    if found is None:
        raise Refused("There is no proposal of that number. Say which one covers it, by its number: #12.")
    return found
