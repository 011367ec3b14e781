from pathlib import Path

import pytest

from local.template import Route, Template, TemplateError, read_template

CHECKOUT = Path(__file__).parents[3]

TEMPLATE = """
Parameters:
  Stage: {Type: String, Default: live}
  Level: {Type: String, Default: INFO}
  Wide: {Type: String, Default: "no"}
Conditions:
  IsWide: !Equals [!Ref Wide, "yes"]
  IsNarrow: !Not [!Condition IsWide]
Mappings:
  Sizes: {small: {memory: 256}}
Globals:
  Function:
    Runtime: python3.13
    Timeout: 7
    Layers: [!Ref Common]
    Environment: {Variables: {FROM_GLOBALS: "1", OVERRIDDEN: below}}
  Api:
    BinaryMediaTypes: [image~1png]
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: !Ref Stage
      BinaryMediaTypes: [multipart~1form-data]
      GatewayResponses:
        THROTTLED:
          StatusCode: 429
          ResponseParameters: {Headers: {Retry-After: "'1'"}}
          ResponseTemplates: {application/json: '{"a": 1}'}
  Work:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "${AWS::StackName}-work"
      CodeUri: code
      Handler: app.handler
      MemorySize: !FindInMap [Sizes, small, memory]
      Layers: [!Ref Own]
      ReservedConcurrentExecutions: !If [IsWide, 5, !Ref AWS::NoValue]
      Environment:
        Variables:
          OVERRIDDEN: above
          LEVEL: !Ref Level
          TABLE: !Ref Table
          TABLE_ARN: !GetAtt Table.Arn
          TEXT: !Sub ["${A}-${Stage}-${!StoredResponse}-${AWS::Region}", {A: !Join ["+", [a, b]]}]
          CHOICE: !If [IsNarrow, narrow, wide]
          FLAG: true
          ABSENT: !If [IsWide, x, !Ref AWS::NoValue]
          PART: !Select [1, !Split [",", "a,b,c"]]
      Events:
        Streamed:
          Type: Api
          Properties:
            {Path: /s, Method: post, ResponseTransferMode: RESPONSE_STREAM, TimeoutInMillis: 900000}
        Whole:
          Type: Api
          Properties: {RestApiId: !Ref Api, Path: /w, Method: any}
        Expression:
          Type: Api
          Properties: {Path: /e, Method: get, ResponseTransferMode: !Sub "RESPONSE_STREAM"}
        Clock:
          Type: Schedule
          Properties: {Schedule: rate(1 day)}
  Left:
    Type: AWS::Serverless::Function
    Condition: IsWide
    Properties: {CodeUri: other, Handler: app.handler}
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/common}
  Own:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/own}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "${AWS::StackName}-table"
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}, {AttributeName: day, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      GlobalSecondaryIndexes:
        - {IndexName: by-day, KeySchema: [{AttributeName: day, KeyType: HASH}], Projection: {ProjectionType: ALL}}
      StreamSpecification: {StreamViewType: KEYS_ONLY}
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
  Unnamed:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: false}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: !Sub "${AWS::StackName}/keys"}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    return read(tmp_path, TEMPLATE)


def read(directory: Path, text: str, **parameters: str) -> Template:
    path = directory / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return read_template(path, parameters)


def test_expressions_become_local_values(template: Template) -> None:
    assert template.functions["Work"].environment == {
        "FROM_GLOBALS": "1",
        "OVERRIDDEN": "above",
        "LEVEL": "INFO",
        "TABLE": "vibe-router-table",
        "TABLE_ARN": "arn:aws:dynamodb:us-east-1:123456789012:table/vibe-router-table",
        "TEXT": "a+b-live-${StoredResponse}-us-east-1",
        "CHOICE": "narrow",
        "FLAG": "true",
        "PART": "b",
    }


def test_a_function_has_its_own_properties_over_the_globals(template: Template, tmp_path: Path) -> None:
    function = template.functions["Work"]
    assert (function.name, function.handler) == ("vibe-router-work", "app.handler")
    assert (function.timeout, function.memory, function.runtime) == (7, 256, "python3.13")
    assert function.code == tmp_path / "code"
    assert function.layers == (tmp_path / "layers" / "common", tmp_path / "layers" / "own")


def test_resources_with_a_false_condition_are_left_out(template: Template, tmp_path: Path) -> None:
    assert template.functions.keys() == {"Work"}
    assert read(tmp_path, TEMPLATE, Wide="yes").functions.keys() == {"Work", "Left"}


def test_routes_are_the_api_events_with_their_transfer_mode_and_timeout(template: Template) -> None:
    assert template.api.routes == (
        Route("/s", "POST", "Work", streamed=True, timeout=900.0),
        Route("/w", "ANY", "Work", streamed=False, timeout=29.0),
        # SAM compares the word as written, so an expression that comes to the same gives a buffered route.
        Route("/e", "GET", "Work", streamed=False, timeout=29.0),
    )


def test_the_apis_own_settings(template: Template) -> None:
    api = template.api
    assert api.stage == "live"
    assert api.binary_media_types == ("image/png", "multipart/form-data")
    throttled = api.responses["THROTTLED"]
    assert (throttled.status, throttled.headers, throttled.body) == (429, {"Retry-After": "1"}, '{"a": 1}')


def test_a_table_becomes_what_create_table_takes(template: Template) -> None:
    table, unnamed = template.tables
    assert table.name == "vibe-router-table"
    assert table.ttl_attribute == "expires_at"
    assert table.create == {
        "TableName": "vibe-router-table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "day", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-day",
                "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    }
    assert (unnamed.name, unnamed.ttl_attribute) == ("Unnamed", None)


def test_the_secret_goes_by_its_name(template: Template) -> None:
    assert template.secrets == ("vibe-router/keys",)


def test_parameters_can_be_given(tmp_path: Path) -> None:
    assert read(tmp_path, TEMPLATE, Stage="dev").api.stage == "dev"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("Resources: [", "cannot be read", id="not YAML"),
        pytest.param("- a", "not a mapping", id="not a mapping"),
        pytest.param("Resources: {}", "no AWS::Serverless::Function", id="no function"),
        pytest.param(TEMPLATE.replace("!Ref Level", "!Ref Levle"), "Levle", id="a name that is not there"),
        pytest.param(TEMPLATE.replace("!Ref Level", "!ImportValue x"), "Fn::ImportValue", id="another stack's value"),
        pytest.param(TEMPLATE.replace("[IsNarrow, narrow", "[IsOdd, narrow"), "IsOdd", id="an unknown condition"),
        pytest.param(TEMPLATE.replace("[!Ref Own]", "[arn:aws:lambda:x]"), "Layers", id="a layer from elsewhere"),
        pytest.param(TEMPLATE.replace("Table.Arn", "Table.Label"), "Table.Label", id="an unknown attribute"),
    ],
)
def test_unknown_faults_are_rejected_by_name(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        read(tmp_path, text)


def test_the_projects_own_template_is_understood_whole() -> None:
    template = read_template(CHECKOUT / "template.yaml")
    names = {table.name for table in template.tables}
    for function in template.functions.values():
        assert function.code.is_dir()
        assert all(layer.is_dir() for layer in function.layers)
    gateway = template.functions["GatewayFunction"].environment
    assert {gateway["ROUTES_TABLE"], gateway["STATE_TABLE"]} <= names
    assert gateway["SECRET_ID"] in template.secrets
    assert all(route.streamed and route.timeout == 900 for route in template.api.routes if "/v1/chat" in route.path)
