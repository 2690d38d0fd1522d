"""Who may take a subscription over (Part 4, 5.13.7): the same user, or the same application where nobody signed in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """On whose behalf a session speaks. user is empty for one who did not sign in; secured: the channel is signed, so that the
    application is the one that it says.
    """

    user: str = ""
    application_uri: str = ""
    secured: bool = False

    @property
    def leaves(self) -> bool:
        """Whether somebody could come for what it leaves behind."""
        return bool(self.user) or (self.secured and bool(self.application_uri))


def may_take(left: Owner, comes: Owner) -> bool:
    """Whether `comes` may have the subscriptions of `left`."""
    if left.user or comes.user:
        return left.user == comes.user
    return left.leaves and comes.leaves and left.application_uri == comes.application_uri
