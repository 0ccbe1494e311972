"""Every address, from the top."""

from django.urls import include, path

from config import health, http, sign_in

urlpatterns = [
    path("healthz", health.show, name="healthz"),
    path("sign-in/", sign_in.by_link, name="sign-in-by-link"),
    path("accounts/", include("allauth.urls")),
]

handler403 = http.forbidden
handler404 = http.not_found
handler500 = http.failed
