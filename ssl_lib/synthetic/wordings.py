"""The wordings of the reasoning families: a few frequent ones, rarer ones, and reserved ones for test documents only.

Slots: `a`, `b` operands, `c` the answer, `h` and `l` the larger and the smaller, `x y z v w` the elements of a list or
a sequence, `s` a step, `r` a ratio, `f` a factor, `p` a percentage; `w` and `W` of numeration are words.
"""

from __future__ import annotations

from ssl_lib.synthetic.page import Template, plain, weighted

ADDITION = weighted(
    {
        "{a} + {b} = {c!}.": 8,
        "The sum of {a} and {b} is {c!}.": 8,
        "{a} plus {b} is {c!}.": 5,
        "Adding {b} to {a} makes {c!}.": 3,
    },
    [
        "The total of {a} and {b} is {c!}.",
        "Together, {a} and {b} make {c!}.",
        "Add {a} and {b}, and the result is {c!}.",
        "{a} and {b} added together equals {c!}.",
        "{who} has {a} {things} and {other} {b}, together {c!}.",
        "{who} had {a} {things} and bought {b} more, which makes {c!}.",
        "{a} {things} and {b} {things} makes {c!} {things!}.",
        "{a} increased by {b} is {c!}.",
        "What is {a} plus {b}? It is {c!}.",
        "{a} and {b} sum to {c!}.",
    ],
)
ADDITION_RESERVED = plain(
    [
        "Put {a} and {b} together and the result is {c!}.",
        "When {b} is added to {a}, the total is {c!}.",
        "{who} bought {a} {things} and {other} bought {b}, in total {c!}.",
        "What is the sum of {a} and {b}? It is {c!}.",
    ]
)
SUBTRACTION = weighted(
    {
        "{a} - {b} = {c!}.": 8,
        "The difference between {a} and {b} is {c!}.": 8,
        "{a} minus {b} is {c!}.": 5,
        "Taking {b} from {a} leaves {c!}.": 3,
    },
    [
        "Subtracting {b} from {a} gives {c!}.",
        "Take {b} from {a}, and the result is {c!}.",
        "{a} reduced by {b} equals {c!}.",
        "{who} had {a} {things} and sold {b}, so {c!} were left.",
        "{who} has {a} {things} and {other} {b}, a difference of {c!}.",
        "Of {a} {things}, {b} were used, which leaves {c!}.",
        "What is {a} minus {b}? It is {c!}.",
        "{a} is more than {b} by {c!}.",
        "From {b} up to {a} the distance is {c!}.",
        "{a} less {b} is {c!}.",
    ],
)
SUBTRACTION_RESERVED = plain(
    [
        "Take {b} away from {a} and the result is {c!}.",
        "When {b} is taken from {a}, the difference is {c!}.",
        "{who} had {a} {things} and used {b}, which leaves {c!}.",
        "What is the difference between {a} and {b}? It is {c!}.",
    ]
)
COMPARISON = weighted(
    {
        "The larger of {a} and {b} is {h!}.": 8,
        "The smaller of {a} and {b} is {l!}.": 8,
        "Between {a} and {b}, the larger is {h!}.": 3,
        "Between {a} and {b}, the smaller is {l!}.": 3,
    },
    [
        "Of {a} and {b}, the greater is {h!}.",
        "Of {a} and {b}, the lesser is {l!}.",
        "Is {a} more than {b}? {more!}.",
        "Is {a} less than {b}? {less!}.",
        "{h} is more than {l}, so the larger is {h!}.",
        "{l} is less than {h}, so the smaller is {l!}.",
        "{h} > {l}, so the larger one is {h!}.",
        "{l} < {h}, so the smaller one is {l!}.",
        "Which is larger, {a} or {b}? It is {h!}.",
        "Which is smaller, {a} or {b}? It is {l!}.",
        "Comparing {a} with {b}, the higher one is {h!}.",
        "Comparing {a} with {b}, the lower one is {l!}.",
    ],
)
COMPARISON_RESERVED = plain(
    [
        "When {a} and {b} are compared, the larger is {h!}.",
        "When {a} and {b} are compared, the smaller is {l!}.",
        "Of the two numbers {a} and {b}, the larger one is {h!}.",
        "Of the two numbers {a} and {b}, the smaller one is {l!}.",
    ]
)

LISTS = ("{x}, {y} and {w}", "{x}, {y}, {z} and {w}", "{x}, {y}, {z}, {v} and {w}")


def _extreme(best: str, shapes: list[str]) -> list[str]:
    filled = (shape.replace("BEST", best).replace("ANSWER", "{c!}") for shape in shapes)
    return [shape.replace("LIST", numbers) for shape in filled for numbers in LISTS]


def _extreme_wordings(best: str) -> tuple[Template, ...]:
    frequent = dict.fromkeys(_extreme(best, ["The BEST of LIST is ANSWER."]), 8)
    frequent |= dict.fromkeys(_extreme(best, ["Among LIST, the BEST number is ANSWER."]), 4)
    return weighted(frequent, _extreme(best, _EXTREME_RARE))


