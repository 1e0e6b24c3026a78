"""What a provider's words mean, written down a second time: a slip in an adapter's table changes who is written to.

Read off the providers' published lists, by meaning and not by word. A line is an adapter, one of its tables, what the
words mean, and the words; `nothing` changes nothing for us, and `hard` says that the address is dead for good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from channels.registry import known_adapters

PUBLISHED = """
brevo ERRORS config: unauthorized, permission_denied, reseller_permission_denied, account_under_validation
brevo ERRORS config: not_enough_credits, invalid_parameter:sender
brevo ERRORS transient: too_many_requests
brevo ERRORS invalid_address: invalid_parameter:to
brevo EVENTS nothing: request, list_addition, proxy_open, unique_proxy_open
brevo EVENTS delivered: delivered
brevo EVENTS deferred: deferred
brevo EVENTS bounced: hard_bounce, invalid_email, soft_bounce
brevo EVENTS failed: blocked, error
brevo EVENTS complained: spam, complaint
brevo EVENTS opened: opened, unique_opened
brevo EVENTS clicked: click
brevo EVENTS unsubscribed: unsubscribe, unsubscribed
brevo HARD hard: hard_bounce, invalid_email
discord ERRORS rejected: 10003, 50008, 50024, 50035, 200000
discord ERRORS invalid_address: 10013, 50007, 50033
discord ERRORS busy: 20016, 20028
discord ERRORS transient: 20022, 40003, 130000
discord ERRORS config: 20026, 40001, 40002
discord ERRORS not_allowed: 50001, 50013, 50278
discord ERRORS unsupported: 50006
discord ERRORS too_large: 50045
mailgun ERRORS invalid_address: to
mailgun ERRORS config: from
mailgun EVENTS nothing: accepted, stored
mailgun EVENTS delivered: delivered
mailgun EVENTS failed: rejected
mailgun EVENTS opened: opened
mailgun EVENTS clicked: clicked
mailgun EVENTS complained: complained
mailgun EVENTS unsubscribed: unsubscribed
mailgun FAILURES hard bounced: bounce, suppress-bounce
mailgun FAILURES complained: suppress-complaint
mailgun FAILURES unsubscribed: suppress-unsubscribe
plivo STATUSES nothing: queued, sent
plivo STATUSES delivered: delivered
plivo STATUSES opened: read
plivo STATUSES failed: undelivered, failed, rejected
plivo LATE hard bounced: 50, 70
plivo LATE soft bounced: 80
plivo LATE unsubscribed: 200
postmark ERRORS config: 10, 300:from, 400, 401, 405, 412, 413, 1226, 1235, 1236
postmark ERRORS transient: 100
postmark ERRORS rejected: 300, 403
postmark ERRORS invalid_address: 300:to, 406
postmark ERRORS not_allowed: 411
postmark RECORDS delivered: Delivery
postmark RECORDS opened: Open
postmark RECORDS clicked: Click
postmark RECORDS complained: SpamComplaint
postmark BOUNCES hard bounced: HardBounce, BadEmailAddress
postmark BOUNCES soft bounced: SoftBounce, Blocked, SpamNotification, Unknown
postmark BOUNCES deferred: Transient, DnsError
postmark BOUNCES complained: SpamComplaint
postmark BOUNCES unsubscribed: Unsubscribe
postmark BOUNCES failed: ManuallyDeactivated, Unconfirmed, DMARCPolicy, VirusNotification, SMTPApiError
postmark BOUNCES failed: TemplateRenderingFailed
postmark BOUNCES nothing: AutoResponder, AddressChange, ChallengeVerification, OpenRelayTest, Subscribe
resend ERRORS invalid_address: validation_error:to, invalid_to_address
resend ERRORS config: validation_error:from, invalid_from_address, missing_api_key, restricted_api_key
resend ERRORS config: invalid_api_key, invalid_region
resend ERRORS transient: rate_limit_exceeded, daily_quota_exceeded, monthly_quota_exceeded
resend ERRORS transient: concurrent_idempotent_requests, application_error, internal_server_error
resend ERRORS doubtful: invalid_idempotent_request
resend EVENTS nothing: email.sent, email.scheduled
resend EVENTS delivered: email.delivered
resend EVENTS deferred: email.delivery_delayed
resend EVENTS bounced: email.bounced, email.suppressed
resend EVENTS complained: email.complained
resend EVENTS opened: email.opened
resend EVENTS clicked: email.clicked
resend EVENTS failed: email.failed
resend SUPPRESSED hard bounced: previous_bounce
resend SUPPRESSED complained: previous_complaint
sendgrid ERRORS invalid_address: personalizations.0.to, personalizations.0.to.0, personalizations.0.to.0.email
sendgrid ERRORS config: from, from.email, from.name, authorization
sendgrid EVENTS nothing: processed, group_resubscribe
sendgrid EVENTS deferred: deferred
sendgrid EVENTS delivered: delivered
sendgrid EVENTS bounced: bounce
sendgrid EVENTS failed: dropped
sendgrid EVENTS opened: open
sendgrid EVENTS clicked: click
sendgrid EVENTS complained: spamreport
sendgrid EVENTS unsubscribed: unsubscribe, group_unsubscribe
sendgrid DROPS hard bounced: bounced address, invalid
sendgrid DROPS complained: spam reporting address
sendgrid DROPS unsubscribed: unsubscribed address
ses ERRORS transient: TooManyRequestsException, ThrottlingException, Throttling, LimitExceededException
ses ERRORS config: AccountSuspendedException, SendingPausedException, MailFromDomainNotVerifiedException
ses ERRORS config: NotFoundException, MessageRejected:NotVerified, AccessDeniedException, ExpiredTokenException
ses ERRORS config: IncompleteSignature, InvalidClientTokenId, InvalidSignatureException, SignatureDoesNotMatch
ses ERRORS config: UnrecognizedClientException
ses ERRORS rejected: MessageRejected, BadRequestException
ses EVENTS nothing: Send, AmazonSnsSubscriptionSucceeded
ses EVENTS delivered: Delivery
ses EVENTS deferred: DeliveryDelay
ses EVENTS bounced: Bounce
ses EVENTS complained: Complaint
ses EVENTS failed: Reject, Rendering Failure
ses EVENTS opened: Open
ses EVENTS clicked: Click
sinch ERRORS rejected: syntax_invalid_json, syntax_invalid_parameter_format, syntax_constraint_violation
sinch ERRORS config: unauthorized, missing_callback_url, unknown_campaign
sinch STATUSES nothing: queued, dispatched
sinch STATUSES delivered: delivered
sinch STATUSES failed: aborted, cancelled, rejected, deleted, failed, expired
sinch STATUSES unknown: unknown
sinch LATE hard bounced: 1
sinch LATE soft bounced: 5, 9, 27, 28, 402
slack ERRORS transient: ratelimited, rate_limited, message_limit_exceeded, internal_error, service_unavailable
slack ERRORS transient: request_timeout, team_added_to_org
slack ERRORS doubtful: fatal_error
slack ERRORS config: invalid_auth, not_authed, token_revoked, token_expired, account_inactive, missing_scope
slack ERRORS config: no_permission, org_login_required, ekm_access_denied, access_denied, not_allowed_token_type
slack ERRORS config: two_factor_setup_required, team_access_not_granted
slack ERRORS invalid_address: user_not_found, user_disabled
slack ERRORS rejected: channel_not_found, is_archived, invalid_arguments, invalid_form_data
slack ERRORS not_allowed: not_in_channel, restricted_action, cannot_dm_bot, messages_tab_disabled
slack ERRORS unsupported: msg_too_long, msg_blocks_too_long, no_text, invalid_blocks, invalid_blocks_format
slack ERRORS unsupported: too_many_attachments
smtp MEANINGS invalid_address: 5.1.1, 5.1.2, 5.1.3, 5.1.6, 5.1.10
smtp MEANINGS too_large: 5.2.3, 5.3.4
smtp MEANINGS busy: 4.1, 4.2
smtp MEANINGS config: 5.7
sns ERRORS invalid_address: InvalidParameter:PhoneNumber
sns ERRORS opted_out: InvalidParameter:OptedOut, OptedOut
sns ERRORS config: InvalidParameter:Sender, AccessDenied, AuthorizationError, ExpiredToken, IncompleteSignature
sns ERRORS config: InvalidAction, InvalidClientTokenId, InvalidSecurity, MissingAuthenticationToken, OptInRequired
sns ERRORS config: RequestExpired, SignatureDoesNotMatch
sns ERRORS unsupported: InvalidParameter:TooLong
sns ERRORS rejected: InvalidParameter, InvalidParameterValue, ParameterValueInvalid
sns ERRORS transient: Throttled, Throttling, ThrottlingException, InternalError, InternalFailure, ServiceUnavailable
sns ERRORS unserved: UserError
sns PARAMETERS OptedOut: opted out
sns PARAMETERS TooLong: message too long
sns PARAMETERS Sender: senderid, originationnumber
sns PARAMETERS PhoneNumber: phonenumber, phone number
teams ERRORS config: DirectApiAuthorizationRequired, DirectApiInvalidAuthorizationScheme, AuthorizationFailed
teams ERRORS config: WorkflowNotFound, WorkflowTriggerNotFound, WorkflowTriggerIsNotEnabled, WorkflowDisabled
teams ERRORS unsupported: TriggerInputSchemaMismatch, InvalidRequestContent
teams ERRORS too_large: RequestEntityTooLarge
teams ERRORS transient: TooManyRequests, WorkflowOperationsThrottled
telegram ERRORS opted_out: blocked
telegram ERRORS invalid_address: deactivated, a_bot, no_address
telegram ERRORS not_allowed: not_begun, kicked, 403
telegram ERRORS unsupported: too_long, no_text, button
telegram ERRORS rejected: 400
telegram ERRORS config: 409
telegram SENTENCES blocked: forbidden: bot was blocked by the user
telegram SENTENCES deactivated: forbidden: user is deactivated
telegram SENTENCES not_begun: forbidden: bot can't initiate conversation with a user
telegram SENTENCES a_bot: forbidden: bot can't send messages to bots
telegram SENTENCES kicked: forbidden: bot was kicked from the group chat
telegram SENTENCES kicked: forbidden: bot was kicked from the supergroup chat
telegram SENTENCES kicked: forbidden: bot was kicked from the channel chat
telegram SENTENCES too_long: bad request: message is too long
telegram SENTENCES no_text: bad request: message text is empty, bad request: text must be non-empty
telegram SENTENCES no_address: bad request: chat_id is empty, bad request: peer_id_invalid
telegram SENTENCES button: bad request: button_url_invalid
telegram MEMBERSHIPS unsubscribed: kicked
telegram MEMBERSHIPS nothing: member, left
telnyx ERRORS invalid_address: 10001, 10002, 10016, 40001, 40012, 40310
telnyx ERRORS config: 10003, 10005, 10006, 10009, 10010, 20002, 20006, 20012, 20014, 20100, 40010, 40013, 40100
telnyx ERRORS config: 40305, 40306, 40307, 40312, 40313, 40314, 40315, 40321, 40325, 40329, 40330, 40331, 40333
telnyx ERRORS transient: 10007, 10011, 40011, 40318, 40320
telnyx ERRORS busy: 40002, 40004, 40005, 40006
telnyx ERRORS not_allowed: 40003
telnyx ERRORS rejected: 40009, 40301, 40319, 40322
telnyx ERRORS opted_out: 40300
telnyx ERRORS unsupported: 40302, 40316, 40328
telnyx ERRORS unserved: 40309
telnyx STATUSES nothing: queued, sending, sent, delivery_unconfirmed
telnyx STATUSES delivered: delivered
telnyx STATUSES failed: sending_failed, delivery_failed, expired
telnyx LATE hard bounced: 40001, 40012
telnyx LATE soft bounced: 40004, 40006, 40008
telnyx LATE unsubscribed: 40300
twilio ERRORS config: 20003, 20404, 21601, 21603, 21606, 21607, 21609, 21660, 21661, 21705, 21212
twilio ERRORS transient: 20429, 21611, 63018
twilio ERRORS invalid_address: 21211, 21614, 21635
twilio ERRORS unserved: 21408, 21608
twilio ERRORS unsupported: 21602, 21617
twilio ERRORS opted_out: 21610
twilio ERRORS rejected: 21612
twilio ERRORS forbidden: 21659
twilio ERRORS not_allowed: 63016
twilio STATUSES nothing: accepted, scheduled, queued, sending, sent, receiving
twilio STATUSES delivered: delivered
twilio STATUSES opened: read
twilio STATUSES failed: failed, canceled, undelivered
twilio STATUSES replied: received
twilio LATE unsubscribed: 21610
twilio LATE soft bounced: 30003, 30004
twilio LATE hard bounced: 30005, 30006
vonage ERRORS transient: 1, 5, 10
vonage ERRORS rejected: 2, 3, 6, 15, 22
vonage ERRORS config: 4, 8, 9, 11, 14, 23, 32
vonage ERRORS opted_out: 7
vonage ERRORS unsupported: 12
vonage ERRORS unserved: 29
vonage ERRORS invalid_address: 33
vonage STATUSES nothing: accepted
vonage STATUSES deferred: buffered
vonage STATUSES delivered: delivered
vonage STATUSES failed: expired, failed, rejected
vonage STATUSES unknown: unknown
vonage LATE soft bounced: 1, 2, 3, 5, 10
vonage LATE hard bounced: 9
whatsapp ERRORS config: 0, 3, 10, 33, 190, 368, 131005, 131031, 131037, 131042, 131045, 131048, 133010
whatsapp ERRORS transient: 2, 4, 80007, 130429, 131000, 131016, 131057, 133004
whatsapp ERRORS rejected: 100, 131008, 131009, 131021, 131026, 132000, 132001, 132005, 132007, 132012, 132015, 132016
whatsapp ERRORS rejected: 135000
whatsapp ERRORS not_allowed: 130472, 131047, 131049
whatsapp ERRORS opted_out: 131050
whatsapp ERRORS unsupported: 131051
whatsapp ERRORS busy: 131056
whatsapp STATUSES nothing: accepted, sent, held_for_quality_assessment
whatsapp STATUSES delivered: delivered
whatsapp STATUSES opened: read, played
whatsapp STATUSES failed: failed
whatsapp LATE bounced: 131026
whatsapp LATE unsubscribed: 131050
whatsapp CHOICES unsubscribed: stop
"""
#: Tables that say where something stands, or how it is asked for, and not what it means.
OTHERS = {"PARTS", "WORDS", "TAKEN_BEFORE"}
#: They speak our own words.
OURS = {"webhook", "inbox"}


def published() -> Mapping[tuple[str, str], Mapping[str, str]]:
    tables: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for line in PUBLISHED.strip().splitlines():
        about, _, words = line.partition(": ")
        adapter, table, meaning = about.split(" ", 2)
        for word in words.split(", "):
            assert word not in tables[adapter, table], f"{adapter} {table} names `{word}` twice"
            tables[adapter, table][word] = meaning
    return tables


def held() -> Mapping[tuple[str, str], Mapping[str, str]]:
    """The adapters' own tables, in the same words."""
    return {
        (name, table): _meanings(getattr(adapter, table))
        for name, adapter in known_adapters().items()
        if adapter.__module__.startswith("channels.") and name not in OURS
        for table in dir(adapter)
        if table.isupper() and table not in OTHERS and getattr(adapter, table)
    }


def _meanings(table: Mapping[str, Any] | frozenset[str]) -> Mapping[str, str]:
    if isinstance(table, frozenset):
        return dict.fromkeys(table, "hard")
    return {word: _said(meaning) for word, meaning in table.items()}


def _said(meaning: Any) -> str:
    match meaning:
        case None:
            return "nothing"
        case (kind, True):
            return f"hard {kind}"
        case ("bounced", False):
            return "soft bounced"
        case (kind, False):
            return str(kind)
        case _:
            return str(meaning)


@pytest.mark.parametrize("table", sorted(set(published()) | set(held())), ids=" ".join)
def test_each_word_of_a_provider_means_what_it_is_published_to_mean(table: tuple[str, str]) -> None:
    assert held().get(table) == published().get(table)
