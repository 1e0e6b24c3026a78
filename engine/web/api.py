"""The JSON API besides intake: enrolling, profiles, consents, and what happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from engine.consent.model import ConsentRecord
from engine.enrollment.model import Enrollment
from engine.enrollment.resolving import Resolution
from engine.errors import BadInput, Conflict, NotFound
from engine.events.intake import plain_mapping
from engine.insight import activity, people, why
from engine.plan.model import ApiTrigger
from engine.profiles.model import Profile
from engine.store import Unit
from engine.web.access import Keys, Scope, offered_key
from engine.web.bodies import StrictRoute
from engine.web.problems import Refused

if TYPE_CHECKING:
    from engine.assembly import Engine


def _said(value: str) -> str:
    if value.isspace():
        raise ValueError("must be more than blanks")
    return value


Text = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_said)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Enroll(_Body):
    """Whom to enroll, and what the journey reads as `trigger`."""

    user_id: Text
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")


class Resolve(_Body):
    """What became of a message in doubt, and why somebody thinks so."""

    as_: Resolution = Field(alias="as")
    note: str | None = None


class Consent(_Body):
    """A grant, confirmation, withdrawal or objection, as reported by a system: it never lifts a person's withdrawal."""

    user_id: Text
    action: Literal["grant", "withdraw", "object"]
    channel: Text | None = None
    topic: Text | None = None
    occurred_at: AwareDatetime | None = None
    source: Text
    #: Version of the words that the person saw; a grant needs it.
    wording: Text | None = None
    basis: Literal["consent", "soft_opt_in"] = "consent"
    evidence: dict[str, Any] = Field(default_factory=dict)
    expires_at: AwareDatetime | None = None


