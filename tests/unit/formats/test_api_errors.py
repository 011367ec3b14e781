import json

from vibe_router.core.errors import ApiError, bad_request, error_body, invalid_key, not_found, unknown_model


def test_an_error_has_openais_four_members_and_its_details() -> None:
    error = ApiError(502, "No.", type="upstream_error", code="all_deployments_failed", details={"attempts": []})
    reported = json.loads(error_body(error))
    assert reported == {
        "error": {
            "message": "No.",
            "type": "upstream_error",
            "param": None,
            "code": "all_deployments_failed",
            "attempts": [],
        }
    }


def test_an_error_can_repeat_what_a_caller_sent_whatever_it_is() -> None:
    assert json.loads(error_body(bad_request("\ud800\0ü", "\udfff"))) is not None


def test_the_kinds_of_errors() -> None:
    kinds = [bad_request("m", "n"), invalid_key("m"), not_found("m"), unknown_model("m", ["auto-chat"])]
    assert [(each.status, each.type, each.code) for each in kinds] == [
        (400, "invalid_request_error", None),
        (401, "auth_error", "invalid_api_key"),
        (404, "invalid_request_error", "not_found"),
        (404, "invalid_request_error", "model_not_found"),
    ]
    assert kinds[0].param == "n"
    assert kinds[1].headers["www-authenticate"].startswith("Bearer")


def test_the_error_for_an_unknown_model_lists_the_models() -> None:
    assert "auto-chat, auto-codex" in unknown_model("gpt-9", ["auto-chat", "auto-codex"]).message


def test_the_error_without_any_models_names_the_next_step() -> None:
    assert "make routes" in unknown_model("gpt-9", []).message


def test_a_long_name_is_not_repeated_whole() -> None:
    assert len(unknown_model("x" * 1_000_000, []).message) < 250
