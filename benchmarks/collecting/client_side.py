"""One peer, in an environment of its own: sends so many requests at a concurrency and prints how many a second."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

KEY = "none-needed"
MODEL = "gpt-3.5-turbo"  # some peers look the name up


def question(at: int) -> str:
    return f"question {at}"


def body(at: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": question(at)}]
    return {"model": MODEL, "messages": messages, "temperature": 0.7, "max_tokens": 300}


async def many(number: int, concurrency: int, one: Callable[[int], Awaitable[object]]) -> float:
    """Seconds that `concurrency` workers take for `number` requests."""
    left = iter(range(number))

    async def work() -> None:
        for at in left:
            await one(at)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return time.perf_counter() - started


async def aiohttp_bare(url: str, number: int, concurrency: int) -> float:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(at: int) -> None:
            async with session.post(f"{url}/chat/completions", json=body(at)) as response:
                json.loads(await response.read())

        return await many(number, concurrency, one)


async def httpx_bare(url: str, number: int, concurrency: int, module: str = "httpx") -> float:
    httpx = __import__(module)
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def one(at: int) -> None:
            json.loads((await client.post(f"{url}/chat/completions", json=body(at))).content)

        return await many(number, concurrency, one)


async def httpx2_bare(url: str, number: int, concurrency: int) -> float:
    return await httpx_bare(url, number, concurrency, "httpx2")


async def openai_sdk(url: str, number: int, concurrency: int, over_aiohttp: bool = False) -> float:
    import openai

    transport = {"http_client": openai.DefaultAioHttpClient()} if over_aiohttp else {}
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, **transport) as client:
        return await many(number, concurrency, lambda at: client.chat.completions.create(**body(at)))


async def openai_over_aiohttp(url: str, number: int, concurrency: int) -> float:
    return await openai_sdk(url, number, concurrency, over_aiohttp=True)


async def litellm_sdk(url: str, number: int, concurrency: int) -> float:
    import litellm

    async def one(at: int) -> None:
        await litellm.acompletion(**body(at) | {"model": f"openai/{MODEL}"}, api_base=url, api_key=KEY)

    return await many(number, concurrency, one)


def distilabel_pipeline(url: str, number: int, concurrency: int) -> float:
    from distilabel.models import OpenAILLM
    from distilabel.steps.tasks import TextGeneration

    llm = OpenAILLM(model=MODEL, base_url=url, api_key=KEY, generation_kwargs={"max_new_tokens": 300})
    task = TextGeneration(name="generate", llm=llm, input_batch_size=concurrency)
    task.load()
    rows = [{"instruction": question(at)} for at in range(number)]
    started = time.perf_counter()
    for start in range(0, number, concurrency):  # its concurrency is the batch
        next(task.process(rows[start : start + concurrency]))
    return time.perf_counter() - started


def curator_llm(url: str, number: int, concurrency: int) -> float:
    import litellm
    from bespokelabs import curator

    # A tiktoken table is wanted at the start; litellm ships one.
    tables = Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers"
    os.environ |= {"TIKTOKEN_CACHE_DIR": str(tables), "CURATOR_DISABLE_CACHE": "1", "TELEMETRY_ENABLED": "0"}
    limits = {"max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**10, "max_concurrent_requests": concurrency}
    llm = curator.LLM(
        model_name=MODEL, backend="openai", generation_params={"max_tokens": 300},
        backend_params=limits | {"base_url": url, "api_key": KEY},
    )  # fmt: skip
    started = time.perf_counter()
    llm([question(at) for at in range(number)])
    return time.perf_counter() - started


def data_designer_dataset(url: str, number: int, concurrency: int) -> float:
    from data_designer import config
    from data_designer.interface import DataDesigner

    provider = config.ModelProvider(name="here", endpoint=url, api_key=KEY)
    asking = config.ChatCompletionInferenceParams(max_parallel_requests=concurrency, max_tokens=300, temperature=0.7)
    model = config.ModelConfig(
        alias="m", model=MODEL, provider="here", inference_parameters=asking, skip_health_check=True
    )
    columns = config.DataDesignerConfigBuilder(model_configs=[model])
    columns.add_column(name="at", column_type="sampler", sampler_type="uuid", params={})
    columns.add_column(name="answer", column_type="llm-text", model_alias="m", prompt="question {{ at }}")
    with tempfile.TemporaryDirectory() as home:
        designer = DataDesigner(artifact_path=Path(home), model_providers=[provider])
        started = time.perf_counter()
        designer.create(columns, num_records=number, dataset_name="benchmark")
        return time.perf_counter() - started


PEERS: dict[str, tuple[Any, str]] = {
    "aiohttp": (aiohttp_bare, "aiohttp"),
    "httpx": (httpx_bare, "httpx"),
    "httpx2": (httpx2_bare, "httpx2"),
    "openai": (openai_sdk, "openai"),
    "openai+aiohttp": (openai_over_aiohttp, "openai"),
    "litellm": (litellm_sdk, "litellm"),
    "distilabel": (distilabel_pipeline, "distilabel"),
    "data-designer": (data_designer_dataset, "data-designer"),
    "curator": (curator_llm, "bespokelabs-curator"),
}


def main() -> None:
    name, url, number, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ask, package = PEERS[name]
    found = ask(url, number, concurrency)
    seconds = found if isinstance(found, float) else asyncio.run(found)
    print(json.dumps({"rate": number / seconds, "version": version(package)}))


if __name__ == "__main__":
    main()
