"""What a person sets for themselves."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from constitution.people import PersonRequest, set_single_key_shortcuts


@require_http_methods(["GET", "HEAD", "POST"])
def show(request: PersonRequest) -> HttpResponse:
    if request.method == "POST":
        set_single_key_shortcuts(enabled="single_key_shortcuts" in request.POST, by=request.user)
        messages.success(request, "Saved.")
        return redirect("constitution:settings")
    return render(request, "constitution/settings_page.html")
