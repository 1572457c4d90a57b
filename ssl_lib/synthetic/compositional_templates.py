"""Templates composed of parts, for training documents alone: thousands, each of them rare.

With a dozen templates a family, a long run learns the sentences instead of the relation and fails
in others. Macros in capitals stand for one of PARTS; slots are those of templates.py. A test holds
that none comes within three words of a held-out template.
"""

from __future__ import annotations

import re
from functools import cache

from ssl_lib.synthetic.document import Template, parse_template, split_lines
from ssl_lib.synthetic.quantities import Draw
from ssl_lib.synthetic.templates import LISTS


def compose(draw: Draw, family: str) -> Template:
    """A template of a family put together from its parts, as the draw has it.

    "LEADADDED GIVES {c!}." may become "Of course, {a} plus {b} makes {c!}."
    """
    source = draw.pick(SHAPES[family])
    while macro := MACRO.search(source):
        part = draw.pick(PARTS[macro[0]])
        source = source[: macro.start()] + part + source[macro.end() :]
    return _parsed(capitalized(source), "measurement" if family == "conversion" else "count")


def capitalized(source: str) -> str:
    """A template as the start of a sentence: "{w} is {c}" → "{W} is {c}"."""
    if source.startswith("{w}"):
        return source.replace("{w}", "{W}")
    return source[0].upper() + source[1:]


_parsed = cache(parse_template)


def _parts(text: str, ending: str = "") -> tuple[str, ...]:
    """Alternatives between bars; `ending` follows each that is not empty."""
    parts = (part.strip() for part in text.split("|"))
    return tuple(part and part + ending for part in parts)


def _shapes(text: str, **macros: str) -> list[str]:
    """Shapes, one a line, with some macros replaced by others."""
    for macro, part in macros.items():
        text = text.replace(macro, part)
    return split_lines(text)


