"""Which adapter stands which case of the contract suite, read off the suites themselves, shown in docs/channels.md."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from channels.catalog import adapter_rows
from channels.registry import known_adapters
from channels.testing import contract
from channels.testing.contract import AdapterContract
from tests.channels.pages import hold

#: The contract's tests by case: the column of the matrix, and what it means.
CASES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "taken": (
        "a message is taken, and the provider's id comes back",
        ("test_a_message_taken_gives_a_result", "test_the_providers_id_comes_back"),
    ),
    "4xx": (
        "each published refusal has its meaning, an unknown one is never a success",
        (
            "test_a_refusal_is_permanent",
            "test_each_published_refusal_has_its_meaning",
            "test_an_unknown_refusal_is_permanent_or_the_accounts",
            "test_credentials_refused_are_our_configuration",
        ),
    ),
    "429": (
        "too fast is transient, and `Retry-After` is honoured",
        ("test_too_fast_is_transient_and_the_providers_wait_is_honoured",),
    ),
    "5xx": (
        "a provider that is down is transient",
        ("test_a_provider_that_is_down_is_transient", "test_every_5xx_is_transient"),
    ),
    "time-out": (
        "unreachable is transient; no answer is doubtful",
        (
            "test_no_answer_is_doubtful",
            "test_a_provider_out_of_reach_is_transient",
            "test_a_connection_cut_after_the_request_is_doubtful",
            "test_a_gateway_that_got_no_answer_either_leaves_the_message_in_doubt",
        ),
    ),
    "broken": (
        "a yes that cannot be read is no success",
        ("test_an_answer_that_cannot_be_read_is_no_success_unless_the_status_alone_says_so",),
    ),
    "redirect": (
        "no redirect is followed, and nothing goes over plain HTTP to another machine",
        ("test_a_redirect_is_not_followed", "test_secrets_do_not_go_over_plain_http_to_another_machine"),
    ),
    "secret": (
        "no secret, address or text in a `repr`, an error or a log",
        ("test_its_repr_shows_no_secret", "test_no_secret_address_or_text_gets_into_an_error_or_a_log"),
    ),
    "settings": (
        "every wrong setting is named, no value shown; what it cannot carry is unsupported",
        (
            "test_its_settings_pass",
            "test_an_unknown_setting_is_named_and_its_value_is_not",
            "test_each_missing_or_unusable_setting_is_named_and_no_value_is_shown",
            "test_unusable_settings_open_nothing",
            "test_a_message_of_another_kind_is_unsupported",
            "test_an_address_that_could_smuggle_a_line_is_refused_for_good",
            "test_attachments_are_unsupported_where_it_says_so",
            "test_a_text_that_cannot_be_encoded_is_unsupported_and_not_in_doubt",
            "test_a_webhook_without_signature_is_refused",
            "test_a_webhook_too_large_or_compressed_is_refused",
        ),
    ),
    "read": (
        "its reports are read; an unknown word is kept as `unknown`, an unreadable body refused",
        (
            "test_it_says_that_it_has_receipts",
            "test_genuine_reports_are_verified_and_read",
            "test_an_unknown_word_is_kept_as_unknown_with_all_that_came",
            "test_a_body_that_cannot_be_read_is_refused_though_signed",
        ),
    ),
    "forged": (
        "a report of somebody else is refused",
        ("test_a_report_signed_with_another_secret_is_refused", "test_empty_or_foreign_signatures_are_refused"),
    ),
    "tampered": (
        "a report changed after it was signed is refused",
        ("test_a_report_changed_after_signing_is_refused",),
    ),
    "stale": (
        "a report of another hour is refused",
        ("test_stale_and_future_reports_are_refused_and_near_ones_are_not",),
    ),
    "replayed": (
        "a repeat has the same id, and changes nothing",
        ("test_a_replayed_report_has_the_same_ids_and_another_report_has_others",),
    ),
}

_NO_RECEIPTS = ("read", "forged", "tampered", "stale", "replayed")
#: What an adapter cannot do, and why.
CANNOT: Mapping[str, Mapping[tuple[str, ...], str]] = {
    "brevo": {("tampered", "stale"): "signs neither its reports nor their time: a token proves who calls"},
    "discord": {_NO_RECEIPTS: "reports nothing about messages by webhook"},
    "inbox": {
        ("taken", "4xx", "429", "5xx", "time-out", "broken", "redirect"): "is a folder on this machine",
        _NO_RECEIPTS: "nobody reports",
    },
    "mailgun": {("tampered",): "signs a time and a token, not the report: so a token counts once"},
    "plivo": {("stale",): "signs no time: a repeat is known by its id"},
    "postmark": {("tampered", "stale"): "signs neither its reports nor their time: a password proves who calls"},
    "sendgrid": {("broken",): "says yes by the status alone"},
    "smtp": {
        ("429", "broken", "redirect"): "is no HTTP: its own tests hold the dialogue instead",
        _NO_RECEIPTS: "bounces come as mails to the return path, which nobody reads here",
    },
    "teams": {("broken",): "says yes by the status alone", _NO_RECEIPTS: "reports nothing"},
    "telegram": {("tampered", "stale"): "signs neither its updates nor their time: a token proves who calls"},
    "twilio": {("stale",): "signs no time: a repeat is known by its id"},
    "whatsapp": {("stale",): "signs no time: a repeat is known by its id"},
    "webhook": {("broken",): "any body will do: the status says yes"},
}


@cache
def suites() -> Mapping[str, tuple[type[AdapterContract], ...]]:
    """The suites that run each of our adapters, by its name."""
    found: dict[str, dict[str, type[AdapterContract]]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.stem == Path(__file__).stem:
            continue
        module = importlib.import_module(f"tests.channels.{path.stem}")
        for name, value in vars(module).items():
            if name.startswith("Test") and isinstance(value, type) and issubclass(value, AdapterContract):
                adapter: Any = value.adapter
                if known_adapters().get(adapter.name) is adapter:
                    found.setdefault(adapter.name, {})[name] = value
    return {name: tuple(rows.values()) for name, rows in found.items()}


def stands(adapter: str, tests: tuple[str, ...]) -> bool:
    """Whether any of the adapter's suites runs all of these tests (those of HTTP where it speaks it), to some end."""
    return any(_runs(suite, tests) for suite in suites()[adapter])