def api_routes(engine: Engine, keys: Keys, on_intake: Callable[[], None]) -> APIRouter:
    """The routes under `/v1` that FastAPI describes in `/openapi.json`."""
    router = APIRouter(prefix="/v1", route_class=StrictRoute)
    store, clock = engine.store, engine.clock

    def scoped(*scopes: Scope) -> Any:
        def check(authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> str:
            record = keys.find(offered_key(authorization), clock())
            if record is None:
                raise Refused(
                    401, "unauthorized", "the API key is unknown or revoked", headers={"WWW-Authenticate": "Bearer"}
                )
            if not set(scopes) & set(record.scopes):
                raise Refused(403, "forbidden", f"this key needs one of the scopes {', '.join(scopes)}")
            return record.name

        return Depends(check)

    @router.post("/journeys/{name}/enroll", dependencies=[scoped("author")], tags=["journeys"])
    def enroll(name: str, body: Enroll) -> dict[str, Any]:
        """Enrolls a profile in a journey with an `api` trigger; the journey's entry rules decide."""
        now = clock()
        with store.transaction() as unit:
            answer = _enroll(engine, unit, name, body, now)
        on_intake()
        return answer

    @router.get("/profiles/{profile_id:path}", dependencies=[scoped("compliance")], tags=["profiles"])
    def profile(profile_id: str) -> dict[str, Any]:
        """Everything held about a person: by the shop's id, an address, or our own id."""
        with store.transaction() as unit:
            return people.export(unit, people.find(unit, engine.project_key, profile_id))

    @router.delete("/profiles/{profile_id:path}", dependencies=[scoped("compliance")], tags=["profiles"])
    def erase(profile_id: str) -> dict[str, Any]:
        """Erases a person: profile, evidence, bodies; running enrollments end, their addresses stay suppressed."""
        now = clock()
        with store.transaction() as unit:
            found = people.find(unit, engine.project_key, profile_id)
            engine.intake.erase(unit, engine.intake.current(unit, found.profile_id), now)
        on_intake()
        return {"profile_id": found.profile_id, "erased": True}

    @router.post("/consents", dependencies=[scoped("compliance")], tags=["consent"])
    def consent(body: Consent) -> dict[str, Any]:
        """Records a consent. A grant that lacks evidence, or that only the person may make, is refused (409).

        So is (400) a channel or topic that the project does not have: a no to it would stop nothing.
        """
        now = clock()
        _check_names(engine, body)
        with store.transaction() as unit:
            found = engine.intake.ensure(unit, "external", body.user_id, now)
            if found.erased_at is not None:
                raise Conflict("this person was erased")
            record = _record_consent(engine, unit, found, body, now)
        on_intake()
        return {"consent_id": record.consent_id}

    @router.get("/why", dependencies=[scoped("ops", "compliance")], tags=["insight"])
    def explain(profile: str, journey: str | None = None) -> dict[str, Any]:
        """What happened to a person, and why: entries, refusals, steps, decisions, deliveries, in time order."""
        with store.transaction() as unit:
            return why.as_json_document(why.story(unit, people.find(unit, engine.project_key, profile), journey))

    @router.get("/journeys", dependencies=[scoped("ops", "author")], tags=["journeys"])
    def journeys() -> list[dict[str, Any]]:
        """Deployed journeys with the number of their people."""
        with store.transaction() as unit:
            return [activity.journey_row(standing) for standing in activity.journeys(unit)]

    @router.get("/deliveries", dependencies=[scoped("ops")], tags=["insight"])
    def deliveries(
        profile: str | None = None,
        journey: str | None = None,
        channel: str | None = None,
        status: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """The newest deliveries, without their bodies and addresses."""
        with store.transaction() as unit:
            profile_id = None if profile is None else people.find(unit, engine.project_key, profile).profile_id
            found = activity.deliveries(
                unit, profile_id=profile_id, journey=journey, channel=channel, status=status, limit=limit
            )
            return [activity.delivery_row(delivery) for delivery in found]

    @router.post("/deliveries/{delivery_id}/resolve", tags=["deliveries"])
    def resolve(delivery_id: str, body: Resolve, actor: str = scoped("ops")) -> dict[str, Any]:
        """Resolves a delivery in doubt: it went, it did not, or it is to be handed over once more. May be repeated.

        `resend` is decided anew (409 where it may not go now), and stays in doubt where the provider does not take it.
        """
        resolved = engine.resolver.resolve(delivery_id, body.as_, clock(), actor=f"key:{actor}", note=body.note)
        on_intake()
        return {**activity.delivery_row(resolved.delivery), "changed": resolved.is_changed}

    @router.get("/enrollments", dependencies=[scoped("ops")], tags=["insight"])
    def enrollments(
        profile: str | None = None,
        journey: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """The newest enrollments, and where each stands."""
        with store.transaction() as unit:
            profile_id = None if profile is None else people.find(unit, engine.project_key, profile).profile_id
            found = unit.enrollments.of(profile_id=profile_id, journey=journey, limit=limit)
            return [activity.enrollment_row(enrollment) for enrollment in found]

    return router


def _enroll(engine: Engine, unit: Unit, name: str, body: Enroll, now: datetime) -> dict[str, Any]:
    plan = engine.plans.current.get(name)
    if plan is None:
        raise NotFound(f"no journey `{name}` in this project")
    if not any(isinstance(trigger, ApiTrigger) for trigger in plan.triggers):
        raise Conflict(f"journey `{name}` has no trigger `api: true`")
    values = plain_mapping("with", body.with_)
    profile = engine.intake.ensure(unit, "external", body.user_id, now)
    if profile.erased_at is not None:
        raise Conflict("this person was erased")
    came = engine.entries.call_in(unit, plan, profile, values, now)
    if came is None:
        return {"enrolled": False, "reason": "not_triggered", "enrollment_id": None}
    if isinstance(came, Enrollment):
        return {"enrolled": True, "reason": None, "enrollment_id": came.enrollment_id}
    return {"enrolled": False, "reason": came.reason, "enrollment_id": None}


def _check_names(engine: Engine, body: Consent) -> None:
    """The ledger takes any name, as of a channel that was; one that is mistyped would stop nothing."""
    known = {"channel": engine.project.channels, "topic": engine.project.topics}
    for field, given in (("channel", body.channel), ("topic", body.topic)):
        if given is not None and given not in known[field]:
            raise BadInput(f"`{field}` is none of the project's: {' '.join(sorted(known[field]))}")


def _record_consent(engine: Engine, unit: Unit, profile: Profile, body: Consent, now: datetime) -> ConsentRecord:
    occurred_at = body.occurred_at or now
    evidence = plain_mapping("evidence", body.evidence)
    match body.action:
        case "grant":
            if body.channel is None or body.topic is None:
                raise BadInput("a grant names its channel and its topic")
            return engine.ledger.grant(
                unit,
                profile=profile,
                channel=body.channel,
                topic=body.topic,
                occurred_at=occurred_at,
                now=now,
                actor="api",
                source=body.source,
                wording=body.wording,
                basis=body.basis,
                evidence=evidence,
                expires_at=body.expires_at,
            )
        case "withdraw":
            return engine.ledger.withdraw(
                unit,
                profile=profile,
                channel=body.channel,
                topic=body.topic,
                occurred_at=occurred_at,
                now=now,
                actor="api",
                source=body.source,
                evidence=evidence,
            )
        case "object":
            return engine.ledger.object(
                unit,
                profile=profile,
                channel=body.channel,
                topic=body.topic,
                occurred_at=occurred_at,
                now=now,
                actor="api",
                source=body.source,
                evidence=evidence,
            )
