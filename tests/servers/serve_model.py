"""An OpenAI-compatible server process around a transformers model folder, for tests against real weights.

python serve_model.py FOLDER [--name NAME] [--port 0] prints "listening on PORT" once it answers.
"""

import argparse
import asyncio
import threading
from typing import Any

import torch
from aiohttp import web
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging


class Served:
    """One model; requests take turns, so that a seed fixes the answer."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._turn = threading.Lock()

    def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON for one request body."""
        if body.get("model") != self.name:
            return 404, _error(f"The model `{body.get('model')}` does not exist", "model_not_found")
        text = self.tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
        prompt = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        wanted, context = int(body.get("max_tokens", 16)), self.network.config.max_position_embeddings
        if prompt.shape[1] + wanted > context:
            words = (
                f"This model's maximum context length is {context} tokens, but {prompt.shape[1] + wanted} are needed."
            )
            return 400, _error(words, "context_length_exceeded")
        with self._turn, torch.inference_mode():
            tokens, logits = self._generate(prompt, wanted, body)
        ended = tokens[-1] == self.tokenizer.eos_token_id
        content = self.tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "finish_reason": "stop" if ended else "length",
            "logprobs": self._logprobs(tokens, logits, int(body.get("top_logprobs", 0)))
            if body.get("logprobs")
            else None,
        }
        usage = {"prompt_tokens": prompt.shape[1], "completion_tokens": len(tokens)}
        return 200, {"object": "chat.completion", "model": self.name, "choices": [choice], "usage": usage}

    def _generate(self, prompt: torch.Tensor, wanted: int, body: dict[str, Any]) -> tuple[list[int], torch.Tensor]:
        """New tokens (T) and the raw logits (T, V) that they were drawn from."""
        torch.manual_seed(int(body.get("seed", 0)))
        temperature = float(body.get("temperature", 1.0))
        sampling = {"do_sample": True, "temperature": temperature, "top_p": float(body.get("top_p", 1.0)), "top_k": 0}
        out = self.network.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=wanted, output_logits=True,
            return_dict_in_generate=True, pad_token_id=self.tokenizer.eos_token_id,
            eos_token_id=self.tokenizer.eos_token_id, **(sampling if temperature > 0 else {"do_sample": False}),
        )  # fmt: skip
        return out.sequences[0, prompt.shape[1] :].tolist(), torch.cat(out.logits)

    def _logprobs(self, tokens: list[int], logits: torch.Tensor, k: int) -> dict[str, Any]:
        scores = torch.log_softmax(logits.float(), -1)
        content = []
        for token, row in zip(tokens, scores, strict=True):
            top = row.topk(k)
            entries = [self._entry(i, v) for i, v in zip(top.indices.tolist(), top.values.tolist(), strict=True)]
            content.append({**self._entry(token, row[token].item()), "top_logprobs": entries})
        return {"content": content}

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        text = self.tokenizer.decode([token])
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _error(words: str, code: str) -> dict[str, Any]:
    return {"error": {"message": words, "type": "invalid_request_error", "code": code}}


async def serve(served: Served, port: int) -> None:
    """Answer until the process is ended."""

    async def completions(request: web.Request) -> web.Response:
        status, reply = await asyncio.to_thread(served.complete, await request.json())
        return web.json_response(reply, status=status)

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": served.name, "object": "model"}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", completions)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"listening on {runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--name", default="model")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    asyncio.run(serve(Served(arguments.folder, arguments.name), arguments.port))
