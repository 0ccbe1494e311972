from django.urls import include, path

from constitution.views import profile_form, profiles, proofs, settings, tokens, version
from constitution.views.history import bisect, blame, compare, life, links, search, timeline

app_name = "constitution"
# The pages of one constitution. Of the one at home they have short addresses; of another its slug stands before.
document = [
    path("constitution/", version.head, name="head"),
    path("versions/<int:number>/", version.show, name="version-detail"),
    path("versions/<int:number>/prompt/", version.system_prompt, name="version-prompt"),
    path("versions/<int:number>/proofs/", proofs.show, name="proofs"),
    path("versions/<int:number>/blame/", blame.show, name="version-blame"),
    path("versions/<int:old>/to/<int:new>/", compare.show, name="compare"),
    path("clauses/<slug:principle>/", life.show, name="clause-life"),
    path("history/", timeline.show, name="history"),
    path("history/as-of/", timeline.as_of, name="history-as-of"),
    path("compare/", compare.choose, name="compare-choose"),
    path("search/", search.show, name="search"),
    path("bisect/", bisect.show, name="bisect"),
]
urlpatterns = [
    *document,
    path("constitutions/<slug:slug>/", include(document)),
    path("d/<str:digest>/", links.by_digest, name="by-digest"),
    path("profiles/", profiles.index, name="profiles"),
    path("new-profile/", profile_form.new, name="profile-new"),
    path("profiles/<slug:profile>/", profiles.show, name="profile-detail"),
    path("profiles/<slug:profile>/edit/", profile_form.edit, name="profile-edit"),
    path("profiles/<slug:profile>/prompt/", profiles.system_prompt, name="profile-prompt"),
    path("profiles/<slug:profile>/proofs/", proofs.of_profile, name="profile-proofs"),
    path("profiles/<slug:profile>/history/", profiles.history, name="profile-history"),
    path("profiles/<slug:profile>/follow/", profiles.follow, name="profile-follow"),
    path("profiles/<slug:profile>/seen/", profiles.acknowledge, name="profile-seen"),
    path("settings/", settings.show, name="settings"),
    path("settings/tokens/", tokens.show, name="tokens"),
    path("settings/tokens/<int:pk>/rate/", tokens.rate, name="token-rate"),
    path("settings/tokens/<int:pk>/revoke/", tokens.end, name="token-revoke"),
]
