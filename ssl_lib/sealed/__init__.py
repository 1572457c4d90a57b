"""The sealed second world: `ssl-lib evaluate --sealed` asks it once for a release, nobody else may.

Other trades, names, units and phrasings than those of `ssl_lib.synthetic`, with the same kinds of
items, so that the same four tasks run on them. No default is chosen on its figures, and no example
of a missed item is ever written: who has read those can no longer improve a model honestly.

stage.py      the command from top to bottom: refuse, ask, record; start reading here
tasks.py      the four tasks with sealed items
items.py      questions, pairs and labeled documents
documents.py  documents for next-token prediction: their domains, what they say twice
reasoning.py  facts of the families, and how they are drawn
cast.py       who and what one document speaks of
templates.py  sentences of the families and of the roles
words.py      names, things, units, currencies, facts
"""
