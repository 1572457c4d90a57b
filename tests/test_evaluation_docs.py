"""docs/evaluation.md: its example is read as it stands, and it names every metric."""

from __future__ import annotations

import re
from pathlib import Path

from report_inputs import evaluation
from ruamel.yaml import YAML

from ssl_lib.config import EXTERNAL_SETTINGS, ExternalTask, parse_settings
from ssl_lib.evaluation.external import Unusable, read_external
from ssl_lib.evaluation.readers import ListQuestion, Question

PAGE = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\S+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
del BLOCKS["python"]  # the fifth task: tests/test_fifth_task.py


def test_the_example_of_external_files_is_read_as_it_stands(tmp_path: Path) -> None:
    settings = parse_settings(YAML(typ="safe", pure=True).load(BLOCKS.pop("yaml")))
    folder = tmp_path / "data" / "external"
    folder.mkdir(parents=True)
    for name, text in BLOCKS.items():
        (folder / name).write_text(text, encoding="utf-8")
    sentences = "\n".join(re.sub("1999", str(1950 + n), BLOCKS["roles.conll"]) for n in range(10))
    (folder / "roles.conll").write_text(
        sentences, encoding="utf-8"
    )  # ten different ones, so that three parts have some
    read = read_external(settings.evaluation, tmp_path, seed=0)
    assert [one for one in read if isinstance(one, Unusable)] == []
    found = {one.settings.name: one for one in read}
    assert {Path(one.settings.path).name for one in found.values()} | {"STS.gs.txt"} == set(BLOCKS)
    assert found["roles"].items[0].labels == ("O", "year", "count", "O", "O")
    assert [len(found["roles"].learn), len(found["roles"].choose), len(found["roles"].items)] == [
        6,
        2,
        2,
    ]
    assert [type(item) for item in found["t5-maximum"].items] == [ListQuestion] * 2
    assert found["t5-numeration"].items[0].answer == "3473"
    assert [found[name].items[0].answer for name in ("gsm8k", "svamp")] == ["72", "8"]
    assert type(found["svamp"].items[0]) is Question
    assert [pair.score for name in ("sts", "semeval") for pair in found[name].items] == [
        4.5,
        0.2,
        5.0,
        0.0,
    ]
    assert found["sts-benchmark"].items[0].score == 4.4
    right = {name: found[name].items[0] for name in ("awpnli", "numersense", "numhg")}
    assert {name: item.choices[item.answer] for name, item in right.items()} == {
        "awpnli": " Ann has 8 pens.", "numersense": " four legs.", "numhg": "\n3 Found in Cave",
    }  # fmt: skip
    assert found["notes"].items == ["The bridge opened in 1999.", "It is 320 metres long."]
    assert found["articles"].items == ["Revenue rose 12% to $3.4 million."]


def test_every_metric_and_every_setting_is_explained() -> None:
    for key in set(evaluation()) - {"corpus", "seconds", "contamination"} | set(
        evaluation()["downstream"]
    ):
        if key != "downstream":
            assert f"`{key}`" in PAGE, key
    own = {key for keys in EXTERNAL_SETTINGS.values() for key in keys}
    for key in own | set(ExternalTask.model_fields):
        assert re.search(rf"\b{key}\b", PAGE), key
