"""An OpenAI-compatible server process around a transformers model folder, for tests against real weights.

Chat completions, and completions of token ids with what vLLM adds to them: prompt_logprobs, return_token_ids, loading
LoRA adapters (/v1/load_lora_adapter) and other weights (/collective_rpc) while it runs.

python serve_model.py FOLDER [--name NAME] [--port 0] prints "listening on PORT" once it answers.
"""

import argparse
import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable
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
        self._adapters: dict[str, Any] = {}

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
            "logprobs": self._logprobs(
                tokens, logits, int(body.get("top_logprobs", 0)), as_ids=bool(body.get("return_tokens_as_token_ids"))
            )
            if body.get("logprobs")
            else None,
        }
        usage = {"prompt_tokens": prompt.shape[1], "completion_tokens": len(tokens)}
        return 200, {"object": "chat.completion", "model": self.name, "choices": [choice], "usage": usage}

    def complete_tokens(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON for a completion whose prompt is a list of token ids, in vLLM's form."""
        if body.get("model") not in (self.name, *self._adapters):
            return 404, _error(f"The model `{body.get('model')}` does not exist.", "model_not_found")
        prompt, wanted = torch.tensor([body["prompt"]]), int(body.get("max_tokens", 16))
        with self._turn, torch.inference_mode():
            network = self._adapters.get(body["model"], self.network)
            tokens, logits = self._generate(prompt, wanted, body, network)
            given = None
            if body.get("prompt_logprobs") is not None:
                scores = torch.log_softmax(network(prompt).logits[0, :-1].float(), -1)
                given = self._prompt_logprobs(body["prompt"], scores, int(body["prompt_logprobs"]))
        taken = torch.log_softmax(logits.float(), -1)[range(len(tokens)), tokens].tolist()
        choice = {
            "index": 0, "text": self.tokenizer.decode(tokens, skip_special_tokens=True),
            "finish_reason": "stop" if tokens[-1] == self.tokenizer.eos_token_id else "length",
            "prompt_logprobs": given, "token_ids": tokens if body.get("return_token_ids") else None,
            "logprobs": None if body.get("logprobs") is None else {
                "tokens": [f"token_id:{one}" for one in tokens], "token_logprobs": taken,
            },
        }  # fmt: skip
        usage = {"prompt_tokens": prompt.shape[1], "completion_tokens": len(tokens)}
        return 200, {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}

    def _prompt_logprobs(self, prompt: list[int], scores: torch.Tensor, k: int) -> list[Any]:
        """Null, then one mapping a token: the k likeliest and the prompt's own."""
        given: list[Any] = [None]
        for token, row in zip(prompt[1:], scores, strict=True):
            given.append(
                {
                    str(one): {
                        "logprob": row[one].item(), "rank": int((row > row[one]).sum()) + 1,
                        "decoded_token": self.tokenizer.decode([one]),
                    }
                    for one in (*row.topk(k).indices.tolist(), token)
                }
            )  # fmt: skip
        return given

    def load_adapter(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Make a LoRA adapter's folder a model of its own name."""
        from peft import PeftModel

        name = body["lora_name"]
        if name in self._adapters:
            return 400, _error(f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
        with self._turn:
            self._adapters[name] = PeftModel.from_pretrained(copy.deepcopy(self.network), body["lora_path"]).eval()
        return 200, {}

    def unload_adapter(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Forget an adapter."""
        if self._adapters.pop(body["lora_name"], None) is None:
            return 404, _error(f"The lora adapter '{body['lora_name']}' cannot be found.", "NotFoundError")
        return 200, {}

    def rpc(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The one method of the workers that is needed: reload_weights from a folder."""
        if body.get("method") != "reload_weights":
            return 400, _error(f"no method {body.get('method')}", "bad_request")
        with self._turn:
            folder = body["kwargs"]["weights_path"]
            self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return 200, {"results": [None]}

    def _generate(
        self, prompt: torch.Tensor, wanted: int, body: dict[str, Any], network: Any = None
    ) -> tuple[list[int], torch.Tensor]:
        """New tokens (T) and the raw logits (T, V) that they were drawn from."""
        torch.manual_seed(int(body.get("seed", 0)))
        temperature = float(body.get("temperature", 1.0))
        sampling = {"do_sample": True, "temperature": temperature, "top_p": float(body.get("top_p", 1.0)), "top_k": 0}
        suppressed = [int(token) for token, bias in body.get("logit_bias", {}).items() if bias <= -100]
        if suppressed:
            sampling["suppress_tokens"] = suppressed
        out = (self.network if network is None else network).generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=wanted, output_logits=True,
            return_dict_in_generate=True, pad_token_id=self.tokenizer.eos_token_id,
            eos_token_id=self.tokenizer.eos_token_id, **(sampling if temperature > 0 else {"do_sample": False}),
        )  # fmt: skip
        return out.sequences[0, prompt.shape[1] :].tolist(), torch.cat(out.logits)

    def _logprobs(self, tokens: list[int], logits: torch.Tensor, k: int, *, as_ids: bool) -> dict[str, Any]:
        scores = torch.log_softmax(logits.float(), -1)
        content = []
        for token, row in zip(tokens, scores, strict=True):
            top = row.topk(k)
            pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
            entries = [self._entry(i, v, as_ids=as_ids) for i, v in pairs]
            content.append({**self._entry(token, row[token].item(), as_ids=as_ids), "top_logprobs": entries})
        return {"content": content}

    def _entry(self, token: int, logprob: float, *, as_ids: bool) -> dict[str, Any]:
        text = f"token_id:{token}" if as_ids else self.tokenizer.decode([token])
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _error(words: str, code: str) -> dict[str, Any]:
    return {"error": {"message": words, "type": "invalid_request_error", "code": code}}


async def serve(served: Served, port: int) -> None:
    """Answer until the process is ended."""

    def answering(answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> Callable[[web.Request], Awaitable[Any]]:
        async def handle(request: web.Request) -> web.Response:
            status, reply = await asyncio.to_thread(answer, await request.json())
            return web.json_response(reply, status=status)

        return handle

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": served.name, "object": "model"}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answering(served.complete))
    app.router.add_post("/v1/completions", answering(served.complete_tokens))
    app.router.add_post("/v1/load_lora_adapter", answering(served.load_adapter))
    app.router.add_post("/v1/unload_lora_adapter", answering(served.unload_adapter))
    app.router.add_post("/collective_rpc", answering(served.rpc))
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