def _runs(suite: Any, tests: tuple[str, ...]) -> bool:
    if "test_an_answer_that_cannot_be_read_is_no_success_unless_the_status_alone_says_so" in tests:
        # Where the yes has no body, or none that matters, the test has nothing to break.
        exhibit = getattr(suite, "exhibit", None)
        return exhibit is not None and bool(exhibit.accepted.body) and hasattr(suite, tests[0])
    return any(hasattr(suite, test) for test in tests)


def cannot(adapter: str) -> dict[str, str]:
    """The cases that an adapter cannot stand, each with its reason."""
    return {case: why for cases, why in CANNOT.get(adapter, {}).items() for case in cases}


def names() -> list[str]:
    return [row.name for row in adapter_rows() if row.package == "sojourn"]


def test_every_adapter_has_a_suite() -> None:
    assert sorted(suites()) == sorted(names())


def test_every_test_of_the_contract_is_in_the_matrix_once() -> None:
    defined = {
        test
        for value in vars(contract).values()
        if isinstance(value, type) and issubclass(value, AdapterContract)
        for test in vars(value)
        if test.startswith("test_")
    }
    listed = [test for _, tests in CASES.values() for test in tests]
    assert sorted(listed) == sorted(defined)


@pytest.mark.parametrize("adapter", names())
def test_what_an_adapter_does_not_stand_has_a_reason_and_the_reasons_are_true(adapter: str) -> None:
    missing = {case for case, (_, tests) in CASES.items() if not stands(adapter, tests)}
    assert missing == set(cannot(adapter))


def test_the_matrix_in_the_documentation_is_current() -> None:
    hold("cases", matrix())


def matrix() -> str:
    lines = ["| `use:` | " + " | ".join(CASES) + " |", "| --- |" + " --- |" * len(CASES)]
    for adapter in names():
        lacks = cannot(adapter)
        lines.append(f"| `{adapter}` | " + " | ".join("–" if case in lacks else "yes" for case in CASES) + " |")
    lines += ["", "What the cases prove:", ""]
    lines += [f"- **{case}**: {meaning}." for case, (meaning, _) in CASES.items()]
    lines += ["", "What is not there, and why:", ""]
    for adapter in names():
        for cases, why in CANNOT.get(adapter, {}).items():
            lines.append(f"- `{adapter}` {', '.join(cases)}: {why}.")
    return "\n".join(lines)
