from django.urls import path

from training.views import (
    alerts,
    begin,
    drift,
    judges,
    models,
    previews,
    readings,
    realised,
    round_changes,
    rounds,
    trends,
)

app_name = "training"
urlpatterns = [
    path("rounds/", rounds.index, name="rounds"),
    path("rounds/begin/", begin.begin, name="round-begin"),
    path("rounds/<int:pk>/", rounds.detail, name="round-detail"),
    path("rounds/<int:pk>/series/", rounds.series, name="round-series"),
    path("rounds/trends/", trends.show, name="round-trends"),
    path("rounds/compare/", round_changes.choose, name="round-choose"),
    path("rounds/<int:old>/to/<int:new>/", round_changes.show, name="round-changes"),
    path("rounds/<int:pk>/drift/", drift.show, name="round-drift"),
    path("rounds/<int:pk>/resume/", rounds.resume, name="round-resume"),
    path("rounds/<int:pk>/abort/", rounds.abort, name="round-abort"),
    path("rounds/<int:pk>/retry/", rounds.retry, name="round-retry"),
    path("readings/", readings.index, name="readings"),
    path("readings/<int:pk>/", readings.detail, name="reading-detail"),
    path("alerts/", alerts.index, name="alerts"),
    path("alerts/webhooks/", alerts.webhooks, name="webhooks"),
    path("alerts/webhooks/<int:pk>/remove/", alerts.remove, name="webhook-remove"),
    path("alerts/deliveries/<int:pk>/resend/", alerts.resend, name="delivery-resend"),
    path("judges/", judges.index, name="judges"),
    path("previews/", realised.forecasts, name="forecasts"),
    path("proposals/<int:pk>/preview/", previews.ask, name="preview-ask"),
    path("models/", models.index, name="models"),
    path("models/<int:pk>/", models.detail, name="model-detail"),
    path("models/<int:pk>/promote/", models.promote, name="model-promote"),
    path("models/<int:pk>/roll-back/", models.roll_back, name="model-roll-back"),
    path("models/<int:old>/to/<int:new>/", models.changes, name="model-changes"),
]
