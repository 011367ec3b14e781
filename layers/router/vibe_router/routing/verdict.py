"""Failures of attempts, and what they mean: verdicts and their scope.

The table that decides is `routing.failure_rules`; `routing.classification` applies it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Classification", "Failure", "FailureKind", "Scope", "Verdict"]


class Verdict(StrEnum):
    """The meaning of a failure for the chain."""

    TRANSIENT = "transient"  # heals by itself, often at once
    RATE_LIMITED = "rate_limited"  # heals in seconds to minutes
    QUOTA = "quota"  # heals at a reset time, or when an operator acts
    AUTH = "auth"  # the credential is rejected
    MISCONFIGURED = "misconfigured"  # this deployment will not work as configured
    CONTEXT_LENGTH = "context_length"  # too long for this deployment
    UNSUPPORTED = "unsupported"  # another model may support it
    CONTENT_POLICY = "content_policy"  # the caller gets the provider's reason
    CLIENT = "client"  # this deployment rejects the request; another may accept it


class Scope(StrEnum):
    """The extent of a cooldown."""

    DEPLOYMENT = "deployment"  # provider + model
    CREDENTIAL = "credential"  # every deployment of that provider's secret


class FailureKind(StrEnum):
    """The way in which an attempt failed, before it is classified."""

    STATUS = "status"  # an HTTP status other than 200
    UNREACHABLE = "unreachable"  # refused, DNS, TLS
    RESET = "reset"  # the connection broke before or inside the answer
    TIMEOUT = "timeout"  # a time limit passed without data
    IN_BODY = "in_body"  # an error object inside a 200, streamed or not
    NOT_A_COMPLETION = "not_a_completion"  # a 200 that is empty, HTML, cut short or without choices


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt as a value.

    `headers` have lower-case names; `body` is the error answer's (or the in-stream error event's JSON), cut to 64 KiB.
    `in_open_stream`: whether the error came after other events of the same stream.
    `detail` is the router's own description of what happened, without anything the provider or the caller sent.
    """

    kind: FailureKind
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    detail: str = ""
    in_open_stream: bool = False


@dataclass(frozen=True, slots=True)
class Classification:
    """A failure and what it means.

    `reset_after`: seconds until the provider says it heals, uncapped, the soonest of several hints; None without one.
    `fast_retry`: whether one more try on the same deployment may help at once (transient that failed fast).
    `timeout`: whether the provider was too slow; `silent`: whether a time limit of the router's own passed.
    `status`, `type`, `code`, `param`, `message`: from the provider's error, for the caller (`client`, `content_policy`,
    `context_length`, `unsupported`) and, except `message`, for the log.
    """

    verdict: Verdict
    scope: Scope
    reset_after: float | None = None
    fast_retry: bool = False
    timeout: bool = False
    silent: bool = False
    status: int | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    message: str = ""
