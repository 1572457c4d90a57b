"""Contrastive learning: a restatement is found among 1,000 sentences, 100 of them all but alike.

A scene is one sentence with 101 amounts, of which some are said again in another way. Of each of
these, the vector should be nearest to that of the sentence meant: among the 100 others of its scene
and 899 sentences of other scenes and of held-out documents. In the built-in world scenes are
propositions of split `test`; in any corpus they are held-out sentences with a number that can be
written in another form.

Legend: Q restatements, M sentences, K candidates of a restatement, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ssl_lib.evaluation.base import EvaluatedModel, ModelPair
from ssl_lib.evaluation.data import EvaluationData
from ssl_lib.evaluation.number_prediction import spread
from ssl_lib.evaluation.own_text import held_out_documents
from ssl_lib.evaluation.sentences import sentences_of
from ssl_lib.evaluation.skills import Skill
from ssl_lib.evaluation.skills.base import WHOLE, Part, Scored, SkillMeasure
from ssl_lib.evaluation.statistics import Floats, Integers
from ssl_lib.evaluation.written_forms import Amounts, amounts_of, other_forms, put
from ssl_lib.numbers import Number, find_numbers
from ssl_lib.synthetic.items import RESTATED, Restated, restated_sentences

AMOUNTS, CANDIDATES = 101, 1000
ASKED = 5  # amounts of a scene that are said again
OWN = "own_sentences"  # the part of scenes made of held-out sentences
MEAN_RANK = "mean_reciprocal_rank"
FEWEST = 8  # amounts of a scene, below which it asks nothing


class Scenes(NamedTuple):
    """M sentences and Q restatements with the candidates of each, the one meant first [Q, K].

    `scenes` is the scene of each restatement, `ways` how it is said again.
    """

    sentences: list[str]
    restatements: list[str]
    candidates: Integers
    scenes: Integers
    ways: list[str]


class Restatements(SkillMeasure[Scenes, Floats]):
    """The share of restatements whose sentence is nearest; mean reciprocal rank beside."""

    def __init__(self, skill: Skill) -> None:
        super().__init__(skill)
        self.amounts = AMOUNTS

    def items(self, data: EvaluationData, context_length: int) -> Scenes:
        """Scenes of the built-in world where the corpus has its documents, and of own sentences."""
        count = max(4, data.settings.items // 40)
        documents = held_out_documents(data)
        sentences = dict.fromkeys(
            sentence for document in documents for sentence in sentences_of(document.text)
        )
        scenes = own_scenes(data, count, self.amounts)
        if data.determined:
            scenes += restated_sentences(count, data.seed, "test", self.amounts, ASKED)
        return asked_of(scenes, list(sentences), data.seed)

    def answer(self, model: EvaluatedModel, items: Scenes) -> Floats:
        """Cosines of the model's vectors with those of the candidates [Q, K]."""
        vectors_QD = model.embed(items.restatements)
        vectors_MD = model.embed(items.sentences)
        return of_candidates(vectors_QD @ vectors_MD.T, items)

    def score(self, items: Scenes, answers: Floats) -> dict[str, Part]:
        """Accuracy in all and by the way of saying it again, and the mean reciprocal rank."""
        right_Q = answers[:, :1]
        # at equal cosines the credit is shared, and the rank is the worst
        at_least_Q = (answers >= right_Q - 1e-7).sum(axis=1)
        first_Q = (answers > right_Q + 1e-7).sum(axis=1) == 0
        credits_Q = first_Q / at_least_Q
        found = {WHOLE: Part.mean("accuracy_at_1", credits_Q, items.scenes)}
        ways_Q = np.array(items.ways)
        for way in (*RESTATED, OWN):
            found[way] = Part.mean("accuracy_at_1", credits_Q, items.scenes, ways_Q == way)
        return found | {MEAN_RANK: Part.mean(MEAN_RANK, 1.0 / at_least_Q, items.scenes)}

    def baselines(
        self, data: EvaluationData, pair: ModelPair, items: Scenes
    ) -> Mapping[str, Scored]:
        """TF-IDF of words and of characters; the sentences weigh them."""
        words = _tfidf(items, token_pattern=r"[\w.]+|[^\w\s]")
        characters = _tfidf(items, analyzer="char_wb", ngram_range=(2, 4))
        return {
            "tfidf_words": self.score(items, words),
            "tfidf_characters": self.score(items, characters),
        }


