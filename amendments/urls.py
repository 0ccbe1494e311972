from django.urls import path

from amendments.views import decisions, proposal, propose, queue

app_name = "amendments"
urlpatterns = [
    path("", queue.queue, name="queue"),
    path("clauses/<str:principle>/propose/", propose.revise, name="propose"),
    path("proposals/<int:pk>/", proposal.detail, name="amendment-detail"),
    path("proposals/<int:pk>/accept/", decisions.accept, name="amendment-accept"),
    path("proposals/<int:pk>/edit/", decisions.edit, name="amendment-edit"),
    path("proposals/<int:pk>/reject/", decisions.reject, name="amendment-reject"),
    path("proposals/<int:pk>/withdraw/", propose.withdraw, name="amendment-withdraw"),
]
