"""Nearest neighbours of held-out documents: do they come from the same domain?

Asked where a corpus has several domains. Legend: N documents, D width of the vectors.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ssl_lib.evaluation.base import Answered, Baselines, EvaluatedModel
from ssl_lib.evaluation.comparison import Details, Scores
from ssl_lib.evaluation.data import Document, EvaluationData, thinned
from ssl_lib.evaluation.own_text import OwnTextTask, held_out_documents
from ssl_lib.evaluation.statistics import Floats

FEWEST = 2  # documents of a domain: one has no neighbour to be found
TRAINING = 2_000  # documents on which TF-IDF and its factors are fitted
FACTORS = 100


class Neighbors(OwnTextTask[list[Document], Floats]):
    """The share of documents whose nearest other document comes from the same domain."""

    def items(self, data: EvaluationData) -> list[Document]:
        """Held-out documents of domains that have several; none where there is one domain."""
        documents = held_out_documents(data)
        sizes = Counter(document.domain for document in documents)
        kept = [one for one in documents if sizes[one.domain] >= FEWEST]
        domains = {document.domain for document in kept}
        return kept if len(domains) > 1 else []

    def answer(self, model: EvaluatedModel, items: list[Document]) -> Floats:
        """Unit vectors [N, D]."""
        vectors_ND = model.embed([document.text for document in items])
        return vectors_ND.astype(np.float64)

    def score(self, items: list[Document], answers: Floats) -> Scores:
        """1 where the nearest other document is of the same domain."""
        cosine_NN = answers @ answers.T
        # a document is not its own neighbour
        np.fill_diagonal(cosine_NN, -np.inf)
        nearest_N = cosine_NN.argmax(axis=1)
        domains_N = np.array([document.domain for document in items])
        return Scores((domains_N[nearest_N] == domains_N).astype(np.float64))

    def baselines(self, data: EvaluationData, items: list[Document]) -> Baselines[Floats]:
        """TF-IDF with its largest factors, fitted on training text; a document drawn blindly."""
        sizes = Counter(document.domain for document in items)
        others = len(items) - 1
        chance = float(np.mean([(sizes[one.domain] - 1) / others for one in items]))
        training = thinned(data.training_texts, TRAINING)
        return {"chance": chance, "tfidf_svd": _factors(training, items)}

    def details(self, asked: Answered[list[Document], Floats]) -> Details:
        """Domains of held-out documents and of those asked; the share of the largest of these."""
        every = {document.domain for document in asked.data.test_documents}
        left = Counter(document.domain for document in asked.items)
        largest = max(left.values()) / len(asked.items)
        return {"domains": {"asked": len(left), "held_out": len(every), "largest": largest}}


def _factors(training: list[str], items: list[Document]) -> Floats:
    """Unit vectors [N, D] of latent semantic analysis (Deerwester et al. 1990)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = TfidfVectorizer(sublinear_tf=True)
    training_MV = vectorizer.fit_transform(training)
    factors = min(FACTORS, min(training_MV.shape) - 1)
    found_NV: Any = vectorizer.transform([document.text for document in items])
    # a training text of one word has no factor: plain TF-IDF then
    if factors > 0:
        svd = TruncatedSVD(factors, random_state=0).fit(training_MV)
        found_NV = svd.transform(found_NV)
    unit_ND = normalize(found_NV)
    return np.asarray(unit_ND if isinstance(unit_ND, np.ndarray) else unit_ND.toarray())