_EXTREME_RARE = [
    "Of LIST, the BEST is ANSWER.",
    "In the list LIST, the BEST is ANSWER.",
    "Which of LIST is the BEST? It is ANSWER.",
    "The numbers are LIST, and the BEST is ANSWER.",
    "Given LIST, the BEST value is ANSWER.",
    "The BEST value among LIST is ANSWER.",
    "Comparing LIST, the BEST is ANSWER.",
    "Out of LIST, the BEST one is ANSWER.",
    "From LIST the BEST is ANSWER.",
    "The BEST number in LIST is ANSWER.",
]
_EXTREME_RESERVED = [
    "Take LIST: the BEST is ANSWER.",
    "When LIST are compared, the BEST is ANSWER.",
    "The BEST one of the numbers LIST is ANSWER.",
]
MAXIMUM, MAXIMUM_RESERVED = (
    _extreme_wordings("largest"),
    plain(_extreme("largest", _EXTREME_RESERVED)),
)
MINIMUM, MINIMUM_RESERVED = (
    _extreme_wordings("smallest"),
    plain(_extreme("smallest", _EXTREME_RESERVED)),
)
SEQUENCE = weighted(
    {
        "The sequence {x}, {y}, {z}, {v} continues with {c!}.": 8,
        "{x}, {y}, {z}, {v!}, {c!}.": 6,
        "After {x}, {y}, {z}, {v} the next number is {c!}.": 6,
    },
    [
        "Counting {way} by {s}: {x}, {y!}, {z!}, {v!}, {c!}.",
        "After {x}, {y}, {z} comes {v!}.",
        "The next term of {x}, {y}, {z}, {v} is {c!}.",
        "From {x} {way} by {s}: {y!}, {z!}, {v!}, {c!}.",
        "{x}, {y}, {z}, {v} goes {way} in steps of {s!}.",
        "The steps from {x} to {y}, {z!} and {v!} are all {s!}.",
        "What follows {x}, {y}, {z}, {v}? It is {c!}.",
        "In the series {x}, {y}, {z}, {v} the next value is {c!}.",
        "The numbers run {x}, {y}, {z!}, {v!} and then {c!}.",
        "Going {way} by {s}: {x}, {y!}, {z!}, {v!}.",
    ],
)
SEQUENCE_RESERVED = plain(
    [
        "Continue {x}, {y}, {z}, {v}: the next is {c!}.",
        "The numbers {x}, {y}, {z}, {v} are followed by {c!}.",
        "After the terms {x}, {y}, {z}, {v} comes {c!}.",
    ]
)
GEOMETRIC = plain(
    [
        "Times {r} each time: {x}, {y!}, {z!}, {v!}.",
        "Multiplying by {r}: {x}, {y!}, {z!}, {v!}.",
        "{x}, {y}, {z}, {v!} multiplies by {r!}.",
    ]
)
GEOMETRIC_RESERVED = plain(["Multiplying {x} by {r} gives {y!}, then {z!}, {v!}."])
CONVERSION = weighted(
    {
        "{a} {large} is {c!} {small}.": 2,
        "{a} {large} = {c!} {small}.": 2,
        "There are {c} {Small} in {a!} {Large}.": 1,
        "In {Small}, {a} {Large} is {c!}.": 8,
        "In {Large}, {c} {Small} is {a!}.": 5,
        "The number of {Small} in {a} {Large} is {c!}.": 6,
    },
    [
        "{a} {Large} equals {c!} {Small}.",
        "{c} {small} is {a!} {large}.",
        "{c} {Small} makes {a!} {Large}.",
        "How many {Small} are in {a} {Large}? It is {c!}.",
        "Converted to {Small}, {a} {Large} is {c!}.",
        "Converted to {Large}, {c} {Small} is {a!}.",
        "{a} {Large} makes {c!} {Small}.",
        "{a} {large}, or {c!} {small}, is the same amount.",
    ],
    "measurement",
)
CONVERSION_RESERVED = plain(
    [
        "When {a} {Large} is converted to {Small}, the result is {c!}.",
        "How many {Small} is {a} {Large}? It is {c!}.",
        "Written in {Small}, {a} {Large} equals {c!}.",
    ],
    "measurement",
)
PERCENTAGE = weighted(
    {
        "{p}% of {b} is {c!}.": 14,
        "Taking {p}% of {b} gives {c!}.": 3,
        "{p} percent of {b} is {c!}.": 5,
    },
    [
        "{p}% of {b} equals {c!}.",
        "Out of {b}, a share of {p}% is {c!}.",
        "{p}% of the {b} {things} is {c!}.",
        "{p}% of {b} {things} makes {c!}.",
        "What is {p}% of {b}? It is {c!}.",
        "{who} kept {p}% of {b} {things}, which makes {c!}.",
        "{c} is {p}% of {b!}.",
        "A share of {p}% of {b} makes {c!}.",
        "At {p}%, the share of {b} is {c!}.",
        "{p}% of ${b:money} is ${c:money!}.",
    ],
)
PERCENTAGE_RESERVED = plain(
    [
        "When {p}% of {b} is taken, the result is {c!}.",
        "A rate of {p}% of {b} equals {c!}.",
        "How much is {p} percent of {b}? It is {c!}.",
    ]
)
NUMERATION = weighted(
    {
        "In digits, {w} is {c!}.": 10,
        "{W} is {c!}.": 5,
        "In words, {c} is {w!}.": 5,
        "{W} in digits is {c!}.": 5,
    },
    [
        "The number {w} is written {c!}.",
        "{c} is read as {w!}.",
        "Written in digits, {w} is {c!}.",
        "Written in words, {c} is {w!}.",
        "{W} = {c!}.",
        "{c} = {w!}.",
        "The digits of {w} are {c!}.",
        "Spelled out, {c} is {w!}.",
        "Read aloud, {c} is {w!}.",
        "{W} equals {c!}.",
    ],
)
NUMERATION_RESERVED = plain(
    [
        "As digits, {w} is {c!}.",
        "In digits, the number {w} is written {c!}.",
        "{W}, written in digits, is {c!}.",
    ]
)
