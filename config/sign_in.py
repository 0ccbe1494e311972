"""Sign in once with a link that somebody with access to the server made (`manage.py dev` prints one)."""

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from sesame.utils import get_query_string

from config.http import refuse


@login_not_required
@never_cache
@require_safe
def by_link(request: HttpRequest) -> HttpResponse:
    """Sign the link's owner in and go to the home page; a used, old or wrong link says so."""
    user = authenticate(request, sesame=request.GET.get("sesame", ""))
    if user is None:
        sentence = "This sign-in link has been used or is out of date. Ask an operator for a new one."
        return refuse(request, status=403, title="Not signed in", sentence=sentence)
    login(request, user)
    return redirect(settings.LOGIN_REDIRECT_URL)


def link_for(user: AbstractBaseUser, *, site: str) -> str:
    """A link that signs this user in once, within a day. `site` is the server's address without a final slash."""
    return f"{site}{reverse('sign-in-by-link')}{get_query_string(user)}"
