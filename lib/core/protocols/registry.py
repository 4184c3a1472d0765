"""The protocols that are sold, by the name that config.yaml gives them."""

from __future__ import annotations

from lib.core.protocols.base import Protocol
from lib.core.protocols.chat_completions import ChatCompletions
from lib.core.protocols.embeddings import Embeddings
from lib.core.protocols.images_drawn import ImagesDrawn
from lib.core.protocols.json_call import JsonCall
from lib.core.protocols.messages import Messages
from lib.core.protocols.responses import Decisions, Responses
from lib.core.protocols.speech import Speech
from lib.core.protocols.transcription import Transcription

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        ChatCompletions(),
        Responses(),
        Messages(),
        Embeddings(),
        Decisions(),
        JsonCall(),
        Speech(),
        Transcription(),
        ImagesDrawn(),
    )
}
