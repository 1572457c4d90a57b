"""The guide runs as written, and its API does what it shows, here in the project's own words."""

from __future__ import annotations

import copy
import importlib
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import ssl_lib
from ssl_lib.errors import UserError

ROOT = Path(__file__).parents[1]
SHARED = (
    ROOT.parent / "shared"
)  # where the guide lies on some machines; it is no part of the project
MODELS = {
    "mlm": "MaskedLanguageModel",
    "ntp": "NextTokenPredictor",
    "contrastive": "ContrastiveTokenEncoder",
    "denoising": "DenoisingAutoencoder",
    "numerical": "NumericalPatternLearner",
}
TEXTS = [
    "The sum of 2 + 3 is 5",
    "Machine learning is powerful",
    "It rose by 12% to $3.4 million in May.",
]
SMALL = {"width": 32, "layers": 1, "heads": 2}


def padded(tokenizer: tiktoken.Encoding, texts: list[str], padding: int) -> Tensor:
    """Ids [N, T] of some texts."""
    rows = [tokenizer.encode(text) for text in texts]
    longest = max(map(len, rows))
    return torch.tensor([row + [padding] * (longest - len(row)) for row in rows])


def augment(tokens: Tensor) -> Tensor:
    """Another view: a sixth of the tokens replaced by GPT-2's end of text."""
    return torch.where(torch.rand(tokens.shape) < 1 / 6, 50256, tokens)


def what_the_guide_leaves_out(tokenizer: tiktoken.Encoding) -> dict[str, Any]:
    """Names that its blocks use and never define."""
    return {
        "torch": torch, "nn": nn, "copy": copy, "DataLoader": DataLoader, "tokenizer": tokenizer,
        "tokens": padded(tokenizer, TEXTS, 50259),
        "labels": torch.tensor([0, 1, 0]), "num_classes": 2,
        "labeled_dataloader": range(3), "ce_loss": nn.CrossEntropyLoss(), "augment": augment,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "guide.txt").exists(), reason="the guide is not on this machine")
def test_the_blocks_of_the_guide_run_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five models of width 768 over 50,257 tokens, 21 steps: about 150 s of one core, 5 GB."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(SHARED / "tiktoken_cache"))
    text = (SHARED / "guide.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 15
    scope = what_the_guide_leaves_out(tiktoken.get_encoding("gpt2"))
    torch.manual_seed(0)
    for number, block in enumerate(blocks):
        exec(compile(block, f"block {number} of the guide", "exec"), scope)
        scope |= {name: scope[f"{name}_model"] for name in MODELS if f"{name}_model" in scope}
        scope["encoder"] = scope.get("contrastive")
    shown = capsys.readouterr().out
    first, *_, last = [
        float(loss) for loss in re.findall(r"^MLM: (\S+), NTP: \S+$", shown, re.MULTILINE)
    ]
    assert len(re.findall("^MLM: ", shown, re.MULTILINE)) == 10
    assert last < first
    assert float(re.search(r"Min: (\S+)", shown)[1]) <= float(re.search(r"Mean: (\S+)", shown)[1])
    assert set(MODELS) < set(scope["losses"])
    assert scope["embeddings"].shape == (3, 768)
    assert scope["logits"].shape == (3, 2)
    assert isinstance(scope["momentum_encoder"], type(scope["encoder"]))


@pytest.fixture(scope="module")
def models(encoding: tiktoken.Encoding) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        name: getattr(ssl_lib, kind)(vocab_size=encoding.n_vocab, **SMALL)
        for name, kind in MODELS.items()
    }


@pytest.fixture(scope="module")
def trained(
    encoding: tiktoken.Encoding, models: dict[str, nn.Module]
) -> tuple[list[dict[str, float]], Any]:
    """Losses of ten epochs over three short texts, and the trainer."""
    dataset = ssl_lib.SelfSupervisedTextDataset(TEXTS, encoding)
    dataloader = DataLoader(dataset, batch_size=32)
    trainer = ssl_lib.SelfSupervisedTrainer(*models.values())
    return [trainer.train_step(batch) for _ in range(10) for batch in dataloader], trainer


def test_a_step_returns_the_losses_by_name_and_training_lowers_them(
    trained: tuple[list[dict[str, float]], Any],
) -> None:
    losses, _ = trained
    assert len(losses) == 10
    for name in MODELS:
        assert all(math.isfinite(step[name]) for step in losses)
    assert losses[-1]["mlm"] < losses[0]["mlm"]
    assert losses[-1]["ntp"] < losses[0]["ntp"]


def test_metrics_hold_current_mean_and_least_of_every_loss(
    trained: tuple[list[dict[str, float]], Any],
) -> None:
    losses, trainer = trained
    for name in MODELS:
        values = [step[name] for step in losses]
        expected = {"current": values[-1], "mean": sum(values) / len(values), "min": min(values)}
        assert trainer.get_metrics()[f"{name}_loss"] == pytest.approx(expected)


def test_models_without_arguments_have_the_sizes_of_the_guide() -> None:
    model = ssl_lib.ContrastiveTokenEncoder()
    assert model.trunk.shape.vocab_size == 50257
    assert model(torch.tensor([[464, 2160, 286, 362]])).shape == (1, 768)


def test_a_classifier_learns_from_embeddings_in_several_batches_and_leaves_the_encoder_alone(
    encoding: tiktoken.Encoding, models: dict[str, nn.Module]
) -> None:
    encoder = models["contrastive"]
    embeddings = encoder(padded(encoding, TEXTS, encoding.n_vocab + 2))
    before = copy.deepcopy(encoder.state_dict())
    classifier, labels = nn.Linear(32, 2), torch.tensor([0, 1, 0])
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(classifier(embeddings), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_a_copy_of_an_encoder_follows_it_with_momentum(models: dict[str, nn.Module]) -> None:
    encoder = models["contrastive"]
    momentum_encoder = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1.0)
    for parameter, slow in zip(encoder.parameters(), momentum_encoder.parameters(), strict=True):
        assert parameter is not slow
        expected = slow + 0.001
        slow.data = 0.999 * slow.data + 0.001 * parameter.data
        torch.testing.assert_close(slow, expected)


def test_ids_of_another_vocabulary_are_refused_before_they_pass_for_special_tokens(
    encoding: tiktoken.Encoding,
) -> None:
    """Mask, noise and padding of a model without an encoding are the ids after its vocabulary."""
    batch = next(iter(DataLoader(ssl_lib.SelfSupervisedTextDataset(TEXTS, encoding), batch_size=3)))
    highest = int(batch.token_ids_BT.max())
    fits, short = (
        ssl_lib.MaskedLanguageModel(vocab_size=size, **SMALL) for size in (highest + 1, highest)
    )
    assert math.isfinite(ssl_lib.SelfSupervisedTrainer(fits).train_step(batch)["mlm"])
    with pytest.raises(
        UserError, match=f"token id {highest} does not fit a model of vocab_size={highest}"
    ):
        ssl_lib.SelfSupervisedTrainer(short).train_step(batch)


def test_the_guides_import_name_gives_the_same_objects() -> None:
    alias = importlib.import_module("self_supervised_token_learning")
    assert set(alias.__all__) == set(ssl_lib.__all__)
    for name in ssl_lib.__all__:
        assert getattr(alias, name) is getattr(ssl_lib, name)
    with pytest.raises(ImportError):
        exec("from self_supervised_token_learning import nothing_of_the_kind", {})
    code = "import sys, self_supervised_token_learning\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
