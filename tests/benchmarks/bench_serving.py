"""Compares `mnist-pipeline serve` over loopback with direct calls to the same SavedModel.

    python tests/benchmarks/bench_serving.py SERVING_DIR [--requests 2000]

This process is the client, and the server is a separate process. Each request contains one
serialized tf.Example for `serving_default`. Direct calls use one thread for each connection. Client
and server share the machine's processors, so the results include the client's overhead. Each row
shows the best of several rounds.
"""

# ruff: noqa: T201 - prints a table

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from models.definition import DATASET  # noqa: E402 - needs the path above

CONCURRENCIES = (1, 8, 64)
WARM_UP = 100


def main() -> None:
    """Measures all variants and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("serving_dir", type=Path, help="directory with a release")
    parser.add_argument("--requests", type=int, default=2000, help="requests for each row")
    parser.add_argument("--rounds", type=int, default=3, help="rounds for each row")
    arguments = parser.parse_args()

    from support.running_server import running_server
    from support.served_models import example, store_in

    from pipeline.serving.served_model import ServedModel, live_release

    model = ServedModel.load(live_release(store_in(arguments.serving_dir)))
    shape = (256, *model.data.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    examples = [example(image) for image in images]
    signature = model.signatures["serving_default"]
    rows: dict[tuple[str, int], tuple[float, float, float]] = {}

    def measure(name: str, send: Callable[[int, int], list[float]]) -> None:
        for concurrency in CONCURRENCIES:
            send(concurrency, WARM_UP)
            rounds = [
                summary(send, concurrency, arguments.requests) for _ in range(arguments.rounds)
            ]
            rows[name, concurrency] = max(rounds)
            requests, p50, p99 = rows[name, concurrency]
            print(f"{name:<28}{concurrency:>12}{requests:>12.0f}{p50:>10.2f}{p99:>10.2f}")

    print(f"{'':<28}{'concurrency':>12}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}")
    measure("direct", lambda *load: call_directly(signature, examples, *load))
    for name, options in (("HTTP, batching", []), ("HTTP, --max-batch 1", ["--max-batch", "1"])):
        with running_server(arguments.serving_dir, *options) as server:
            port = server.port
            measure(name, lambda *load: asyncio.run(call_over_http(port, examples, *load)))  # noqa: B023

    overhead = rows["HTTP, batching", 1][1] - rows["direct", 1][1]
    print(f"\nHTTP adds {overhead:.2f} ms to a single request (p50).")
    for concurrency in CONCURRENCIES:
        batched, single = (
            rows[name, concurrency][0] for name in ("HTTP, batching", "HTTP, --max-batch 1")
        )
        direct = rows["direct", concurrency][0]
        print(
            f"At concurrency {concurrency}, batching reaches {batched / single:.2f} times the "
            f"requests/s of --max-batch 1, and {batched / direct:.2f} times those of direct calls."
        )


def summary(
    send: Callable[[int, int], list[float]], concurrency: int, count: int
) -> tuple[float, float, float]:
    """Returns requests per second, and the p50 and p99 latency in milliseconds."""
    start = time.perf_counter()
    seconds = send(concurrency, count)
    total = time.perf_counter() - start
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return len(seconds) / total, float(p50), float(p99)


def call_directly(
    signature: Callable[..., Any], examples: list[bytes], concurrency: int, count: int
) -> list[float]:
    """Calls the signature from several threads; returns the seconds for each call."""
    import tensorflow as tf

    seconds: list[float] = []

    def call_some(numbers: Iterable[int]) -> None:
        for number in numbers:
            start = time.perf_counter()
            example = tf.constant([examples[number % len(examples)]])
            signature(examples=example)["probabilities"].numpy()
            seconds.append(time.perf_counter() - start)

    threads = [
        threading.Thread(target=call_some, args=[range(first, count, concurrency)])
        for first in range(concurrency)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


async def call_over_http(
    port: int, examples: list[bytes], concurrency: int, count: int
) -> list[float]:
    """Sends requests on several connections; returns the seconds for each request."""
    requests = [request(example) for example in examples]
    seconds: list[float] = []

    async def call_some(numbers: Iterable[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            start = time.perf_counter()
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            seconds.append(time.perf_counter() - start)
            if not body.startswith(b'{"predictions"'):
                raise RuntimeError(body.decode())
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(
        *(call_some(range(first, count, concurrency)) for first in range(concurrency))
    )
    return seconds


def request(example: bytes) -> bytes:
    """Builds a complete HTTP request."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(example).decode()}]}).encode()
    path = f"/v1/models/{DATASET.name}:predict"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    main()
