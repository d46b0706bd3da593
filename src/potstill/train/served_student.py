"""The student on a server that samples its rollouts: every so many steps the server loads its newest weights."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from potstill.config import RolloutServer
from potstill.errors import PotstillError
from potstill.models.asking import ask_all
from potstill.models.client import Client, Fatal, Permanent
from potstill.models.drawing import Draw, Drawn, draw_answer

FIELD = "train.on_policy.endpoint"


class ServedStudent:
    """Samples from a server, whose weights are those of the last refresh: at every `refresh_steps`-th step.

    Weights go through folders under `home`, which the server must see under the same path: LoRA adapters through vLLM's
    /v1/load_lora_adapter, each under a name of its own; whole models through its worker method reload_weights. `save`
    writes the student's weights into a folder, `run` tells this training's folders from another's, and `end` is the end
    token. Raises RecipeError where the server's key is missing.
    """

    def __init__(
        self, section: RolloutServer, save: Callable[[Path], None], home: Path, run: str, end: int, *,
        lora: bool, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._section, self._save, self._home, self._run, self._end = section, save, home, run[:12], end
        self._lora, self._say = lora, say
        self._client = Client(section, FIELD)
        self._loaded: int | None = None  # the step whose weights the server has

    def refresh(self, step: int) -> bool:
        """Give the server this step's weights where it is time; returns whether it has got them just now.

        A resumed training gives it again those that it had, so that it goes on as it would have unbroken.
        """
        due = self._due(step)
        if due == self._loaded:
            return False
        folder = self._folder(due)
        resumed = self._loaded is None and folder.is_dir()
        if not resumed:
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            self._save(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        asyncio.run(self._load(due, self._loaded))
        self._loaded = due
        return due == step

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, temperature: float, seeds: Sequence[int]
    ) -> list[Drawn]:
        """Answer token prompts; every row has a seed of its own. Raises PotstillError where the server does not."""
        version = self._version(self._loaded)
        draws = [
            Draw(prompt, max_new_tokens, temperature, seed, self._end, version)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        model = version if self._lora else self._section.model

        async def ask(draw: Draw) -> Drawn:
            return await draw_answer(self._client, model, draw)

        def tokens(draw: Draw) -> float:
            return len(draw.prompt) + draw.max_new_tokens

        return asyncio.run(ask_all(self._client, draws, ask, self._section.max_attempts, self._say, tokens=tokens))

    def forget_before(self, step: int) -> None:
        """Drop the folders that a training which goes on at `step` does not need."""
        for folder in self._home.glob(f"{self._run}-*"):
            number = folder.name.removeprefix(f"{self._run}-")
            if number.isdecimal() and int(number) < self._due(step):
                shutil.rmtree(folder, ignore_errors=True)

    def _due(self, step: int) -> int:
        return step - step % self._section.refresh_steps

    def _folder(self, due: int) -> Path:
        return self._home / f"{self._run}-{due:06d}"

    def _version(self, due: int | None) -> str:
        return f"{self._section.model}-{self._run}-{due}"

    async def _load(self, due: int, before: int | None) -> None:
        path = str(self._folder(due).resolve())

        async def load(_: int) -> None:
            try:
                if self._lora:
                    await self._load_adapter(self._version(due), path)
                else:
                    reload = {"method": "reload_weights", "kwargs": {"weights_path": path}}
                    await self._client.tell("/collective_rpc", reload)
            except (Fatal, Permanent) as error:
                raise PotstillError(f"{FIELD}: the server did not load {path} ({error}); {self._how()}") from None
            if self._lora and before is not None:
                with suppress(Fatal, Permanent):  # the old adapter only takes room
                    await self._client.tell("unload_lora_adapter", {"lora_name": self._version(before)})

        await ask_all(self._client, [due], load, self._section.max_attempts, self._say)

    async def _load_adapter(self, name: str, path: str) -> None:
        request = {"lora_name": name, "lora_path": path}
        try:
            await self._client.tell("load_lora_adapter", request)
        except Permanent:  # a killed training may have left the name behind
            with suppress(Fatal, Permanent):
                await self._client.tell("unload_lora_adapter", {"lora_name": name})
            await self._client.tell("load_lora_adapter", request)

    def _how(self) -> str:
        if self._lora:
            return "it takes vLLM with --enable-lora, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and the same file system"
        return (
            "it takes vLLM with VLLM_SERVER_DEV_MODE=1, of a release whose reload_weights takes weights_path, and the "
            "same file system"
        )
