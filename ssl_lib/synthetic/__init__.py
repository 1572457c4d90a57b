"""The built-in world: documents full of numbers, and the items that the evaluation asks of it.

generator.py                 documents by seed, split and index; start reading here
items.py                     questions, pairs and labeled documents for the evaluation
reasoning.py                 facts of the ten reasoning families, and how they are stated
paraphrases.py               sentences that say a quantity twice
facts.py                     facts from tables of installed packages
templates.py                 templates of families and roles, common and held-out ones
compositional_templates.py   templates composed of parts, for training documents alone
entities.py                  people, firms, places, things, units of measure; nonce words
quantities.py                random draws, and which quantities belong to which split
document.py                  parsing of templates, the builder of labeled documents
"""
