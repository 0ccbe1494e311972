"""Known items on the page of insights: how far who agrees with them, planting more, and which they are."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from amendments import actions, calibration, known_items, policies
from amendments.actions.calibrating import OPEN_FOR, VOTERS, Planted
from config.http import number_in, refuse
from constitution.errors import NotAllowed, Refused
from constitution.models import User
from constitution.people import PersonRequest

MOST_AT_ONCE = 100


@require_POST
def plant(request: PersonRequest) -> HttpResponse:
    """Plant some of our own known items."""
    most = request.POST.get("most", "").strip()
    try:
        policies.check_can_plant(request.user)
        number = number_in(most) or 0
        if not 1 <= number <= MOST_AT_ONCE:
            raise Refused(f"Say how many to plant, from 1 to {MOST_AT_ONCE}.")
        planted = actions.plant(
            items=known_items.read(known_items.OURS),
            by=request.user,
            most=number,
            is_bare_too="bare" in request.POST,
        )
    except NotAllowed as refused:
        return refuse(request, status=refused.status, title="Nothing was planted", sentence=str(refused))
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        _say(request, planted)
    return redirect(f"{reverse('amendments:insights')}#known")


def context(viewer: User) -> dict[str, Any]:
    """What `amendments/insights_known.html` shows."""
    found = calibration.measures(viewer)
    return {
        "measures": [_row(measure) for measure in found],
        "may_read_all": policies.may_read_measures(viewer),
        "may_list": policies.may_list_known(viewer),
        "listing": calibration.listing(viewer),
        "voters": VOTERS,
        "days": OPEN_FOR.days,
        "most_at_once": MOST_AT_ONCE,
    }


def _row(measure: calibration.Measure) -> dict[str, Any]:
    low, high = measure.share.interval
    return {
        "reviewer": measure.reviewer,
        "n": measure.share.n,
        "k": measure.share.k,
        "share": f"{100 * measure.share.k / measure.share.n:.0f} %",
        "low": f"{100 * low:.0f} %",
        "high": f"{100 * high:.0f} %",
        "accepted_wrongly": measure.accepted_wrongly,
        "rejected_wrongly": measure.rejected_wrongly,
        "asked": measure.asked,
    }


def _say(request: PersonRequest, planted: Planted) -> None:
    """What came of it, without a word of which they are: who plants may decide on proposals, too."""
    if count := len(planted.amendments):
        messages.success(request, f"Planted {count} known item{'' if count == 1 else 's'} among the open proposals.")
    else:
        messages.warning(request, f"Nothing was planted: {len(planted.before)} of the items were planted before.")
    if policies.may_list_known(request.user):
        for name, sentence in planted.kept[:5]:
            messages.warning(request, f"{name} was left out: {sentence}")
    elif planted.kept:
        messages.warning(request, f"{len(planted.kept)} did not fit the desk as it is now and were left out.")
