from django.urls import path
from django.views.decorators.http import require_safe

from amendments.feeds import Decisions
from amendments.views import (
    clusters,
    decisions,
    discussion,
    edge_case_entry,
    edge_cases,
    hands,
    inbox,
    many,
    proposal,
    propose,
    queue,
    saved,
)

app_name = "amendments"
urlpatterns = [
    path("", queue.queue, name="queue"),
    path("proposals/next/", hands.take_next, name="queue-next"),
    path("proposals/many/", many.many, name="queue-many"),
    path("proposals/<int:pk>/claim/", hands.renew, name="claim-renew"),
    path("proposals/<int:pk>/claim/release/", hands.release, name="claim-release"),
    path("views/", saved.save, name="view-save"),
    path("views/<int:pk>/", saved.change, name="view-change"),
    path("clauses/<str:principle>/propose/", propose.revise, name="propose"),
    path("proposals/<int:pk>/", proposal.detail, name="amendment-detail"),
    path("proposals/<int:pk>/accept/", decisions.accept, name="amendment-accept"),
    path("proposals/<int:pk>/edit/", decisions.edit, name="amendment-edit"),
    path("proposals/<int:pk>/reject/", decisions.reject, name="amendment-reject"),
    path("proposals/<int:pk>/changes/", decisions.request_changes, name="amendment-changes"),
    path("proposals/<int:pk>/defer/", decisions.defer, name="amendment-defer"),
    path("proposals/<int:pk>/bring-back/", decisions.bring_back, name="amendment-bring-back"),
    path("proposals/<int:pk>/duplicate/", decisions.mark_duplicate, name="amendment-duplicate"),
    path("proposals/<int:pk>/assign/", decisions.assign, name="amendment-assign"),
    path("proposals/<int:pk>/undo/", decisions.take_back, name="amendment-undo"),
    path("proposals/<int:pk>/settle/", decisions.settle, name="amendment-settle"),
    path("proposals/<int:pk>/withdraw/", propose.withdraw, name="amendment-withdraw"),
    path("proposals/<int:pk>/discussion/", discussion.show, name="discussion"),
    path("proposals/<int:pk>/discussion/say/", discussion.say, name="discussion-say"),
    path("inbox/", inbox.show, name="inbox"),
    path("inbox/link/", inbox.link, name="inbox-link"),
    path("inbox/read/", inbox.read, name="inbox-read"),
    path("settings/desk/", inbox.settings, name="desk-settings"),
    path("decisions.atom", require_safe(Decisions()), name="decisions-feed"),
]
urlpatterns += [
    path("edge-cases/", edge_cases.edge_cases, name="edge-cases"),
    path("edge-cases/new/", edge_case_entry.add, name="edge-case-add"),
    path("edge-cases/import/", edge_case_entry.upload, name="edge-case-import"),
    path("edge-cases/mark/", edge_cases.mark_many, name="edge-cases-mark"),
    path("edge-cases/<int:case>/", edge_cases.detail, name="edge-case-detail"),
    path("edge-cases/<int:case>/mark/", edge_cases.mark, name="edge-case-mark"),
    path("clusters/<int:cluster>/", clusters.detail, name="cluster-detail"),
    path("clusters/<int:cluster>/merge/", clusters.merge, name="cluster-merge"),
    path("clusters/<int:cluster>/split/", clusters.split, name="cluster-split"),
    path("clusters/<int:cluster>/take-back/", clusters.take_back, name="cluster-take-back"),
]
