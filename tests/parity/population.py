"""Small populations in which everything goes wrong at once, and expressions about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st

from engine.consent.addresses import address_hash
from engine.consent.model import ConsentRecord
from engine.delivery.model import COUNTED, Delivery
from engine.enrollment.facts import FactsSource
from engine.enrollment.model import Enrollment
from engine.profiles.model import Event, Profile, Value
from engine.project import Channel, Project, Segment, Topic
from engine.store import Unit
from tests.expressions.facts_of import NOON
from tests.expressions.strategies import SPRING
from tests.expressions.strategies import expressions as timely
from tests.storage import records

KEY = b"k" * 32
MICRO, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
#: Clocks go forward and back around these, in Madrid and on Lord Howe (by half an hour).
NOWS = [
    NOON,
    SPRING,
    datetime(2026, 10, 24, 23, 0, tzinfo=UTC),
    datetime(2026, 4, 4, 12, 0, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
]
ZONES = [None, "Europe/Madrid", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
_SPANS = [
    timedelta(0),
    HOUR,
    3 * HOUR,
    DAY,
    3 * DAY,
    3 * DAY + HOUR,
    7 * DAY,
    7 * DAY + HOUR,
    60 * DAY,
    61 * DAY + 2 * HOUR,
]

_NUMBERS: list[Value] = [
    0, 1, 2, 3, 5, -1, 2.5, 0.1, 0.2, 0.30000000000000004, 3.0, -0.0, 49.99, 9007199254740993, 10**40,
]  # fmt: skip
_NUMBERS += [1e300, 5e-324, -7.25, 1e-120, 333.33, 166.67]
_TEXTS: list[Value] = ["", "pro", "Pro", "PRO", "3", "2.5", "true", "null", "100%", "a_b", "50%_off", "\\", "'", '"']
_TEXTS += [
    "Zoë", "ZOË", "ß", "İstanbul", "東京", "\U0001f600 pro", "a\x00b", "\ud800", "e\u0301", "no", "profile", " pro ",
    "[]",
]  # fmt: skip
_MOMENTS: list[Value] = ["2026-03-30", "2026-03-29", "2026-02-30", "0000-01-01", "2026-03-29T01:30:00Z", "2026-3-2"]
_MOMENTS += ["2026-03-28T23:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-29 01:00:00.000001+01:00", "2026-10-25"]
_MOMENTS += [
    "2026-04-05T01:45+1030", "9999-12-31", "0001-01-01", "2026-03-01", "2025-12-28", "9999-12-28", "20260329T000000",
]  # fmt: skip
_OTHERS: list[Value] = [
    True,
    False,
    None,
    [],
    {},
    [1, "2026-03-28"],
    ["pro", "a_b", None],
    {"pro": 1},
    {"x": {"y": "pro"}},
]
_OTHERS += [[[]], [True, 1, "3"], [{"sku": "a_b"}], {"": 0}, {"x": None}, ["\u6771\u4eac", "2026-03-29"]]
VALUES = st.one_of(*(st.sampled_from(pool) for pool in (_NUMBERS, _TEXTS, _MOMENTS, _OTHERS)))

_ATTRIBUTES = ["n", "m", "t", "on", "at", "list", "b", "obj", "email", "locale"]
#: Names that an attribute may have and a path in SQL may not.
_ODD_NAMES = ["größe", 'a"b', "a.b", "$", "x'y", "from", "0"]
_SEGMENTS = {
    "fresh": 'did("A", within="3d")',
    "late": 'last("A") < now - hours(3) and not segment("fresh")',
    "odd": 'weekday(now) in [6, 7] or count("B", where="event.x == 3") > 0',
}


@dataclass(frozen=True, kw_only=True)
class Person:
    """A profile with its past."""

    profile: Profile
    events: list[Event] = field(default_factory=list)
    enrollments: list[Enrollment] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    consents: list[ConsentRecord] = field(default_factory=list)

    def save(self, unit: Unit) -> None:
        unit.profiles.save(self.profile)
        for event in self.events:
            unit.events.add(event)
        for enrollment in self.enrollments:
            unit.enrollments.save(enrollment)
        for delivery in self.deliveries:
            unit.deliveries.save(delivery)
        for record in self.consents:
            unit.consents.add(record)


def project_of(conditions: Mapping[str, str]) -> Project:
    """A project with these segments, and those that random expressions name."""
    return Project(
        name="parity",
        root=Path(),
        timezone="Europe/Madrid",
        locale="en",
        database="sqlite://",
        channels={
            "email": Channel(name="email", use="inbox", kind="email"),
            "sms": Channel(name="sms", use="inbox", kind="sms"),
            "chat": Channel(name="chat", use="inbox", kind="chat"),
        },
        topics={
            "news": Topic(name="news", title="News", double_opt_in=("email",)),
            "club": Topic(name="club", title="Club", basis="legitimate_interest"),
            "orders": Topic(name="orders", title="Orders", kind="transactional", basis="contract"),
        },
        segments={
            name: Segment(name=name, title=name, condition=text)
            for name, text in (_SEGMENTS | dict(conditions)).items()
        },
    )


def source_of(project: Project) -> FactsSource:
    return FactsSource(project=project, project_key=KEY)


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _objects(names: list[str], values: st.SearchStrategy[Value], most: int) -> st.SearchStrategy[dict[str, Value]]:
    return st.dictionaries(st.sampled_from(names), values, max_size=most)


#: At an edge of a window, or a microsecond to either side; some lie ahead.
OFFSETS = st.tuples(
    st.sampled_from([*_SPANS, -MICRO, -timedelta(minutes=3)]), st.sampled_from([-MICRO, timedelta(0), MICRO])
).map(lambda pair: -(pair[0] + pair[1]))
_PROPERTIES = _objects(["x", "x", "at", "t", "list", "größe"], VALUES, 3)
#: Histories whose sums come close to a threshold.
_SUMMED = st.lists(st.sampled_from([0.1, 0.2, 0.3, 1, 2, 0.7, 333.33, 166.67, 500, 499.99, 0.01]), max_size=6)


@st.composite
def people(draw: st.DrawFn, number: int, now: datetime) -> Person:
    """One person, as of `now`."""
    who = f"p{number:03}"
    texts = st.none() | st.sampled_from(["ann@shop.example", "Zoë", "pro", "", "2026-03-29"])
    profile = Profile(
        profile_id=who,
        external_id=draw(texts),
        email=draw(st.none() | st.just(f"{who}@shop.example")),
        phone=draw(st.none() | st.just(f"+3460000{number:04}")),
        chat=draw(st.sampled_from([{}, {"chat": "U1"}])),
        timezone=draw(st.sampled_from(ZONES)),
        locale=draw(st.sampled_from([None, "en", "es-MX"])),
        attributes=draw(_objects(_ATTRIBUTES, VALUES, 6)) | draw(_objects(_ODD_NAMES, VALUES, 1)),
        created_at=now,
        erased_at=draw(st.sampled_from([None] * 15 + [now])),
    )
    happened = draw(st.lists(st.tuples(OFFSETS, st.sampled_from(["A", "A", "B", "C"]), _PROPERTIES), max_size=6))
    happened += [(-DAY, "S", {"x": value}) for value in draw(_SUMMED)]
    return Person(
        profile=profile,
        events=[
            Event(
                event_id=f"v{index}-{who}",
                profile_id=who,
                name=name,
                timestamp=now + offset,
                received_at=now,
                properties=properties,
            )
            for index, (offset, name, properties) in enumerate(happened)
        ],
        enrollments=[
            records.enrollment(f"e{index}-{who}", profile_id=who, journey=journey, state=state, number=index)
            for index, (journey, state) in enumerate(
                draw(st.lists(st.tuples(st.sampled_from("jk"), st.sampled_from(["active", "ended"])), max_size=2))
            )
        ],
        deliveries=[
            records.delivery(
                f"d{index}-{who}",
                profile_id=who,
                journey="j",
                status=status,
                claimed_at=now + offset,
                sent_at=draw(st.none() | st.just(now + offset + MICRO)),
                is_test=is_test,
            )
            for index, (offset, status, is_test) in enumerate(
                draw(
                    st.lists(
                        st.tuples(
                            OFFSETS, st.sampled_from([*COUNTED, "failed"]), st.sampled_from([False, False, True])
                        ),
                        max_size=2,
                    )
                )
            )
        ],
        consents=[_consent(draw, index, profile, now) for index in range(draw(st.integers(0, 3)))],
    )


def _consent(draw: st.DrawFn, index: int, profile: Profile, now: datetime) -> ConsentRecord:
    channel = draw(st.sampled_from(["email", "sms"]))
    address = profile.address(channel, channel)
    at = now + draw(st.sampled_from([-3 * DAY, -2 * DAY, -HOUR, HOUR]))
    action = draw(st.sampled_from(["grant", "grant", "confirm", "withdraw", "object"]))
    return records.consent(
        f"k{index}-{profile.profile_id}",
        profile_id=profile.profile_id,
        action=action,
        channel=channel,
        topic=draw(st.sampled_from(["news", "club"])),
        address_hash=address_hash(KEY, channel, address) if address else None,
        occurred_at=at,
        received_at=at,
        wording="v1",
        expires_at=draw(st.none() | st.sampled_from([now, now + HOUR, now - HOUR])),
    )


# ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _text(value: Value) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(_escaped(char) for char in value) + '"'
    return repr(value)


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() and not "\ud800" <= char <= "\udfff" else f"\\u{ord(char):04x}"


_LITERALS = st.one_of(
    st.sampled_from([v for v in _NUMBERS if not (isinstance(v, int) and abs(v) >= 2**63) and str(v)[0] != "-"]),
    st.sampled_from(_TEXTS),
    st.sampled_from(_MOMENTS),
    st.sampled_from([True, False, None]),
).map(_text)
_SIGNS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
_READS = [f"profile.{name}" for name in _ATTRIBUTES] + [
    "profile.id",
    "profile.phone",
    "profile.timezone",
    "profile.nope",
]
_READS += [
    'profile["größe"]', "profile['a\"b']", 'profile["a.b"]', 'profile["from"]', "profile.obj.x", "profile.obj.x.y",
]  # fmt: skip
_READS += [
    "profile.list[0]", "profile.list[-1]", "profile.list[0].sku", "profile.obj[0]", "profile.email.x", 'profile["$"]',
]  # fmt: skip
_INNER = ["event.x", "event.at", "event.t", 'event["größe"]', "event.list[0]", "event.nope"]


def _questions(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Yes or no, about values of any type."""
    pair = st.tuples(values, st.one_of(_LITERALS, values))
    functions = st.sampled_from(["starts_with", "ends_with", "contains", "contains"])
    return st.one_of(
        st.tuples(values, _SIGNS, _LITERALS).map(" ".join),
        st.tuples(values, _SIGNS, _LITERALS).map(" ".join),
        st.tuples(values, _SIGNS, values).map(" ".join),
        st.tuples(values, st.sampled_from(["in", "not in"]), st.lists(st.one_of(_LITERALS, values), max_size=3)).map(
            lambda parts: f"{parts[0]} {parts[1]} [{', '.join(parts[2])}]"
        ),
        st.tuples(_LITERALS, st.sampled_from(["in", "not in"]), values).map(" ".join),
        st.tuples(functions, pair).map(lambda parts: f"{parts[0]}({parts[1][0]}, {parts[1][1]})"),
        values.map(lambda value: f'matches({value}, "^[Pp]ro$")'),
        values.map(lambda value: f"exists({value})"),
        values,
        st.tuples(values, _SIGNS, st.integers(-4, 40).map(lambda n: f"days({n})" if n >= 0 else f"-days({-n})")).map(
            lambda parts: f"now - {parts[0]} {parts[1]} {parts[2]}"
        ),
    )


