"""The chat: a page that streams its answers, and an API for programs."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from midwatch.domain.errors import Invalid
from midwatch.services.conversations import ChatMessage, MessageState
from serve.bodies import FORM_LIMIT, JSON, read_body, read_form
from serve.chatting import CHANNEL, LONGEST, Talk, answer_to, ask, follow, latest, talk_of
from serve.dependencies import TheEdge
from serve.routes.console import ThePages, Visitor
from serve.schemas.plain import json_response
from serve.security import TheCaller, authorised, check_csrf, within_rate
from serve.sse import HEARTBEAT, event, stream

router = APIRouter(default_response_class=Response)

_HISTORY = 20


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program's question. Without ``conversation`` it begins a new one."""

    text: Annotated[str, msgspec.Meta(max_length=LONGEST)]
    conversation: Annotated[str, msgspec.Meta(max_length=64)] = ""


_ASKED = msgspec.json.Decoder(Asked)


@router.post("/api/chat", dependencies=[Depends(within_rate)])
async def post_question(request: Request, edge: TheEdge, caller: TheCaller) -> Response:
    """Ask, and wait a while for the answer: 200 with it, 202 while it is not there yet."""
    body = await read_body(request, kinds=JSON, limit=FORM_LIMIT)
    try:
        asked = _ASKED.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"not a question: {error}") from error
    question = await ask(edge, caller.user, asked.text, asked.conversation)
    return _told(question, await answer_to(edge, question.id, within_s=edge.limits.chat_answer_s))


@router.get("/api/chat", dependencies=[Depends(within_rate)])
async def conversations(edge: TheEdge, caller: TheCaller) -> Response:
    """One's own conversations, newest first."""
    owned = await edge.conversations.owned(caller.user, channel=CHANNEL, limit=_HISTORY)
    return json_response({"conversations": list(owned)})


@router.get("/api/chat/{conversation_id}", dependencies=[Depends(within_rate), Depends(authorised)])
async def conversation(edge: TheEdge, caller: TheCaller, conversation_id: str) -> Response:
    """One's own conversation with its messages, oldest first."""
    talk = await talk_of(edge, conversation_id, caller.user)
    return json_response({"conversation": talk.conversation, "messages": list(talk.messages)})


@router.delete("/api/chat/{conversation_id}", dependencies=[Depends(within_rate)])
async def clear(edge: TheEdge, caller: TheCaller, conversation_id: str) -> Response:
    """Forget what was said in one's own conversation."""
    talk = await talk_of(edge, conversation_id, caller.user)
    return json_response({"forgotten": await edge.conversations.clear(talk.conversation.id)})


@router.get("/chat", dependencies=[Depends(within_rate)])
async def chat_page(
    edge: TheEdge, caller: Visitor, pages: ThePages, conversation: Annotated[str, Query(alias="c", max_length=64)] = ""
) -> Response:
    """The conversation that is going on, or the one asked for, beside the earlier ones."""
    talk = await talk_of(edge, conversation, caller.user) if conversation else await latest(edge, caller.user)
    history = await edge.conversations.owned(caller.user, channel=CHANNEL, limit=_HISTORY)
    return pages.page(
        "chat.html",
        now=edge.clock.now(),
        csrf=caller.csrf,
        who=caller.name,
        talk=talk,
        history=history,
        longest=LONGEST,
    )


@router.post("/chat", dependencies=[Depends(within_rate)])
async def say(request: Request, edge: TheEdge, caller: Visitor) -> Response:
    """A message from the page; the answer comes by the page's stream."""
    form = await read_form(request)
    if caller.csrf:
        check_csrf(request, caller, form.get("csrf", ""))
    question = await ask(edge, caller.user, form.get("text", ""), form.get("conversation", "")[:64])
    return _back(request, f"/chat?c={question.conversation}")


@router.post("/chat/{conversation_id}/clear", dependencies=[Depends(within_rate)])
async def forget(request: Request, edge: TheEdge, caller: Visitor, conversation_id: str) -> Response:
    """Forget what was said, from the page."""
    form = await read_form(request)
    if caller.csrf:
        check_csrf(request, caller, form.get("csrf", ""))
    talk = await talk_of(edge, conversation_id, caller.user)
    await edge.conversations.clear(talk.conversation.id)
    return _back(request, f"/chat?c={talk.conversation.id}")


@router.get("/chat/{conversation_id}/live")
async def chat_live(edge: TheEdge, caller: Visitor, pages: ThePages, conversation_id: str) -> Response:
    """The conversation, sent again whenever it changed."""
    await talk_of(edge, conversation_id, caller.user)

    async def events() -> AsyncIterator[bytes]:
        async for talk in follow(edge, conversation_id, caller.user):
            yield event(_shown(pages, edge, talk)) if talk else HEARTBEAT
        yield event("{}", name="end")

    return stream(events())


def _shown(pages: ThePages, edge: TheEdge, talk: Talk) -> str:
    return pages.text("_talk.html", now=edge.clock.now(), talk=talk)


def _back(request: Request, path: str) -> Response:
    if request.headers.get("hx-request"):
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": path})
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def _told(question: ChatMessage, answer: ChatMessage | None) -> Response:
    whole = answer is not None and answer.state is MessageState.DONE
    return json_response(
        {
            "conversation": question.conversation,
            "question": question.id,
            "answer": answer.text if answer else "",
            "state": str(answer.state if answer else MessageState.WAITING),
        },
        HTTPStatus.OK if whole else HTTPStatus.ACCEPTED,
    )
