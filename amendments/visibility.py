"""Who sees what. Reviews are blind: until the decision, a reviewer sees their own alone."""

from amendments.models import Amendment, Review
from constitution.models import User


def visible_reviews(amendment: Amendment, viewer: User) -> list[Review]:
    """The reviews that `viewer` may read: all after the decision, their own before it."""
    reviews = amendment.reviews.select_related("reviewer").order_by("at")
    if amendment.is_undecided:
        reviews = reviews.filter(reviewer=viewer)
    return list(reviews)
