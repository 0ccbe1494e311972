from django.urls import path

from training.views import judges, rounds

app_name = "training"
urlpatterns = [
    path("rounds/", rounds.index, name="rounds"),
    path("rounds/<int:pk>/", rounds.detail, name="round-detail"),
    path("rounds/<int:pk>/series/", rounds.series, name="round-series"),
    path("rounds/<int:pk>/resume/", rounds.resume, name="round-resume"),
    path("rounds/<int:pk>/abort/", rounds.abort, name="round-abort"),
    path("rounds/<int:pk>/retry/", rounds.retry, name="round-retry"),
    path("judges/", judges.index, name="judges"),
]
