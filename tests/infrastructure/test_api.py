"""The API: every route streams, errors are OpenAI's, and the access log holds no key."""

import json
import re
from typing import Any

import pytest

from tests.infrastructure.expanded import expand, of_type, only, strings, written

STACK = expand()
BODY: dict[str, Any] = only(STACK, "AWS::ApiGateway::RestApi")["Properties"]["Body"]
STAGE: dict[str, Any] = only(STACK, "AWS::ApiGateway::Stage")["Properties"]
ACCESS_LOG: dict[str, Any] = STAGE["AccessLogSetting"]["Fn::If"][1]

MODEL_ROUTES = [
    "/v1/chat/completions",
    "/chat/completions",
    "/v1/messages",
    "/messages",
    "/v1/messages/count_tokens",
    "/messages/count_tokens",
    "/v1/models",
    "/models",
    "/v1/models/{model+}",
    "/models/{model+}",
]
OTHER_ROUTES = ["/", "/{proxy+}", "/health", "/health/liveliness", "/health/liveness", "/health/readiness"]
ADMIN_ROUTES = [
    "/key/{proxy+}",
    "/team/{proxy+}",
    "/user/{proxy+}",
    "/v1/model/info",
    "/model/info",
    "/model_group/info",
    "/spend/{proxy+}",
    "/global/{proxy+}",
    "/usage/{proxy+}",
    "/routes",
    "/routes/{proxy+}",
    "/alerts",
    "/alerts/{proxy+}",
    "/complexity",
    "/complexity/{proxy+}",
    "/cooldowns",
    "/cooldowns/{proxy+}",
    "/audit",
    "/metrics",
    "/me",
    "/me/{proxy+}",
    "/ui",
    "/ui/{proxy+}",
]
SECRET_ROUTES = ["/secrets/{proxy+}"]
BEHIND = {
    "GatewayFunction": MODEL_ROUTES + OTHER_ROUTES,
    "AdminFunction": ADMIN_ROUTES,
}


def test_the_routes_are_these_and_no_others() -> None:
    assert sorted(BODY["paths"]) == sorted(MODEL_ROUTES + OTHER_ROUTES + ADMIN_ROUTES + SECRET_ROUTES)


@pytest.mark.parametrize("path", MODEL_ROUTES + OTHER_ROUTES)
def test_every_method_of_a_route_reaches_the_function_and_streams_for_15_minutes(path: str) -> None:
    assert set(BODY["paths"][path]) == {"x-amazon-apigateway-any-method"}
    integration = BODY["paths"][path]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    assert integration["type"] == "aws_proxy"
    assert integration["responseTransferMode"] == "STREAM"
    assert integration["timeoutInMillis"] == 900_000
    uri = integration["uri"]["Fn::Sub"]
    assert uri.endswith("path/2021-11-15/functions/${GatewayFunctionAliaslive}/response-streaming-invocations")


@pytest.mark.parametrize("path", ADMIN_ROUTES)
def test_every_method_of_an_admin_route_reaches_the_admin_function_within_30_seconds(path: str) -> None:
    assert set(BODY["paths"][path]) == {"x-amazon-apigateway-any-method"}
    integration = BODY["paths"][path]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    assert integration["type"] == "aws_proxy"
    assert integration["responseTransferMode"] == "STREAM"
    assert integration["timeoutInMillis"] == 30_000
    uri = integration["uri"]["Fn::Sub"]
    assert uri.endswith("path/2021-11-15/functions/${AdminFunctionAliaslive}/response-streaming-invocations")


def test_the_providers_keys_are_written_by_a_function_of_their_own() -> None:
    (path,) = SECRET_ROUTES
    integration = BODY["paths"][path]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    assert integration["timeoutInMillis"] == 30_000
    assert integration["uri"]["Fn::Sub"].endswith("functions/${SecretsFunction.Arn}/response-streaming-invocations")


@pytest.mark.parametrize("function", BEHIND)
def test_api_gateway_may_call_a_function_on_every_route_of_its(function: str) -> None:
    sources = {
        permission["Properties"]["SourceArn"]["Fn::Sub"][0].split("${__Stage__}/")[1]
        for permission in of_type(STACK, "AWS::Lambda::Permission").values()
        if permission["Properties"]["Principal"] == "apigateway.amazonaws.com"
        and permission["Properties"]["FunctionName"] == {"Ref": f"{function}Aliaslive"}
    }
    assert sources == {"*" + re.sub(r"\{.*\}", "*", path) for path in BEHIND[function]}


@pytest.mark.parametrize("function", BEHIND)
def test_a_functions_resource_policy_stays_below_lambdas_limit(function: str) -> None:
    # 20 KB for all statements, each of which has the function's and the API's full ARN.
    longest = 420 + len("GatewayFunctionChatCompletionsUnversionedPermissionStage-XXXXXXXXXXXX")
    permissions = [name for name in of_type(STACK, "AWS::Lambda::Permission") if name.startswith(function)]
    assert len(permissions) * longest < 20 * 1024


def test_the_api_is_regional_with_one_stage_and_takes_uploads_byte_by_byte() -> None:
    api = only(STACK, "AWS::ApiGateway::RestApi")["Properties"]
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    # This is how SAM writes a slash in an OpenAPI document.
    assert BODY["x-amazon-apigateway-binary-media-types"] == ["multipart/form-data", "application/json"]
    assert STAGE["StageName"] == {"Ref": "StageName"}
    assert "MinimumCompressionSize" not in api  # a stream cannot be compressed


def test_the_stage_is_throttled_traced_and_logs_no_bodies() -> None:
    assert STAGE["TracingEnabled"] is True
    (settings,) = STAGE["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert settings["ThrottlingRateLimit"] == {"Ref": "ThrottleRate"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ThrottleBurst"}
    assert settings["LoggingLevel"] == "OFF"
    assert settings["DataTraceEnabled"] is False