# An empty alternative ("||||") is a part that is mostly missing.
PARTS = {
    "LEAD": _parts(
        """|||| so | in short, | of course, | note that | we know that | it is true that |
        in this case, | once again, | by our count, | as was said, | for example,""",
        ending=" ",
    ),
    "GIVES": _parts(
        """is | is | is | equals | makes | gives | comes to | was | will be | must be |
        comes out as | turns out to be | amounts to | ="""
    ),
    "THEN": _parts(
        """| That is | The answer is | That makes | Answer: | Exactly | It comes to | It must be""",
        ending=" ",
    ),
    "FOUND": _parts(
        """the answer is | the outcome is | we get | you get | there will be | the figure is |
        this gives | that makes | it comes to"""
    ),
    "ONCE": _parts("if | once | as soon as | after | now that | because | whenever"),
    "LIST": LISTS,
    "GOT": _parts("found | got | won | made | picked | collected | received | kept"),
    "LOST": _parts("lost | gave away | broke | dropped | returned | sent off | ate"),
    "EARLY": _parts(
        """on Monday | in spring | at first | this week | before noon | here | in one place"""
    ),
    "LATE": _parts(
        """on Friday | in autumn | after that | next week | after noon | there | in another"""
    ),
    "SUMMED": _parts(
        """altogether | that is | all in all | which is together | so the count is | so there are |
        making | that makes | so now it is | in one heap"""
    ),
    "REST": _parts(
        """so what is left is | so there remain | leaving | so the rest is | which left |
        so now it is | so only | and what stays is"""
    ),
    "ADDED": _parts(
        """{a} plus {b} | {a} + {b} | {a} and {b} in all | {a} with {b} on top | {b} more than {a} |
        {a} joined with {b} | {a} together with {b} | {a} and {b} combined | {a} and then {b} more |
        both {a} and {b} | {b} added onto {a} | {a} raised by {b} | a sum of {a} and {b} |
        everything, {a} and {b},"""
    ),
    "ADDING": _parts(
        """{b} joins {a} | {a} grows by {b} | you add {b} to {a} | we count {a} and {b} as one |
        {a} goes up by {b} | another {b} comes to {a} | {a} and {b} are added up |
        one puts {b} on top of {a} | {a} gains {b}"""
    ),
    "TAKEN": _parts(
        """{a} minus {b} | {a} - {b} | {a} less {b} | the difference of {a} and {b} |
        {a} without {b} | {a} lowered by {b} | {b} less than {a} | the gap between {b} and {a} |
        what {a} has over {b} | {a} cut by {b} | {b} taken off {a} | the distance from {b} to {a} |
        the rest of {a} after {b} | the step from {b} up to {a}"""
    ),
    "TAKING": _parts(
        """{a} falls by {b} | {b} goes from {a} | you take {b} off {a} | {a} loses {b} |
        we cut {a} by {b} | {b} of {a} are gone | {a} shrinks by {b} | {a} goes down by {b} |
        one removes {b} out of {a}"""
    ),
    "UPPER": _parts("larger | greater | bigger | higher"),
    "LOWER": _parts("smaller | lower"),
    "LARGEST": _parts("largest | highest | greatest | biggest | maximum"),
    "SMALLEST": _parts("smallest | lowest | least | minimum"),
    "TERMS": ("{x}, {y}, {z}, {v}", "{x}, {y}, {z} and {v}", "{x} then {y} then {z} then {v}"),
    "SHARE": _parts("{p}% of {b} | {p}% of {b} | {p} percent of {b} | {p} in every hundred of {b}"),
}
MACRO = re.compile("|".join(PARTS))
# Shapes of addition and subtraction; a shape that stands twice is drawn twice as often.
_CALCULATED = """
    LEADPHRASE GIVES {c!}.
    LEADPHRASE GIVES {c!}.
    how much is PHRASE? THEN{c!}.
    PHRASE: {c!}.
    ONCE CLAUSE, FOUND {c!}.
"""
# Shapes of comparisons, of the larger and of the smaller number.
_PAIR = """
    LEADthe BETTER number of {a} and {b} is ANSWER.
    {a} or {b}? The BETTER is ANSWER.
    given {a} and {b}, the BETTER GIVES ANSWER.
    from the pair {a} and {b} choose the BETTER: ANSWER.
    ONCE you compare {a} with {b}, the BETTER is ANSWER.
    LEADthe BETTER of the pair, {a} or {b}, is ANSWER.
    what is BETTER, {a} or {b}? THENANSWER.
    {a} and {b}: BETTER is ANSWER.
    looking at {a} and {b}, the BETTER one is ANSWER.
    both {a} and {b} are numbers, and ANSWER is BETTER.
    {a} against {b}: the BETTER is ANSWER.
    {a}, then {b}: the BETTER was ANSWER.
    between them, {a} and {b}, the BETTER GIVES ANSWER.
    set {a} beside {b} and the BETTER is ANSWER.
    one has {a}, another {b}, and the BETTER is ANSWER.
    choose {a} or {b} by size: the BETTER is ANSWER.
    LEADANSWER is the BETTER side of {a} and {b}.
"""
# Shapes of maximum and minimum.
_EXTREME = """
    LEADthe BEST of LIST GIVES {c!}.
    if you look at LIST, the BEST is {c!}.
    LEADLIST have {c!} as their BEST.
    what is the BEST number among LIST? THEN{c!}.
    with LIST on the table, the BEST is {c!}.
    from the numbers LIST choose the BEST: {c!}.
    here are LIST, and {c!} is the BEST.
    LEADno number of LIST is BETTER than {c!}.
    we saw LIST, of which the BEST was {c!}.
    ONCE we know LIST, the BEST GIVES {c!}.
    LEADall of LIST are BOUND {c!}.
    LIST, with {c!} as the BEST.
    the BEST entry, given LIST, GIVES {c!}.
    there were LIST, and {c!} was the BEST.
    LIST are given, the BEST being {c!}.
    somebody wrote LIST, and {c!} is the BEST of all.
    LIST, and of these the BEST GIVES {c!}.
    we order LIST and the BEST GIVES {c!}.
    look for the BEST in LIST: {c!}.
    out of LIST we keep the BEST, {c!}.
"""
SHAPES = {
    "addition": _shapes(_CALCULATED, PHRASE="ADDED", CLAUSE="ADDING")
    + _shapes("""
        {a} and {b}, so FOUND {c!}.
        LEAD{c} is {a} and {b!} more.
        {who} has {a} {things}, {other} gives {b} more, FOUND {c!}.
        there were {a} {things} in a box and {b} in a bag, FOUND {c!}.
        {a} {things} came on Monday and {b} on Friday, FOUND {c!}.
        {who} found {a} {things} in the morning and {b} later, altogether {c!}.
        {who} and {other} have {a} and {b} {things}, so both have {c!}.
        {who} GOT {a} {things} EARLY and {b} LATE, SUMMED {c!}.
        {a} {things} of {who} and {b} of {other}, SUMMED {c!}.
        {who} brought {a} {things}, {other} added {b}, SUMMED {c!}.
        to the {a} {things} of {who} came {b} from {other}, SUMMED {c!}.
        after the first {a} {things} {who} GOT {b}, SUMMED {c!}.
        EARLY stood {a} {things}, LATE stood {b}, SUMMED {c!}.
        {b} {things} joined the {a} that {who} GOT, SUMMED {c!}.
        one box held {a} {things}, one held {b}, SUMMED {c!}.
    """),
    "subtraction": _shapes(_CALCULATED, PHRASE="TAKEN", CLAUSE="TAKING")
    + _shapes("""
        {a} without {b}, so FOUND {c!}.
        LEAD{a} is {b} and {c!} more.
        {who} had {a} {things} and gave {b} to {other}, which left {c!}.
        there were {a} {things}, {b} of them broke, and FOUND {c!}.
        out of {a} {things} {who} lost {b}, so {c!} stayed.
        {who} needs {a} {things} and has {b}, so {c!} are missing.
        {who} has {a} {things}, {other} only {b}, so {who} has {c!} more.
        {who} GOT {a} {things} and LOST {b} of them, REST {c!}.
        of the {a} {things} of {who}, {b} went to {other}, REST {c!}.
        {a} {things} stood there, {b} were taken, REST {c!}.
        from a box of {a} {things} {who} LOST {b}, REST {c!}.
        {who} LOST {b} of {a} {things}, REST {c!}.
        {a} {things} without the {b} of {other}, REST {c!}.
        {who} wants {a} {things} but holds {b}, so {c!} are wanting.
        {other} has {a} {things} against the {b} of {who}, {c!} more.
        EARLY there were {a} {things}, LATE {b} fewer, REST {c!}.
        how far is it from {b} up to {a}? THEN{c!}.
    """),
    "comparison": _shapes(_PAIR, BETTER="UPPER", ANSWER="{h!}")
    + _shapes(_PAIR, BETTER="LOWER", ANSWER="{l!}")
    + _shapes("""
        is {a} UPPER than {b}? {more!}.
        is {a} LOWER than {b}? {less!}.
        would you say that {a} is UPPER than {b}? {more!}.
        would you say that {a} is LOWER than {b}? {less!}.
    """),
    "maximum": _shapes(_EXTREME, BEST="LARGEST", BETTER="UPPER", BOUND="at most"),
    "minimum": _shapes(_EXTREME, BEST="SMALLEST", BETTER="LOWER", BOUND="at least"),
    "sequence": _shapes("""
        LEADthe row TERMS goes on with {c!}.
        TERMS, and the next one GIVES {c!}.
        if the numbers are TERMS, then {c!} comes next.
        LEADone more step after TERMS GIVES {c!}.
        what is the next number after TERMS? THEN{c!}.
        TERMS: next {c!}.
        LEADthe fifth term of TERMS GIVES {c!}.
        with TERMS so far, the next is {c!}.
        what number should stand after TERMS? THEN{c!}.
        ONCE one has read TERMS, FOUND {c!}.
        in steps of {s} {way} from {x}: {y!}, {z!}, {v!}, {c!}.
        beginning at {x}, moving {way} by {s}, one meets {y!}, {z!} and {v!}.
        first {x}, then {y}, then {z!}, then {v!}.
        {x} is one, {y} the next, then {z!} and {v!}.
        each time {s} {way}, so after {x} comes {y!}, then {z!}.
        LEADTERMS has a step of {s!}.
        LEADthe row TERMS moves {way!} by {s!}.
        a row with steps of {s} {way} begins {x}, {y!}, {z!}, {v!}.
        the step is {s} {way}, so {x} leads to {y!} and {z!}.
        {x} becomes {y}, then {z!}, then {v!}, then {c!}.
        TERMS differ by {s!}.
        TERMS and so on: {c!}.
        we say {x}, {y}, {z!}, {v!}, {c!} in turn.
    """),
    "geometric": _shapes("""
        from {x}, each term is {r} times the last: {y!}, {z!}, {v!}.
        LEAD{r} times {x} GIVES {y!}, and {r} times that GIVES {z!}.
        with a factor of {r}: {x}, {y!}, {z!}, {v!}.
        begin at {x} and multiply by {r}: {y!}, {z!}, {v!}.
        {x}, {y}, {z}, {v!} grows by a factor of {r!}.
        LEADthe factor from {x} to {y} GIVES {r!}.
        start with {x}, and {r} times that, {y!}, then {z!}, then {v!}.
        LEAD{x}, taken {r} times, GIVES {y!}.
        a factor of {r} takes {x} to {y!}, then to {z!}, then to {v!}.
        each one {r} times the last: {x}, {y!}, {z!}, {v!}.
        {x} is one, {r} times that is {y!}, {r} times that is {z!}.
        growing by a factor of {r}, {x} becomes {y!}, {z!} and {v!}.
    """),
    "conversion": _shapes("""
        LEAD{a} {Large} GIVES {c!} {Small}.
        LEAD{c} {Small} GIVES {a!} {Large}.
        how much is {a} {Large} in {Small}? THEN{c!}.
        how much is {c} {Small} in {Large}? THEN{a!}.
        {a} {Large} counted in {Small}: {c!}.
        {c} {Small} counted in {Large}: {a!}.
        if it takes {a} {Large}, it takes {c!} {Small}.
        if it takes {c} {Small}, it takes {a!} {Large}.
        LEADone who has {a} {Large} has {c!} {Small}.
        {a} {large} can be given as {c!} {small}.
        {c} {small} can be given as {a!} {large}.
        LEADthe same as {a} {large} is {c!} {small}.
        LEADthe same as {c} {small} is {a!} {large}.
        ONCE we count {a} {Large} as {Small}, FOUND {c!}.
        ONCE we count {c} {Small} as {Large}, FOUND {a!}.
        {a} {large} ({c!} {small}).
        {c} {small} ({a!} {large}).
        turn {a} {Large} into {Small} and FOUND {c!}.
        turn {c} {Small} into {Large} and FOUND {a!}.
        {a} {Large}, how many {Small}? THEN{c!}.
        {c} {Small}, how many {Large}? THEN{a!}.
        for {a} {Large} you need {c!} {Small}.
        for {c} {Small} you need {a!} {Large}.
        {a} {Large} of it, so {c!} {Small}.
        {c} {Small} of it, so {a!} {Large}.
    """),
    "percentage": _shapes("""
        LEADSHARE GIVES {c!}.
        LEADSHARE GIVES {c!}.
        what would SHARE be? THEN{c!}.
        SHARE: {c!}.
        with a share of {p}%, {b} GIVES {c!}.
        ONCE SHARE has gone, we miss {c!}.
        ONCE we count SHARE, FOUND {c!}.
        of {b} {things}, {p}% are {c!}.
        {who} gave away {p}% of {b} {things}, FOUND {c!}.
        of {b} people {p}% came late, FOUND {c!}.
        a tax of {p}% on a sum of {b} GIVES {c!}.
        LEAD{c} out of {b} is {p!}%.
        LEAD{c} of {b} is {p!} percent.
        in a group of {b}, {p}% would be {c!}.
        {who} has {b} {things} and gives {p}% of them to {other}, FOUND {c!}.
        {b} at {p}% GIVES {c!}.
        if {b} are all, {p}% are {c!}.
        {p} of every hundred, so with {b} it is {c!}.
        {who} LOST {p}% of {b} {things}, FOUND {c!}.
        from {b} take {p} percent, which is {c!}.
        {p}% of what is {c}? THEN{b!}.
        if {p}% are {c}, then all are {b!}.
        ONCE {c} is {p}%, the whole GIVES {b!}.
    """),
    "numeration": _shapes("""
        LEADthe figure for {w} GIVES {c!}.
        {w}, that is {c!}.
        we write {w} as {c!}.
        to write {w}, put {c!}.
        how do we write {w} in digits? THEN{c!}.
        put in figures, {w} GIVES {c!}.
        {w}: {c!}.
        ONCE we turn {w} into a figure, FOUND {c!}.
        {w} people are {c!} people.
        {c} means {w!}.
        say {c} as {w!}.
        {c}, in words {w!}.
        {c} stands for {w!}.
        how do we say {c}? We say {w!}.
        {c}: {w!}.
        {w}, in figures {c!}.
        a sign says {w}, which is {c!}.
        spell {c}: {w!}.
        the words {w} mean {c!}.
        you see {c} and read {w!}.
        you hear {w} and write {c!}.
        {c} would be spoken as {w!}.
    """),
}
