"""A language model of 130,000 random weights, as a GGUF file that llama.cpp loads in milliseconds.

It writes nonsense, but through the real tokenizer, sampler and token counter. It never ends by itself: every answer
has exactly as many tokens as it may have, so that what a call must cost is known before it is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 64
LAYERS = 2
HEADS = 4
FEED_FORWARD = 128
CONTEXT_TOKENS = 4_096
SEED = 0
SPREAD = 0.08
"""Standard deviation of the random weights."""
UNKNOWN, BEGIN, END = 0, 1, 2
LOUD = 4.0
"""What every token has in its first dimension, so that one weight can speak against END whatever was said before."""
WORDS = "▁the ▁a ▁of ▁to ▁and ▁in ▁is ▁it ▁hello ▁world ▁bitcoin ▁lightning ▁".split()
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_tiny_model(path: Path) -> Path:
    """Write the model, half a megabyte and the same bytes of weights every time; returns its path."""
    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer)
    vocabulary = _add_tokenizer(writer)
    for name, weights in _weights(vocabulary).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_tokenizer(writer: gguf.GGUFWriter) -> int:
    """A SentencePiece vocabulary: three controls, every byte, some words, printable ASCII. Returns its size."""
    texts = [*WORDS, *(chr(code) for code in range(33, 127))]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *texts]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(texts)
    writer.add_tokenizer_model("llama")
    writer.add_vocab_size(len(tokens))
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 3 + [-1000.0] * 256 + [-float(rank) for rank in range(len(texts))])
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(True)
    return len(tokens)


def _weights(vocabulary: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(SEED)

    def noise(*shape: int) -> NDArray[np.float32]:
        return (random.standard_normal(shape) * SPREAD).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    embedding, output = noise(vocabulary, WIDTH), noise(vocabulary, WIDTH)
    embedding[:, 0], output[:, 0], output[END, 0] = LOUD, 0.0, -LOUD
    weights = {"token_embd.weight": embedding, "output_norm.weight": ones, "output.weight": output}
    square, wide, tall = (WIDTH, WIDTH), (FEED_FORWARD, WIDTH), (WIDTH, FEED_FORWARD)
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), square)
    shapes |= {"ffn_gate": wide, "ffn_up": wide, "ffn_down": tall}
    for layer in range(LAYERS):
        weights |= {f"blk.{layer}.{name}.weight": noise(*shape) for name, shape in shapes.items()}
        weights |= {f"blk.{layer}.{name}.weight": ones for name in ("attn_norm", "ffn_norm")}
    return weights
