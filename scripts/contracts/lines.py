"""How Schemathesis sends and reads lines of JSON (application/x-ndjson), of which a schema says nothing."""

import json

import schemathesis
from hypothesis import strategies as st

NDJSON = "application/x-ndjson"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
paths = st.sampled_from(["/v1/products", "/v1/stock/A1/receive", "/v1/orders", "/v1/commands", "/v1/nowhere"])
bodies = st.just({"quantity": 1}) | st.dictionaries(st.text(max_size=10), values, max_size=3)
commands = st.fixed_dictionaries(
    {"path": paths | st.text(max_size=20)},
    optional={"method": st.just("POST") | values, "idempotency_key": st.text(max_size=20), "if_match": values, "body": bodies},
)
lines = (commands | values).map(json.dumps) | st.text(max_size=40)

schemathesis.openapi.media_type(NDJSON, st.lists(lines, max_size=8).map(lambda some: "\n".join(some).encode()))


@schemathesis.serializer(NDJSON)
def write(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.deserializer(NDJSON)
def read(ctx, response):
    """Each line answers one that was sent, in its order, as the command by itself would be answered."""
    answers = [json.loads(line) for line in response.content.decode().split("\n") if line]
    numbers = [answer["line"] for answer in answers]
    if numbers != sorted(set(numbers)):
        raise ValueError(f"the answers are of the lines {numbers}")
    for answer in answers:
        if not 200 <= answer["status"] < 500:
            raise ValueError(f"a line is answered by {answer['status']}: {answer['body']}")
    return response.content.decode()
