"""An example of hooks. Change it, and deploy with the parameter HooksModule=router_hooks.

Locally: HOOKS_MODULE=router_hooks make start. See docs/hooks.md.
"""

from vibe_router.hooks import HookAttempt, HookRequest


def before_request(request: HookRequest) -> None:
    """Keep a project's code name out of every prompt, and images out of the night."""
    request.replace_texts(lambda text: text.replace("Project Bluebird", "the project"))
    if request.format == "images" and request.team == "interns":
        request.reject("Images are not available to your team.", 403)


def before_attempt(attempt: HookAttempt) -> None:
    """Tell a provider which deployment of ours calls it."""
    attempt.headers["x-called-by"] = attempt.deployment


def after_answer(record: dict[str, object]) -> None:
    """Print what an answer cost; print goes to the function's log."""
    print(f"{record['request_id']} cost {record['cost']}")  # noqa: T201 - an example
