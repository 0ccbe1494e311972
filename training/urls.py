from django.urls import path

from training.views import judges, models, previews, rounds

app_name = "training"
urlpatterns = [
    path("rounds/", rounds.index, name="rounds"),
    path("rounds/<int:pk>/", rounds.detail, name="round-detail"),
    path("rounds/<int:pk>/series/", rounds.series, name="round-series"),
    path("rounds/<int:pk>/resume/", rounds.resume, name="round-resume"),
    path("rounds/<int:pk>/abort/", rounds.abort, name="round-abort"),
    path("rounds/<int:pk>/retry/", rounds.retry, name="round-retry"),
    path("judges/", judges.index, name="judges"),
    path("proposals/<int:pk>/preview/", previews.ask, name="preview-ask"),
    path("models/", models.index, name="models"),
    path("models/<int:pk>/", models.detail, name="model-detail"),
    path("models/<int:pk>/promote/", models.promote, name="model-promote"),
    path("models/<int:pk>/roll-back/", models.roll_back, name="model-roll-back"),
    path("models/<int:old>/to/<int:new>/", models.changes, name="model-changes"),
]
