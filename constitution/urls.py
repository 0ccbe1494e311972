from django.urls import include, path

from constitution.views import history, proofs, settings, version

app_name = "constitution"
# The pages of one constitution. Of the one at home they have short addresses; of another its slug stands before.
document = [
    path("constitution/", version.head, name="head"),
    path("versions/<int:number>/", version.show, name="version-detail"),
    path("versions/<int:number>/prompt/", version.system_prompt, name="version-prompt"),
    path("versions/<int:number>/proofs/", proofs.show, name="proofs"),
    path("versions/<int:old>/to/<int:new>/", history.compare, name="compare"),
    path("history/", history.timeline, name="history"),
]
urlpatterns = [
    *document,
    path("constitutions/<slug:slug>/", include(document)),
    path("settings/", settings.show, name="settings"),
]
