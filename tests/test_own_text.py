"""Tasks about the corpus's own held-out documents, asked of texts whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import tiktoken
from evaluating import evaluation_data, pair_of
from report_inputs import evaluation

from ssl_lib.config import Settings
from ssl_lib.evaluation.comparison import estimate
from ssl_lib.evaluation.compressors import TrainingBytes, ppmd_predictions, xz_bits_per_byte
from ssl_lib.evaluation.context_baselines import ContextTables, seen_between, words_before
from ssl_lib.evaluation.data import Document, EvaluationData, numbers_in, thinned
from ssl_lib.evaluation.items import draw_items
from ssl_lib.evaluation.sentences import LONGEST, passages_of, sentences_of
from ssl_lib.evaluation.tasks import TASKS
from ssl_lib.evaluation.written_forms import reciprocal_ranks
from ssl_lib.numbers import find_numbers
from ssl_lib.predictor import Predictor
from ssl_lib.report.inputs import Inputs, Result
from ssl_lib.report.model_card import model_card
from ssl_lib.report.own_text import lead, own_text, summary, verdict

TRAINING = [
    f"Town {chr(65 + index % 26)} has {1000 + 37 * index} people and {3 + index % 9} schools. "
    f"Its tower is {20 + index} m high, and it was built in {1850 + index}."
    for index in range(120)
]
HELD_OUT = [
    f"The village {chr(65 + index)} has {2500 + 41 * index} people and {2 + index % 5} schools. "
    f"A bridge of {30 + index} m was opened in {1900 + 3 * index}, the next in {1990 + index}."
    for index in range(24)
]


@pytest.fixture
def data(encoding: tiktoken.Encoding) -> EvaluationData:
    """Towns for training, villages of two domains that are asked."""
    found = evaluation_data(encoding, TRAINING, HELD_OUT)
    training = [Document(text, "ab"[place % 2]) for place, text in enumerate(TRAINING)]
    asked = [Document(text, "ab"[place % 2]) for place, text in enumerate(HELD_OUT)]
    found = replace(found, training_documents=training, test_documents=asked)
    return replace(found, cleared={"held_out_text": HELD_OUT})


def test_tables_give_what_stands_behind_the_most_words_that_are_known() -> None:
    training = list(numbers_in([Document(text, "towns") for text in TRAINING]))
    tables = ContextTables(training)
    # written out: the values of all training numbers behind the same words, the longest match
    for asked in numbers_in([Document(text, "villages") for text in HELD_OUT]):
        expected: list[float] = []
        for count in (4, 3, 2, 1):
            words = words_before(asked.before, count)
            same = [n.value for n in training if words_before(n.before, count) == words]
            if len(same) >= 3 and len(words) == count:
                expected = same
                break
        (found,) = tables.behind_words([asked])
        assert sorted(found) == sorted(expected or tables.general)


def test_the_nearest_context_of_a_training_number_is_its_own() -> None:
    texts = [
        f"{word} costs {value} euros" for word, value in zip("abcdefgh", range(8), strict=True)
    ]
    texts = [f"The well known article {text}" for text in texts]
    training = list(numbers_in([Document(text, "") for text in texts]))
    tables = ContextTables(training * 25)
    for number in training:
        (values,) = tables.in_nearest_contexts([number])
        assert set(values) == {number.value}


def test_the_word_between_is_looked_for_on_both_sides_first() -> None:
    known = ["it was 7 days later", "it was 7 days later", "it was 9 weeks later"]
    training = list(numbers_in([Document(text, "d") for text in known]))
    asked = list(numbers_in([Document("it was 1 weeks later", "d"), Document("so 1 ends", "d")]))
    found = seen_between(asked, training)
    assert found["words_on_both_sides"] == ["9", "7"]
    assert found["most_frequent"] == ["7", "7"]


def test_thinning_keeps_order_and_reaches_to_the_end() -> None:
    kept = thinned(range(1000), 64)
    assert 32 <= len(kept) <= 64
    steps = set(np.diff(kept))
    assert len(steps) == 1
    assert 1000 - kept[-1] <= steps.pop()
    assert thinned(range(5), 64) == [0, 1, 2, 3, 4]


def with_best_word(predictor: Predictor, before: str, after: str) -> tuple[str, tuple[int, int]]:
    """A text whose middle token is the one that the model fills in, and where that stands."""
    everything = predictor.encoding.n_vocab
    masked = dict(predictor.fill_mask(f"{before}[MASK]{after}", everything, tokens=True))
    causal = dict(predictor.predict_next(before, everything, tokens=True))
    # both heads are asked
    word = max(masked, key=lambda one: masked[one] * causal.get(one, 0.0))
    start = len(before)
    return before + word + after, (start, start + len(word))


def test_what_a_mask_is_filled_with_is_restored_and_nothing_else(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    predictor = Predictor.untrained(settings, encoding)
    outcomes = []
    for before, after in (("It has", " people"), ("A tower of", " m"), ("In", " it fell")):
        text, place = with_best_word(predictor, before, after)
        other = f"{before} 12{after}"
        pieces = [len(encoding.encode(part)) for part in (before, text[slice(*place)], after)]
        # the model's own word is one token, and joins neither of its neighbours
        assert pieces[1] == 1
        assert sum(pieces) == len(encoding.encode(text))
        own, wrong = predictor.restores([text, other], [place, (len(before), len(before) + 3)])
        outcomes.append((bool(own), bool(wrong)))
    assert outcomes == [(True, False)] * 3


def test_a_long_text_is_cut_around_the_place_that_is_masked(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    predictor = Predictor.untrained(settings, encoding)
    filler = " is" * predictor.context_length
    # what the model sees: half a context before the place, the rest behind it
    half = predictor.context_length // 2
    seen = " is" * half, " is" * (predictor.context_length - half - 1)
    text, (start, end) = with_best_word(predictor, *seen)
    word = text[start:end]
    long_text = filler + word + filler
    place = (len(filler), len(filler) + len(word))
    assert len(encoding.encode(long_text)) == 2 * predictor.context_length + 1
    assert predictor.restores([long_text], [place]).tolist() == [True]
    # far from its beginning another word is not what stands there
    other = filler + " 12" + filler
    assert predictor.restores([other], [(len(filler), len(filler) + 3)]).tolist() == [False]


def test_a_number_longer_than_the_context_is_asked_as_far_as_it_is_kept(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    predictor = Predictor.untrained(settings, encoding)
    # beginning and end of the number lie outside of what the model sees
    number = "123456789" * 2 * predictor.context_length
    assert len(encoding.encode(number)) > 4 * predictor.context_length
    found = predictor.restores([f"In all {number} stars."], [(7, 7 + len(number))])
    assert found.tolist() == [False]


def test_another_form_keeps_all_values_and_a_variant_changes_one(data: EvaluationData) -> None:
    task = TASKS["written_forms"].load()
    items = task.items(data)
    assert items
    for item in items:
        values = [number.value for number in find_numbers(item.sentence)]
        assert [number.value for number in find_numbers(item.query)] == pytest.approx(values)
        assert item.query != item.sentence
        for variant in item.variants:
            others = [number.value for number in find_numbers(variant)]
            different = [a for a, b in zip(others, values, strict=True) if a != b]
            assert len(different) == 1
    methods = task.baselines(data, items)
    with_values = estimate(task.score(items, methods["tfidf_and_values"]))
    assert with_values == 1.0 > estimate(task.score(items, methods["tfidf_words"]))


def test_ties_count_against_a_rank() -> None:
    class Answers:
        sentences = np.array([[0.9, 0.9, 0.1], [0.2, 0.7, 0.1], [0.5, 0.6, 0.4]])

    assert reciprocal_ranks(Answers()).tolist() == [1 / 2, 1.0, 1 / 3]  # type: ignore[arg-type]


def test_one_number_of_a_passage_is_wrong_and_who_knows_it_has_an_area_of_one(
    data: EvaluationData,
) -> None:
    task = TASKS["wrong_number"].load()
    items = task.items(data)
    assert items
    for item in items:
        right = [number.text for number in item.numbers]
        (document,) = (text for text in HELD_OUT if text[:14] == item.text[:14])
        true = [n.text for n in numbers_in([Document(document, "")])]
        changed = [place for place, (a, b) in enumerate(zip(right, true, strict=True)) if a != b]
        assert changed == [item.wrong]
        assert len(right[item.wrong]) == len(true[item.wrong])
    knowing = [np.eye(len(item.numbers))[item.wrong] for item in items]
    assert estimate(task.score(items, knowing)) == 1.0
    assert estimate(task.score(items, [-row for row in knowing])) == 0.0
    assert estimate(task.score(items, [0 * row for row in knowing])) == 0.5


def test_neighbors_are_asked_where_there_are_domains(data: EvaluationData) -> None:
    task = TASKS["neighbors"].load()
    items = task.items(data)
    by_domain = np.array([[1.0, 0.0] if one.domain == "a" else [0.0, 1.0] for one in items])
    assert estimate(task.score(items, by_domain)) == 1.0
    # each document is nearest to the one behind it, which is of the other domain
    pairs = np.repeat(np.eye(len(items) // 2), 2, axis=0)
    assert [one.domain for one in items[:4]] == ["a", "b", "a", "b"]
    assert estimate(task.score(items, pairs)) == 0.0
    one_domain = replace(data, test_documents=[Document(text, "a") for text in HELD_OUT])
    assert task.items(one_domain) == []
    assert task.results(pair_of(None, None), one_domain, []) == {}


def test_compressors_pay_little_for_what_they_have_read() -> None:
    read, nothing = TrainingBytes([" ".join(TRAINING)]), TrainingBytes([])
    (known,) = ppmd_predictions([TRAINING[50]], read)
    (unknown,) = ppmd_predictions([TRAINING[50]], nothing)
    assert 0 < known.nll.sum() < 0.2 * unknown.nll.sum()
    assert xz_bits_per_byte([TRAINING[50]], read) < 0.5 * xz_bits_per_byte([TRAINING[50]], nothing)


class CountedReads(list[Document]):
    """Documents that count how often they are run through."""

    reads = 0

    def __iter__(self) -> Iterator[Document]:
        self.reads += 1
        return super().__iter__()


def test_training_text_is_read_once_for_what_several_tasks_ask(data: EvaluationData) -> None:
    # compressors: two of them, of the corpus's own documents and of two files of the user's
    counted = CountedReads(Document(text, "") for text in TRAINING)
    data = replace(data, training_documents=counted)
    task = TASKS["held_out_text"].load()
    for texts in (HELD_OUT, HELD_OUT[:3], HELD_OUT[3:5]):
        assert {"ppmd", "xz"} <= set(task.baselines(data, texts))
    assert counted.reads == 1
    # numbers of training text: those that items are made of are those of the plain methods
    counted.reads = 0
    tasks = {name: TASKS[name].load() for name in ("next_number", "wrong_number")}
    held_out = TASKS["held_out_text"].load()
    items = draw_items({"held_out_text": held_out, **tasks}, data)
    for name, task in tasks.items():
        assert task.baselines(data, items.by_task[name])
    assert counted.reads == 1


def test_decimal_commas_are_those_of_the_setting(encoding: tiktoken.Encoding) -> None:
    # nothing in these texts tells their language
    texts = [f"Zone 3,{place} V, 1,{place} h, 20{place} m." for place in range(9)]
    data = evaluation_data(encoding, texts, texts)
    data = replace(data, locale="de", cleared={"held_out_text": texts})
    expected = [
        value for place in range(9) for value in (3 + place / 10, 1 + place / 10, 200 + place)
    ]
    assert [number.value for number in data.training_numbers] == pytest.approx(expected)
    task = TASKS["next_number"].load()
    items = task.items(data)
    assert items.values == pytest.approx(expected)
    before = task.baselines(data, items)["last_number"].point
    # what stands before the second and the third number of each text
    for place, number in ((1, 0), (2, 1)):
        assert before[place::3] == pytest.approx(expected[number::3])
    for passage in TASKS["wrong_number"].load().items(data):
        assert len(passage.numbers) == 3
    masked = [one.text for one in TASKS["masked_text"].load().items(data) if one.form != "word"]
    assert masked == [number.text for number in data.training_numbers]


def test_a_decimal_comma_stands_inside_of_a_number(
    settings: Settings, encoding: tiktoken.Encoding
) -> None:
    model = Predictor.untrained(settings, encoding)
    task = TASKS["held_out_text"].load()
    texts = [f"Zone 3,{place} V." for place in range(9)]
    sizes = {}
    for locale in ("de", "en"):
        data = replace(evaluation_data(encoding), locale=locale)
        found = task.run(pair_of(model, model), data, texts)
        sizes[locale] = found.details["positions"]["numbers"]
    # the comma of each text is a token of its own
    assert encoding.encode(texts[0]).count(*encoding.encode(",")) == 1
    assert sizes["de"] == sizes["en"] + 9


def test_another_form_has_the_same_value_where_commas_are_decimal(
    encoding: tiktoken.Encoding,
) -> None:
    texts = [f"Es wiegt {2000 + index} kg und {3000 + index} kg." for index in range(30)]
    data = evaluation_data(encoding, texts, texts)
    data = replace(data, locale="de", cleared={"held_out_text": texts})
    items = TASKS["written_forms"].load().items(data)
    assert items
    for item in items:
        values = [number.value for number in find_numbers(item.sentence, "de")]
        assert [number.value for number in find_numbers(item.query, "de")] == values


def test_sentences_and_passages_are_pieces_of_the_text() -> None:
    text = " ".join(TRAINING[:10])
    passages = list(passages_of(text))
    assert len(passages) >= 3
    # nothing is lost but the spaces between them
    assert " ".join(passages) == text
    assert max(map(len, passages)) <= LONGEST
    assert list(sentences_of("Up. It rose by 3.5 % in May 2020. Then it fell by 12 points.")) == [
        "It rose by 3.5 % in May 2020.",
        "Then it fell by 12 points.",
    ]


def test_every_task_answers_with_intervals_and_plain_methods(
    settings: Settings, encoding: tiktoken.Encoding, data: EvaluationData
) -> None:
    pair = pair_of(
        Predictor.untrained(settings, encoding),
        Predictor.untrained(settings.replaced({"seed": 5}), encoding),
    )
    own = [task for task in TASKS.values() if task.section == "own_text"]
    for known in own:
        task = known.load()
        items = HELD_OUT if known.name == "held_out_text" else task.items(data)
        results = task.results(pair, data, items)
        assert known.name in results
        for result in results.values():
            assert result.metric == known.metric
            assert result.ci95[0] <= result.after <= result.ci95[1]
            assert result.baselines_ci95, known.name
    assert {known.name for known in own} >= {"next_number", "masked_text"}


def test_the_verdict_is_that_of_paired_intervals() -> None:
    tree = {
        "metric": "accuracy", "before": 0.2, "after": 0.5, "ci95": [0.4, 0.6], "n": 90,
        "difference_ci95": [0.2, 0.4], "baselines": {"chance": 0.9, "table": 0.4},
        "baselines_ci95": {"table": [0.3, 0.5]}, "over_baselines_ci95": {"table": [0.02, 0.2]},
    }  # fmt: skip
    assert verdict(Result.of(tree)) == "better than Table"
    tree["over_baselines_ci95"] = {"table": [-0.1, 0.2]}
    assert verdict(Result.of(tree)) == "no clear difference from Table"
    tree["over_baselines_ci95"] = {"table": [-0.3, -0.1]}
    tree["difference_ci95"] = [-0.1, 0.1]
    expected = "worse than Table; no clear gain over its random start"
    assert verdict(Result.of(tree)) == expected
    # less is better: the signs turn
    tree["higher_is_better"] = False
    assert verdict(Result.of(tree)).startswith("better than Table")
    assert "use the plain method" not in summary({"next_number": Result.of(tree)})


def test_a_task_without_a_plain_method_is_compared_with_its_random_start() -> None:
    tree = {"metric": "accuracy", "before": 0.2, "after": 0.5, "difference_ci95": [0.2, 0.4]}
    lonely = Result.of(tree)
    assert verdict(lonely) == "better than its random start"
    even = Result.of(tree | {"difference_ci95": [-0.1, 0.4]})
    assert verdict(even) == "no clear difference from its random start"
    assert summary({"neighbors": lonely}) == "No plain method was asked beside the trained model."
    known = {"baselines": {"table": 0.4}, "over_baselines_ci95": {"table": [0.02, 0.2]}}
    both = {"neighbors": lonely, "next_number": Result.of(tree | known)}
    assert summary(both) == "Better than every plain method in 1 of 1 tasks, worse in 0."


def test_what_could_not_be_measured_is_a_dash_in_the_model_card(settings: Settings) -> None:
    row = {
        "metric": "spearman", "before": None, "before_ci95": [None, None], "after": 0.5,
        "ci95": [0.4, 0.6], "n": 1200, "baselines": {"chance": 0.0, "tfidf_words": None},
    }  # fmt: skip
    losses = {"ntp": {"before": None, "after": 3.25}}
    found = Inputs(evaluation={"losses": losses, "downstream": {"semantic_similarity": row}})
    card = model_card(settings, found)
    assert "| ntp | – | 3.250 |" in card
    title = TASKS["semantic_similarity"].title
    assert f"| {title} | spearman | – | 0.500 (0.400 to 0.600) | none | 1,200 |" in card
    measured = row | {"baselines": {"chance": 0.0, "tfidf_words": 0.3}}
    found = Inputs(evaluation={"downstream": {"semantic_similarity": measured}})
    assert "| 0.300 (TF-IDF, words) | 1,200 |" in model_card(settings, found)


def test_the_page_begins_with_who_is_better_or_says_that_nothing_was_asked() -> None:
    shown = own_text(Inputs(evaluation=evaluation()))
    assert "Better than every plain method in 1 of 2 tasks, worse in 1 (Masked number)." in shown
    assert "nothing about the corpus" in own_text(Inputs())


def test_language_is_asked_of_unseen_documents_and_of_all(
    settings: Settings, encoding: tiktoken.Encoding, data: EvaluationData
) -> None:
    pair = pair_of(*[Predictor.untrained(settings, encoding)] * 2)
    task = TASKS["held_out_text"].load()
    # a document that stands in training is among all, and not among the unseen
    data = replace(data, test_documents=[*data.test_documents, Document(TRAINING[0], "a")])
    results = task.results(pair, data, HELD_OUT)
    unseen, every = results["held_out_text"], results["all_documents"]
    assert (unseen.n, every.n) == (len(HELD_OUT), len(HELD_OUT) + 1)
    assert every.baselines["ppmd"] < unseen.baselines["ppmd"]


def test_a_text_costs_the_same_when_it_is_asked_again() -> None:
    read = TrainingBytes(TRAINING[:60])
    first = [one.nll.sum() for one in ppmd_predictions(HELD_OUT[:3], read)]
    assert [one.nll.sum() for one in ppmd_predictions(HELD_OUT[:3], read)] == first
    # whoever reads the same says the same
    assert [
        one.nll.sum() for one in ppmd_predictions(HELD_OUT[:3], TrainingBytes(TRAINING[:60]))
    ] == (first)


def test_documents_that_are_asked_come_from_all_of_the_split(encoding: tiktoken.Encoding) -> None:
    texts = [f"Parish {place} keeps {place + 7} bells." for place in range(600)]
    data = evaluation_data(encoding, TRAINING, texts)
    task = TASKS["held_out_text"].load()
    asked = draw_items({"held_out_text": task}, data).by_task["held_out_text"]
    assert len(asked) == task.wanted(data.settings) < len(texts)
    # as many of the last third as of the first
    assert abs(sum(text in texts[:200] for text in asked) - len(asked) / 3) <= 1
    assert abs(sum(text in texts[400:] for text in asked) - len(asked) / 3) <= 1


def test_the_page_says_where_the_model_loses_and_how_few_domains_are_asked() -> None:
    def page(domains: dict[str, float] | None) -> str:
        tree = evaluation()
        if domains is None:
            return own_text(Inputs(evaluation=tree))
        tree["own_text"]["neighbors"] = {"metric": "accuracy", "before": 0.5, "after": 0.5}
        details = {"neighbors": {"details": {"domains": domains}}}
        return own_text(Inputs(evaluation=tree, details=details))

    # and at its head, where it loses
    own = evaluation() | {"corpus": {"name": "reports"}}
    assert "worse in 1 (Masked number)" in str(lead(Inputs(evaluation=own)))
    assert lead(Inputs(evaluation=evaluation())) is None
    assert page(None).count("✗ worse") == page(None).count("✓ better") == 1
    assert "asked in 2 of 5 domains" in page({"asked": 2, "held_out": 5})
    assert "The nearest document is not asked" in page(None)
    assert "nearest document is" not in page({"asked": 5, "held_out": 5})
    alone = {"asked": 2, "held_out": 2, "largest": 93 / 95}
    assert "97.9% are of one domain" in page(alone)
