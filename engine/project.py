"""A compiled project: what `sojourn.yml`, `journeys/` and `templates/` say, checked and ready to run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine.plan.model import InDoubt, Plan
from engine.plan.notices import ANSWERING, CONFIRMING

ChannelKind = Literal["email", "sms", "chat"]
TopicKind = Literal["marketing", "transactional", "internal"]
Basis = Literal["consent", "soft_opt_in", "legitimate_interest", "contract"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """The medium as configured: `email: {use: smtp, …}`."""

    name: str
    #: The adapter's name.
    use: str
    kind: ChannelKind
    from_: str | None = None
    #: Messages per second, or None: no limit of ours.
    rate_per_second: float | None = None
    #: Name of the channel that takes over in an outage.
    backup: str | None = None
    #: Of its messages in doubt, where their step does not say. None: marketing is held, all else is resent.
    in_doubt: InDoubt | None = None
    #: The folder under `templates/`: the channel's own name unless it says otherwise.
    templates: str = ""
    #: May hold secrets: never printed, and not part of `repr`.
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracking:
    """What is counted of a message after it has gone: nothing, unless its author says so."""

    #: Links of mails and text messages lead through us, and a click is an event.
    clicks: bool = False
    #: Mails carry a picture of one pixel, and showing it is an event.
    opens: bool = False
    #: Parameters added to every link, by name without `utm_`; None adds none. What is not named here is derived: see
    #: `engine.delivery.mailing`.
    utm: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """What a person can say yes or no to."""

    name: str
    title: str
    kind: TopicKind = "marketing"
    basis: Basis = "consent"
    #: Channels that the topic allows; empty: all.
    channels: tuple[str, ...] = ()
    #: Channels on which a grant counts only once confirmed.
    double_opt_in: tuple[str, ...] = ()
    #: Complete; None: the project's.
    tracking: Tracking | None = None


#: Topics of our own notices: nobody says yes or no to an answer that they asked for.
_OWN_TOPICS = {
    name: Topic(name=name, title=title, kind="transactional", basis="contract", tracking=Tracking())
    for name, title in ((CONFIRMING, "Confirmations"), (ANSWERING, "Answers"))
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    at_most: int
    per_seconds: int
    #: Empty: all channels.
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class QuietHours:
    #: `HH:MM`, inside.
    from_: str
    #: `HH:MM`, outside; before `from_` where the hours cross midnight.
    to: str
    #: Empty: all channels.
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    name: str
    title: str
    #: In the expression language.
    condition: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    name: str
    root: Path
    timezone: str
    locale: str
    #: SQLAlchemy URL; may hold a password.
    database: str = field(repr=False)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    topics: Mapping[str, Topic] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    #: Event name -> property -> type word; None where the project has no catalogue.
    events: Mapping[str, Mapping[str, str]] | None = None
    #: Attribute -> type word.
    attributes: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    #: By journey name.
    plans: Mapping[str, Plan] = field(default_factory=dict)
    #: Hosts that `call` may reach although they are private.
    allowed_hosts: tuple[str, ...] = ()
    tracking: Tracking = field(default_factory=Tracking)

    def topic(self, name: str) -> Topic:
        """The topic of a send: authored, or one of our own notices'."""
        return _OWN_TOPICS.get(name) or self.topics[name]

    def tracking_of(self, topic: Topic) -> Tracking:
        """What is counted of the topic's messages; of what goes to our own people, nothing: they are not the person."""
        return Tracking() if topic.kind == "internal" else topic.tracking or self.tracking