def own_scenes(data: EvaluationData, count: int, amounts: int) -> list[Restated]:
    """Held-out sentences with amounts in place of one number: near ones, and training's.

    What is said again is the sentence itself and a few of its variants, in another written form.
    """
    known = amounts_of(data)
    random = np.random.default_rng(data.seed)
    found = []
    for document in held_out_documents(data):
        locale = document.locale or data.locale
        for sentence in dict.fromkeys(sentences_of(document.text)):
            scene = _own_scene(sentence, known, random, locale, amounts)
            if scene is not None:
                found.append(scene)
    return [found[place] for place in spread(len(found), count, data.seed)]


def _own_scene(
    sentence: str, known: Amounts, random: np.random.Generator, locale: str, amounts: int
) -> Restated | None:
    """The first number of the sentence that has another form, with other amounts in its place."""
    for number in find_numbers(sentence, locale):
        if not other_forms(number, locale):
            continue
        others = [text for text, _ in known[number.form, locale]]
        random.shuffle(others)
        texts = dict.fromkeys([number.text, *_near(number.text), *others[:amounts]])
        # each amount once: 1,000 and 1000 would be two ways to be right
        values: dict[float, Number] = {}
        for text in texts:
            parsed = find_numbers(text, locale)
            whole = len(parsed) == 1 and parsed[0].text == text
            if whole and np.isfinite(parsed[0].value):
                values.setdefault(parsed[0].value, parsed[0])
        chosen = list(values.values())[:amounts]
        if len(chosen) < FEWEST:
            continue
        told: list[tuple[int, str]] = []
        for place, one in enumerate(chosen):
            forms = other_forms(one, locale)
            if forms and len(told) < ASKED:
                form = forms[int(random.integers(len(forms)))]
                told.append((place, put(sentence, number, form)))
        sentences = tuple(put(sentence, number, one.text) for one in chosen)
        return Restated(sentences, {OWN: tuple(told)})
    return None


def _near(text: str) -> list[str]:
    """A number with one digit changed, at most half of the amounts: "12" → "13", "11", "22"."""
    found = []
    for place, character in enumerate(text):
        if character.isascii() and character.isdigit():
            for digit in "0123456789":
                leading = place == 0 and digit == "0"
                if digit != character and not leading:
                    found.append(text[:place] + digit + text[place + 1 :])
    return found[:: 1 + len(found) // (AMOUNTS // 2)]


def asked_of(scenes: list[Restated], sentences: list[str], seed: int) -> Scenes:
    """All restatements of the scenes, each with its own scene and others as candidates."""
    every: list[str] = []
    starts = []
    for scene in scenes:
        starts.append(len(every))
        every += scene.sentences
    # others: held-out sentences, then one of each scene, which no own scene may hold
    first_other = len(every)
    every += [sentence for sentence in sentences if sentence not in set(every)]
    random = np.random.default_rng(seed)
    restatements, candidates, owners, ways = [], [], [], []
    for place, (scene, start) in enumerate(zip(scenes, starts, strict=True)):
        elsewhere = [one for one in starts if one != start]
        pool = np.array([*range(first_other, len(every)), *elsewhere], dtype=np.int64)
        others = random.permutation(pool)[:CANDIDATES]
        own = np.arange(start, start + len(scene.sentences))
        for way, told in scene.restatements.items():
            for meant, text in told:
                restatements.append(text)
                rivals = np.delete(own, meant)
                candidates.append(np.concatenate([[start + meant], rivals, others]))
                owners.append(place)
                ways.append(way)
    # a small corpus has fewer
    most = min([CANDIDATES, *map(len, candidates)])
    table = np.array([row[:most] for row in candidates], dtype=np.int64)
    table = table.reshape(len(restatements), most)
    return Scenes(every, restatements, table, np.array(owners, dtype=np.int64), ways)


def of_candidates(cosines_QM: Any, items: Scenes) -> Floats:
    """The cosines of each restatement with its candidates [Q, K]."""
    rows_Q1 = np.arange(len(items.restatements))[:, None]
    found: Floats = np.asarray(cosines_QM, dtype=np.float64)[rows_Q1, items.candidates]
    return found


def _tfidf(items: Scenes, **options: Any) -> Floats:
    """Cosines of TF-IDF vectors with the candidates [Q, K]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not items.sentences:
        return np.zeros((0, 1))
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options)
    sentences_MV = vectorizer.fit_transform(items.sentences)
    queries_QV = vectorizer.transform(items.restatements)
    return of_candidates((queries_QV @ sentences_MV.T).toarray(), items)
