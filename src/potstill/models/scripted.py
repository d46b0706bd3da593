"""A model that says what it is told to, so that recipes and tests run without weights and without a network."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from potstill import config
from potstill.models.client import Permanent
from potstill.models.http import Sampling, request_body, token_limit
from potstill.records import Message, ModelIdentity, Reply

Script = Mapping[str, str | Reply] | Callable[[Sequence[Message]], str | Reply]


class ScriptedModel:
    """Answers from a mapping (last message's text to answer) or a function of the messages; counts words as tokens.

    An answer that is longer than the request allows is cut, with the finish reason "length". Text that the mapping
    does not hold raises Permanent, as a server would refuse it. `asked` holds every request body in order.
    """

    def __init__(self, script: Script, name: str = "scripted") -> None:
        self._script = script
        self._section = config.Endpoint(base_url="http://localhost/v1", model=name)
        self.identity = ModelIdentity(name, "endpoint", name)
        self.asked: list[Mapping[str, Any]] = []

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """Answer one conversation, as `Endpoint.complete` does."""
        return (await self.ask(request_body(self._section, messages, sampling)))[0]

    async def ask(self, body: Mapping[str, Any], spelled: bytes | None = None) -> tuple[Reply, str]:
        """Answer one request body, as `Endpoint.ask` does."""
        self.asked.append(body)
        messages = [Message.read(one) for one in body["messages"]]
        if callable(self._script):
            said = self._script(messages)
        elif messages[-1].content in self._script:
            said = self._script[messages[-1].content]
        else:
            raise Permanent(f"the script has no answer to {messages[-1].content!r}")
        reply = said if isinstance(said, Reply) else self._spoken(said, messages, token_limit(body))
        return reply, json.dumps({"scripted": reply.text})

    def _spoken(self, text: str, messages: Sequence[Message], max_tokens: int) -> Reply:
        words = text.split()
        asked = sum(len(message.content.split()) for message in messages)
        whole = len(words) <= max_tokens
        return Reply(
            text=text if whole else " ".join(words[:max_tokens]),
            finish_reason="stop" if whole else "length",
            input_tokens=asked,
            output_tokens=min(len(words), max_tokens),
            served_model=self.identity.reference,
        )
