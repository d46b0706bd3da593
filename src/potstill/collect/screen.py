"""Says of each reply whether it can be trained on, and if not why; nothing is deleted."""

from potstill.models.chat_completion import CUT, FILTERED, REFUSED, holds_object
from potstill.records import Reply
from potstill.store.journal import Use


def usable(reply: Reply) -> Use:
    """What a reply is good for: "ok", or the first of the reasons that speaks against training on it.

    A reply that spent all its tokens on reasoning is "reasoning_only" rather than "truncated": it has no answer at all.
    """
    reason = reply.finish_reason.lower()
    if reason in REFUSED:
        return "refused"
    if reason in FILTERED:
        return "filtered"
    if not reply.text.strip() and not reply.tool_calls:
        return "reasoning_only" if reply.reasoning.strip() else "empty"
    if reason in CUT:
        return "truncated"
    return "ok" if all(holds_object(call["function"]["arguments"]) for call in reply.tool_calls) else "malformed"
