from django.urls import path

from constitution.views import history, settings, version

app_name = "constitution"
urlpatterns = [
    path("constitution/", version.head, name="head"),
    path("versions/<int:number>/", version.show, name="version-detail"),
    path("versions/<int:old>/to/<int:new>/", history.compare, name="compare"),
    path("history/", history.timeline, name="history"),
    path("settings/", settings.show, name="settings"),
]
