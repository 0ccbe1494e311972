"""Every address, from the top."""

from django.urls import include, path

from config import health, sign_in

urlpatterns = [
    path("healthz", health.show, name="healthz"),
    path("sign-in/", sign_in.by_link, name="sign-in-by-link"),
    path("accounts/", include("allauth.urls")),
    path("api/", include("constitution.api.urls")),
    path("", include("amendments.urls")),
    path("", include("constitution.urls")),
    path("", include("training.urls")),
]