def _changed(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    functions = st.sampled_from(["lower", "upper", "len", "date", "days_since", "days_until", "weekday", "hour"])
    return st.one_of(
        values,
        values,
        values,
        st.tuples(functions, values).map(lambda parts: f"{parts[0]}({parts[1]})"),
        st.tuples(values, _LITERALS).map(lambda parts: f"coalesce({parts[0]}, {parts[1]})"),
        values.map(lambda value: f"-{value}"),
        st.tuples(values, st.sampled_from(["+ days(2)", "- hours(3)", "+ 1", "* 2", "- profile.n"])).map(
            lambda parts: f"({parts[0]} {parts[1]})"
        ),
    )


@st.composite
def _aggregates(draw: st.DrawFn) -> str:
    function = draw(st.sampled_from(["count", "did", "sum", "min", "max", "avg", "distinct", "first", "last"]))
    event = draw(st.sampled_from(["A", "A", "B", "S", "nope"]))
    given = [f'"{event}"']
    if function not in ("count", "did", "first", "last"):
        given.append(draw(st.sampled_from(['"x"', '"x"', '"t"', '"größe"'])))
    if draw(st.integers(0, 2)) == 0:
        given.append(f'within="{draw(st.sampled_from(["1h", "3h", "1d", "3d", "3d1h", "7d", "7d1h", "61d2h"]))}"')
    if draw(st.integers(0, 4)) == 0:
        given.append(
            f"since={draw(st.sampled_from(['now - days(3)', 'now', 'profile.at', 'none', _text('2026-03-28')]))}"
        )
    if draw(st.integers(0, 3)) == 0:
        inner = draw(_questions(_changed(st.sampled_from(_INNER))))
        given.append(f"where={_text(inner)}")
    if draw(st.integers(0, 5)) == 0:
        given.append(f"x={draw(st.one_of(_LITERALS, st.sampled_from(['profile.n', 'none', 'event.x'])))}")
    return f"{function}({', '.join(given)})"


_THRESHOLDS = st.sampled_from(
    ["0", "1", "2", "3", "0.3", "0.6", "0.1", "500", "499.99", "500.0", "999.99", "none", '"3"']
)
_PAST = st.one_of(
    st.tuples(_aggregates(), _SIGNS, _THRESHOLDS).map(" ".join),
    st.tuples(_aggregates(), _SIGNS, _aggregates()).map(" ".join),
    _questions(_changed(_aggregates())),
    st.tuples(st.sampled_from(["sum", "avg", "min", "max"]), _SIGNS, _THRESHOLDS).map(
        lambda parts: f'{parts[0]}("S", "x") {parts[1]} {parts[2]}'
    ),
)
_ABOUT = st.sampled_from(
    [
        *(
            'consent("email", "news")',
            'consent("sms", "news")',
            'consent("email", "club")',
            'consent("chat", "orders")',
        ),
        *('consent("sms", "orders")', 'consent("fax", "news")', 'enrolled("j")', 'enrolled("none")', 'received("j")'),
        *(
            'received("j", within="3d")',
            'received("j", within="1h")',
            'segment("fresh")',
            'segment("late")',
            'segment("odd")',
        ),
        *('did("A") == true', 'enrolled("j") == segment("fresh")', 'enrolled("\\u0000")', 'did("\\ud800")'),
    ]
)


def expressions() -> st.SearchStrategy[str]:
    """Conditions of every kind, joined at random."""
    atoms = st.one_of(_questions(_changed(st.sampled_from(_READS))), _PAST, _ABOUT, timely())

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        joined = st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})")
        return st.one_of(joined, joined, inner.map(lambda text: f"not ({text})"))

    return st.recursive(atoms, grown, max_leaves=3)
