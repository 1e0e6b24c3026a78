"""Which identifiers a profile itself carries."""

from __future__ import annotations

from engine.profiles.model import Profile


def identifiers(profile: Profile) -> frozenset[tuple[str, str]]:
    """Kind and value of each. A store moves only those that a save has changed: what was made to resolve to the
    profile besides (an anonymous id, the id of a profile merged into it) stays, and an address that another profile
    has taken over since is not taken back by an unrelated change."""
    own = {("external", profile.external_id), ("email", profile.email), ("phone", profile.phone), *profile.chat.items()}
    return frozenset((kind, value) for kind, value in own if value is not None)
