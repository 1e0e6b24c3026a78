"""The preference page behind `/p/TOKEN`: what a person gets, by topic and channel; stop all; what we hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.consent.addresses import address_hash
from engine.consent.decide import decide_consent
from engine.profiles.model import Profile
from engine.project import Channel, Topic
from engine.store import LinkRecord, Unit
from engine.web.bodies import CALL_BYTES, read_raw
from engine.web.links import MEDIA, Gone, Links, expired, not_found, not_understood
from engine.web.pages import Markup, html, join, page
from engine.web.problems import Refused

if TYPE_CHECKING:
    from engine.assembly import Engine

#: Version of the words on this page: part of the evidence of a grant made here.
WORDING = "preferences-page-1"
_SOURCE = "preferences"
_FIELDS_AT_MOST = 400

#: A topic on a channel, as a person can switch it.
Choice = tuple[Topic, Channel]


class Preferences:
    """Shows and takes choices. The token in the address is the credential; only its POST changes anything."""

    def __init__(self, engine: Engine, links: Links, on_intake: Callable[[], None]) -> None:
        self._engine = engine
        self._links = links
        self._on_intake = on_intake

    def routes(self) -> list[Route]:
        return [Route("/p/{token}", self._preferences, methods=["GET", "POST"])]

    async def _preferences(self, request: Request) -> Response:
        token = request.path_params["token"]
        try:
            if request.method != "POST":
                return await run_in_threadpool(self._show, token)
            try:
                fields = parse_qsl(
                    (await read_raw(request, CALL_BYTES)).decode(), max_num_fields=_FIELDS_AT_MOST, strict_parsing=True
                )
            except (Refused, ValueError):
                return not_understood(400)
            return await run_in_threadpool(self._take, token, fields)
        except Gone:
            return expired()

    def _show(self, token: str, note: str | None = None) -> Response:
        with self._engine.store.transaction() as unit:
            link = self._links.find(unit, "preferences", token)
            profile = self._links.person(unit, link) if link else None
            if profile is None:
                return not_found()
            choices = self._choices(profile)
            allowed = self._allowed(unit, profile, choices)
            held = self._held(unit, profile)
        return page(
            "Your preferences",
            html(
                '<div class="narrow"><h1>What may we send you?</h1>{note}'
                '<form method="post" class="card">{topics}'
                '<div class="actions"><button type="submit" name="do" value="save">Save</button>'
                '<button type="submit" name="do" value="stop" class="plain">Stop all</button></div></form>'
                "<h2>What we hold about you</h2>{held}</div>",
                note=html('<p class="done" role="status">{note}</p>', note=note) if note else None,
                topics=_fieldsets(choices, allowed) or Markup('<p class="soft">We have no address of yours.</p>'),
                held=held,
            ),
        )

    def _take(self, token: str, fields: Sequence[tuple[str, str]]) -> Response:
        doing = {value for name, value in fields if name == "do"}
        if doing not in ({"save"}, {"stop"}):
            return not_understood(400)
        with self._engine.store.transaction() as unit:
            link = self._links.find(unit, "preferences", token)
            profile = self._links.person(unit, link) if link else None
            if profile is None or link is None:
                return not_found()
            if doing == {"stop"}:
                self._withdraw(unit, profile, None, None)
            else:
                wanted = {value for name, value in fields if name == "want"}
                self._save(unit, profile, link, wanted)
        self._on_intake()
        note = "You will get no more marketing messages." if doing == {"stop"} else "Your choice is saved."
        return self._show(token, note)

    def _save(self, unit: Unit, profile: Profile, link: LinkRecord, wanted: set[str]) -> None:
        now = self._engine.clock()
        choices = self._choices(profile)
        for choice, was_allowed in zip(choices, self._allowed(unit, profile, choices), strict=True):
            topic, channel = choice
            if _name(choice) not in wanted:
                if was_allowed:
                    self._withdraw(unit, profile, channel.name, topic.name)
            elif not was_allowed:
                self._engine.ledger.grant(
                    unit,
                    profile=profile,
                    channel=channel.name,
                    topic=topic.name,
                    occurred_at=now,
                    now=now,
                    actor="person",
                    source=_SOURCE,
                    wording=WORDING,
                    evidence={"link": link.token_hash[:16]},
                )

    def _withdraw(self, unit: Unit, profile: Profile, channel: str | None, topic: str | None) -> None:
        now = self._engine.clock()
        self._engine.ledger.withdraw(
            unit,
            profile=profile,
            channel=channel,
            topic=topic,
            occurred_at=now,
            now=now,
            actor="person",
            source=_SOURCE,
        )

    def _choices(self, profile: Profile) -> list[Choice]:
        """Marketing topics on the channels on which this person can be reached; backups have no choice of their own."""
        backups = {channel.backup for channel in self._engine.project.channels.values()}
        return [
            (topic, channel)
            for topic in self._engine.project.topics.values()
            if topic.kind == "marketing"
            for channel in self._engine.project.channels.values()
            if channel.name not in backups
            and (not topic.channels or channel.name in topic.channels)
            and profile.address(channel.name, channel.kind)
        ]

    def _allowed(self, unit: Unit, profile: Profile, choices: Sequence[Choice]) -> list[bool]:
        records = unit.consents.of(profile.profile_id)
        allowed = []
        for topic, channel in choices:
            address = profile.address(channel.name, channel.kind) or ""
            hashed = address_hash(self._engine.project_key, channel.kind, address)
            allowed.append(decide_consent(topic, channel.name, hashed, records, self._engine.clock()).is_allowed)
        return allowed

    def _held(self, unit: Unit, profile: Profile) -> Markup:
        rows: list[tuple[str, object]] = []
        if profile.email:
            rows.append(("Email", masked(profile.email)))
        if profile.phone:
            rows.append(("Phone", masked(profile.phone)))
        rows += [(f"Handle in {channel}", masked(handle)) for channel, handle in profile.chat.items()]
        if profile.attributes:
            rows.append(("Attributes", ", ".join(sorted(profile.attributes))))
        rows.append(("Events", len(unit.events.of(profile.profile_id))))
        rows.append(("Messages", len(unit.deliveries.of(profile_id=profile.profile_id))))
        rows.append(("Consents recorded", len(unit.consents.of(profile.profile_id))))
        return html(
            "<dl>{rows}</dl>", rows=join(html("<dt>{name}</dt><dd>{value}</dd>", name=n, value=v) for n, v in rows)
        )


def masked(address: str) -> str:
    """An address that its owner recognises and a stranger cannot use: `a•••@e•••.com`, `+346•••22`."""
    name, at, host = address.partition("@")
    if not at:
        return f"{address[:4]}•••{address[-2:]}" if len(address) > 8 else f"{address[:1]}•••"
    label, _, rest = host.partition(".")
    return f"{name[:1]}•••@{label[:1]}•••.{rest}"


def _name(choice: Choice) -> str:
    topic, channel = choice
    return f"{topic.name}|{channel.name}"


def _fieldsets(choices: Sequence[Choice], allowed: Sequence[bool]) -> Markup:
    by_topic: dict[str, list[Markup]] = {}
    titles = {topic.name: topic.title for topic, _ in choices}
    for (topic, channel), is_on in zip(choices, allowed, strict=True):
        by_topic.setdefault(topic.name, []).append(
            html(
                '<label><input type="checkbox" name="want" value="{value}"{checked}> {words}</label>',
                value=_name((topic, channel)),
                checked=Markup(" checked") if is_on else None,
                words=MEDIA[channel.kind],
            )
        )
    return join(
        html("<fieldset><legend>{title}</legend>{boxes}</fieldset>", title=titles[name], boxes=join(boxes))
        for name, boxes in by_topic.items()
    )
