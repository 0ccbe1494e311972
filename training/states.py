"""The tables that say what can become of a round, of a reading of the scenarios, of an impact preview and of its
comparison with what a round made of it.

Claims, and leases that lapse, are bookkeeping: they count up `attempt` and leave no ledger entry, so that the ledger
of a round that was killed and taken up again is that of one that ran straight through.
"""

from constitution.state_table import Move, StateTable

QUEUED = "queued"
RUNNING = "running"
PAUSED = "paused"
DONE = "done"
FAILED = "failed"
ABORTED = "aborted"
WAITING = "waiting"
DELIVERED = "delivered"

ROUND = StateTable(
    name="round",
    initial=QUEUED,
    moves=(
        Move(QUEUED, RUNNING, "gpu worker", "round claimed"),
        Move(RUNNING, QUEUED, "coordinator", "round lease lapsed"),
        Move(RUNNING, DONE, "gpu worker", "round finished"),
        Move(RUNNING, FAILED, "gpu worker", "round failed"),
        Move(RUNNING, PAUSED, "gpu worker", "round paused"),
        Move(PAUSED, QUEUED, "overseer", "round resumed"),
        Move(PAUSED, ABORTED, "overseer", "round aborted"),
        Move(QUEUED, ABORTED, "overseer or operator", "round aborted"),
        Move(RUNNING, ABORTED, "overseer or operator", "round aborted"),
        Move(FAILED, QUEUED, "operator", "round retried"),
        Move(FAILED, ABORTED, "overseer or operator", "round aborted"),
    ),
)
# A round that failed can be retried, so it still covers its version.
LIVE_ROUNDS = tuple(state for state in ROUND.states if state in ROUND.live)
# Work that goes on, or will, without anybody's decision.
MOVING = frozenset({QUEUED, RUNNING})

SURFACING = StateTable(
    name="surfacing run",
    initial=QUEUED,
    moves=(
        Move(QUEUED, RUNNING, "gpu worker", "surfacing claimed"),
        Move(RUNNING, QUEUED, "coordinator", "surfacing lease lapsed"),
        Move(RUNNING, DONE, "gpu worker", "surfacing finished"),
        Move(RUNNING, FAILED, "gpu worker", "surfacing failed"),
        Move(FAILED, QUEUED, "operator", "surfacing retried"),
    ),
)

PREVIEW = StateTable(
    name="impact preview",
    initial=QUEUED,
    moves=(
        Move(QUEUED, RUNNING, "gpu worker", "preview claimed"),
        Move(RUNNING, QUEUED, "coordinator", "preview lease lapsed"),
        Move(RUNNING, DONE, "gpu worker", "preview finished"),
        Move(RUNNING, FAILED, "gpu worker", "preview failed"),
        Move(FAILED, QUEUED, "reviewer", "preview asked again"),
    ),
)

REALISED = StateTable(
    name="realised effect",
    initial=QUEUED,
    moves=(
        Move(QUEUED, RUNNING, "gpu worker", "realised effect claimed"),
        Move(RUNNING, QUEUED, "coordinator", "realised effect lease lapsed"),
        Move(RUNNING, DONE, "gpu worker", "realised effect measured"),
        Move(RUNNING, FAILED, "gpu worker", "realised effect failed"),
        Move(FAILED, QUEUED, "operator", "realised effect retried"),
    ),
)

DELIVERY = StateTable(
    name="delivery to a webhook",
    initial=WAITING,
    moves=(
        Move(WAITING, DELIVERED, "cpu worker", "alert delivered"),
        Move(WAITING, FAILED, "cpu worker", "alert not delivered"),
        Move(FAILED, WAITING, "operator", "alert sent again"),
    ),
)
