"""Reading a request's body: of the right kind, and never more of it than allowed."""

from urllib.parse import parse_qsl

import msgspec
from fastapi import Request

from midwatch.domain.errors import Invalid
from serve.problems import BodyTooLarge, UnsupportedBody

JSON = ("application/json",)
FORM = ("application/x-www-form-urlencoded",)
FORM_LIMIT = 64 * 1024


async def read_body(request: Request, *, kinds: tuple[str, ...], limit: int) -> bytes:
    """The whole body. Raises before reading on when it is of another kind or larger than ``limit`` bytes."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in kinds:
        raise UnsupportedBody(f"send {' or '.join(kinds)}, not {kind[:80] or 'a body without a content type'}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedBody("send the body uncompressed")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


async def read_form(request: Request) -> dict[str, str]:
    """A small HTML form; of a field sent twice the last value counts."""
    body = await read_body(request, kinds=FORM, limit=FORM_LIMIT)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise Invalid("not a form") from error


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's answer to an approval. ``digest`` is that of the plan they saw."""

    reason: str = ""
    digest: str = ""


_ANSWER = msgspec.json.Decoder(Answer)


async def read_answer(request: Request) -> Answer:
    """The JSON body of an answer; no body at all is an answer without a reason."""
    if request.headers.get("content-length", "") == "0" or "content-type" not in request.headers:
        return Answer()
    body = await read_body(request, kinds=JSON, limit=FORM_LIMIT)
    if not body:
        return Answer()
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not an answer: {error}") from error
    if len(answer.reason) > 2000:
        raise Invalid("not an answer: the reason is longer than 2000 characters")
    return Answer(answer.reason.replace("\0", ""), answer.digest)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit} bytes")
