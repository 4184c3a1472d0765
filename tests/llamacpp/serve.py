"""`python serve.py MODEL KEY [vectors]`: llama.cpp's own HTTP server on a free loopback port, until it is ended.

It either writes texts or, if told so, makes vectors of them.

A process of its own, because llama.cpp's threads end with nothing less. Prints one line when ready: its address.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, cast

import xllamacpp

SLOTS = 4
CONTEXT_TOKENS = 4_096
"""Of all slots together: one conversation may have a quarter."""


def main(model: str, key: str, makes: str = "texts") -> None:
    """Serve. One computing thread: two of them on a busy machine spend their time waiting for each other."""
    llama = cast("Any", xllamacpp)  # compiled, without types
    params = llama.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel = CONTEXT_TOKENS, SLOTS
    params.cpuparams.n_threads = 1
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.api_keys = [key]
    params.warmup, params.endpoint_metrics = False, True
    if makes == "vectors":
        params.embedding, params.pooling_type = True, llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = llama.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