def test_the_access_log_is_json_by_resource_with_the_streaming_figures() -> None:
    line = json.loads(ACCESS_LOG["Format"])
    assert line["resource"] == "$context.resourcePath"
    assert line["transfer_mode"] == "$context.integration.responseTransferMode"
    assert line["headers_ms"] == "$context.integration.timeToAllHeaders"
    assert line["first_content_ms"] == "$context.integration.timeToFirstContent"
    assert "$context.requestId" in line.values()  # API Gateway refuses a format without it


@pytest.mark.parametrize(
    "variable",
    ["$context.path", "$context.requestOverride", "$input", "querystring", "request.header", "$context.authorize"],
)
def test_the_access_log_never_holds_what_may_hold_a_key(variable: str) -> None:
    assert variable not in ACCESS_LOG["Format"]


def test_the_stage_waits_for_the_accounts_log_role() -> None:
    assert {"Ref": "ApiGatewayAccount"} in STAGE["Tags"][0]["Value"]["Fn::If"]
    account = only(STACK, "AWS::ApiGateway::Account")
    assert account["Condition"] == "HasLogRole"
    # Other APIs of the account log by it too.
    assert account["DeletionPolicy"] == STACK["Resources"]["ApiGatewayLogRole"]["DeletionPolicy"] == "Retain"


ERRORS = {
    # API Gateway's name: status (None: as it comes), OpenAI's type, code
    "DEFAULT_4XX": (None, "invalid_request_error", "bad_request"),
    "DEFAULT_5XX": (None, "server_error", "internal_error"),
    "UNAUTHORIZED": (401, "invalid_request_error", "invalid_api_key"),
    "ACCESS_DENIED": (403, "invalid_request_error", "access_denied"),
    "MISSING_AUTHENTICATION_TOKEN": (403, "invalid_request_error", "access_denied"),
    "REQUEST_TOO_LARGE": (413, "invalid_request_error", "request_too_large"),
    "THROTTLED": (429, "rate_limit_error", "rate_limit_exceeded"),
    "QUOTA_EXCEEDED": (429, "rate_limit_error", "rate_limit_exceeded"),
    "WAF_FILTERED": (429, "rate_limit_error", "rate_limit_exceeded"),
    "INTEGRATION_FAILURE": (502, "server_error", "bad_gateway"),
    "INTEGRATION_TIMEOUT": (504, "server_error", "gateway_timeout"),
}


def test_these_errors_of_api_gateway_are_ours_to_word() -> None:
    assert set(BODY["x-amazon-apigateway-gateway-responses"]) == set(ERRORS)


@pytest.mark.parametrize("name", ERRORS)
def test_api_gateways_own_errors_have_openais_shape(name: str) -> None:
    status, kind, code = ERRORS[name]
    response = BODY["x-amazon-apigateway-gateway-responses"][name]
    assert response.get("statusCode") == (str(status) if status else None)
    headers = response.get("responseParameters", {})
    if status == 429:
        assert int(headers["gatewayresponse.header.Retry-After"].strip("'")) > 0
    # Variables inside a JSON string stay valid JSON only where their values are identifiers.
    text = response["responseTemplates"]["application/json"]
    assert set(re.findall(r"\$context\.[\w.]*\w", text)) <= {"$context.requestId", "$context.error.responseType"}
    error = json.loads(text)["error"]
    assert (error["type"], error["param"], error["code"]) == (kind, None, code)
    assert error["message"].endswith(".")


def test_a_domain_maps_to_the_stage_so_that_its_paths_have_none() -> None:
    mapping = only(STACK, "AWS::ApiGateway::BasePathMapping")
    assert mapping["Condition"] == "HasDomain"
    assert "BasePath" not in mapping["Properties"]
    assert mapping["Properties"]["Stage"] == {"Ref": "RouterApiStage"}
    domain = only(STACK, "AWS::ApiGateway::DomainName")["Properties"]
    assert domain["SecurityPolicy"] == "TLS_1_2"


def test_the_stages_own_url_takes_no_old_tls() -> None:
    api = only(STACK, "AWS::ApiGateway::RestApi")["Properties"]
    assert (api["SecurityPolicy"], api["EndpointAccessMode"]) == ("SecurityPolicy_TLS13_1_2_2021_06", "BASIC")


def test_responses_are_not_stored_unless_asked_for() -> None:
    template = written()
    assert template["Parameters"]["ResponseDays"]["Default"] == 0


def test_the_firewall_blocks_by_rate_and_keeps_no_samples_of_requests() -> None:
    firewall = only(STACK, "AWS::WAFv2::WebACL")
    assert firewall["Condition"] == "HasWaf"
    sign_ins, rate = firewall["Properties"]["Rules"]
    assert rate["Statement"]["RateBasedStatement"]["Limit"] == {"Ref": "WafRateLimit"}
    limit = sign_ins["Statement"]["RateBasedStatement"]
    assert limit["Limit"] == {"Ref": "WafSignInLimit"}
    assert limit["ScopeDownStatement"]["ByteMatchStatement"]["SearchString"] == "/ui/sign-in"
    for rule in (sign_ins, rate):
        assert rule["VisibilityConfig"]["SampledRequestsEnabled"] is False
    assert firewall["Properties"]["VisibilityConfig"]["SampledRequestsEnabled"] is False
    association = only(STACK, "AWS::WAFv2::WebACLAssociation")["Properties"]["ResourceArn"]
    assert "/restapis/${RouterApi}/stages/${Stage}" in next(strings(association["Fn::Sub"]))
