"""The templates of the reasoning families and of the roles: common ones, and held-out ones.

Held-out templates occur in documents of split `test` alone, and reuse the words of the others. One
template a line; `8x ` before it says how many times as often it comes as one without.

Slots of the families: `a`, `b` operands, `c` the answer, `h` and `l` the larger and the smaller,
`x y z v w` the elements of a list or a sequence, `s` a step, `r` a ratio, `p` a percentage; `w` and
`W` of numeration are words. Slots of the roles are filled by the document's entities.
"""

from __future__ import annotations

from ssl_lib.synthetic.document import TemplateSet, parse_template_set, split_lines, with_slots

# Three, four and five elements; the last one is always `w`.
LISTS = ("{x}, {y} and {w}", "{x}, {y}, {z} and {w}", "{x}, {y}, {z}, {v} and {w}")
_EXTREMES = """
    8x The BEST of LIST is {c!}.
    4x Among LIST, the BEST number is {c!}.
    Of LIST, the BEST is {c!}.
    In the list LIST, the BEST is {c!}.
    Which of LIST is the BEST? It is {c!}.
    The numbers are LIST, and the BEST is {c!}.
    Given LIST, the BEST value is {c!}.
    The BEST value among LIST is {c!}.
    Comparing LIST, the BEST is {c!}.
    Out of LIST, the BEST one is {c!}.
    From LIST the BEST is {c!}.
    The BEST number in LIST is {c!}.
"""
_HELD_OUT_EXTREMES = """
    Take LIST: the BEST is {c!}.
    When LIST are compared, the BEST is {c!}.
    The BEST one of the numbers LIST is {c!}.
"""


def _extreme(best: str) -> TemplateSet:
    """Templates of maximum or minimum, each for lists of three, four and five elements."""

    def expanded(shapes: str) -> str:
        lines = split_lines(shapes.replace("BEST", best))
        return "\n".join(line.replace("LIST", numbers) for line in lines for numbers in LISTS)

    return parse_template_set(expanded(_EXTREMES), expanded(_HELD_OUT_EXTREMES))


FAMILY_TEMPLATES = {
    # 345 + 218 = 563, also as a word problem
    "addition": parse_template_set(
        """
        8x {a} + {b} = {c!}.
        8x The sum of {a} and {b} is {c!}.
        5x {a} plus {b} is {c!}.
        3x Adding {b} to {a} makes {c!}.
        The total of {a} and {b} is {c!}.
        Together, {a} and {b} make {c!}.
        Add {a} and {b}, and the result is {c!}.
        {a} and {b} added together equals {c!}.
        {who} has {a} {things} and {other} {b}, together {c!}.
        {who} had {a} {things} and bought {b} more, which makes {c!}.
        {a} {things} and {b} {things} makes {c!} {things!}.
        {a} increased by {b} is {c!}.
        What is {a} plus {b}? It is {c!}.
        {a} and {b} sum to {c!}.
        """,
        held_out="""
        Put {a} and {b} together and the result is {c!}.
        When {b} is added to {a}, the total is {c!}.
        {who} bought {a} {things} and {other} bought {b}, in total {c!}.
        What is the sum of {a} and {b}? It is {c!}.
        """,
    ),
    # 563 - 218 = 345; the minuend is the larger one
    "subtraction": parse_template_set(
        """
        8x {a} - {b} = {c!}.
        8x The difference between {a} and {b} is {c!}.
        5x {a} minus {b} is {c!}.
        3x Taking {b} from {a} leaves {c!}.
        Subtracting {b} from {a} gives {c!}.
        Take {b} from {a}, and the result is {c!}.
        {a} reduced by {b} equals {c!}.
        {who} had {a} {things} and sold {b}, so {c!} were left.
        {who} has {a} {things} and {other} {b}, a difference of {c!}.
        Of {a} {things}, {b} were used, which leaves {c!}.
        What is {a} minus {b}? It is {c!}.
        {a} is more than {b} by {c!}.
        From {b} up to {a} the distance is {c!}.
        {a} less {b} is {c!}.
        """,
        held_out="""
        Take {b} away from {a} and the result is {c!}.
        When {b} is taken from {a}, the difference is {c!}.
        {who} had {a} {things} and used {b}, which leaves {c!}.
        What is the difference between {a} and {b}? It is {c!}.
        """,
    ),
    # the larger or the smaller of 563 and 218, or Yes and No
    "comparison": parse_template_set(
        """
        8x The larger of {a} and {b} is {h!}.
        8x The smaller of {a} and {b} is {l!}.
        3x Between {a} and {b}, the larger is {h!}.
        3x Between {a} and {b}, the smaller is {l!}.
        Of {a} and {b}, the greater is {h!}.
        Of {a} and {b}, the lesser is {l!}.
        Is {a} more than {b}? {more!}.
        Is {a} less than {b}? {less!}.
        {h} is more than {l}, so the larger is {h!}.
        {l} is less than {h}, so the smaller is {l!}.
        {h} > {l}, so the larger one is {h!}.
        {l} < {h}, so the smaller one is {l!}.
        Which is larger, {a} or {b}? It is {h!}.
        Which is smaller, {a} or {b}? It is {l!}.
        Comparing {a} with {b}, the higher one is {h!}.
        Comparing {a} with {b}, the lower one is {l!}.
        """,
        held_out="""
        When {a} and {b} are compared, the larger is {h!}.
        When {a} and {b} are compared, the smaller is {l!}.
        Of the two numbers {a} and {b}, the larger one is {h!}.
        Of the two numbers {a} and {b}, the smaller one is {l!}.
        """,
    ),
    # the largest of 17, 563 and 218
    "maximum": _extreme("largest"),
    "minimum": _extreme("smallest"),
    # 7, 11, 15, 19, 23: what follows, or the step
    "sequence": parse_template_set(
        """
        8x The sequence {x}, {y}, {z}, {v} continues with {c!}.
        6x {x}, {y}, {z}, {v!}, {c!}.
        6x After {x}, {y}, {z}, {v} the next number is {c!}.
        Counting {way} by {s}: {x}, {y!}, {z!}, {v!}, {c!}.
        After {x}, {y}, {z} comes {v!}.
        The next term of {x}, {y}, {z}, {v} is {c!}.
        From {x} {way} by {s}: {y!}, {z!}, {v!}, {c!}.
        {x}, {y}, {z}, {v} goes {way} in steps of {s!}.
        The steps from {x} to {y}, {z!} and {v!} are all {s!}.
        What follows {x}, {y}, {z}, {v}? It is {c!}.
        In the series {x}, {y}, {z}, {v} the next value is {c!}.
        The numbers run {x}, {y}, {z!}, {v!} and then {c!}.
        Going {way} by {s}: {x}, {y!}, {z!}, {v!}.
        """,
        held_out="""
        Continue {x}, {y}, {z}, {v}: the next is {c!}.
        The numbers {x}, {y}, {z}, {v} are followed by {c!}.
        After the terms {x}, {y}, {z}, {v} comes {c!}.
        """,
    ),
    # 3, 6, 12, 24: no item asks for these, so one held-out template is enough
    "geometric": parse_template_set(
        """
        Times {r} each time: {x}, {y!}, {z!}, {v!}.
        Multiplying by {r}: {x}, {y!}, {z!}, {v!}.
        {x}, {y}, {z}, {v!} multiplies by {r!}.
        """,
        held_out="""
        Multiplying {x} by {r} gives {y!}, then {z!}, {v!}.
        """,
    ),
    # 3 km is 3000 m, in both directions
    "conversion": parse_template_set(
        """
        2x {a} {large} is {c!} {small}.
        2x {a} {large} = {c!} {small}.
        There are {c} {Small} in {a!} {Large}.
        8x In {Small}, {a} {Large} is {c!}.
        5x In {Large}, {c} {Small} is {a!}.
        6x The number of {Small} in {a} {Large} is {c!}.
        {a} {Large} equals {c!} {Small}.
        {c} {small} is {a!} {large}.
        {c} {Small} makes {a!} {Large}.
        How many {Small} are in {a} {Large}? It is {c!}.
        Converted to {Small}, {a} {Large} is {c!}.
        Converted to {Large}, {c} {Small} is {a!}.
        {a} {Large} makes {c!} {Small}.
        {a} {large}, or {c!} {small}, is the same amount.
        """,
        held_out="""
        When {a} {Large} is converted to {Small}, the result is {c!}.
        How many {Small} is {a} {Large}? It is {c!}.
        Written in {Small}, {a} {Large} equals {c!}.
        """,
        role="measurement",
    ),
    # 15% of 240 is 36
    "percentage": parse_template_set(
        """
        14x {p}% of {b} is {c!}.
        3x Taking {p}% of {b} gives {c!}.
        5x {p} percent of {b} is {c!}.
        {p}% of {b} equals {c!}.
        Out of {b}, a share of {p}% is {c!}.
        {p}% of the {b} {things} is {c!}.
        {p}% of {b} {things} makes {c!}.
        What is {p}% of {b}? It is {c!}.
        {who} kept {p}% of {b} {things}, which makes {c!}.
        {c} is {p}% of {b!}.
        A share of {p}% of {b} makes {c!}.
        At {p}%, the share of {b} is {c!}.
        {p}% of ${b:money} is ${c:money!}.
        """,
        held_out="""
        When {p}% of {b} is taken, the result is {c!}.
        A rate of {p}% of {b} equals {c!}.
        How much is {p} percent of {b}? It is {c!}.
        """,
    ),
    # three hundred forty-five is 345, in both directions
    "numeration": parse_template_set(
        """
        10x In digits, {w} is {c!}.
        5x {W} is {c!}.
        5x In words, {c} is {w!}.
        5x {W} in digits is {c!}.
        The number {w} is written {c!}.
        {c} is read as {w!}.
        Written in digits, {w} is {c!}.
        Written in words, {c} is {w!}.
        {W} = {c!}.
        {c} = {w!}.
        The digits of {w} are {c!}.
        Spelled out, {c} is {w!}.
        Read aloud, {c} is {w!}.
        {W} equals {c!}.
        """,
        held_out="""
        As digits, {w} is {c!}.
        In digits, the number {w} is written {c!}.
        {W}, written in digits, is {c!}.
        """,
    ),
}


def _role(common: str, held_out: str) -> TemplateSet:
    """Templates of sentences in which a number plays one role, and no number plays another."""
    return parse_template_set(with_slots(common), with_slots(held_out))


ROLE_TEMPLATES = {
    # 1850 to 2030: as counts, prices and identifiers may be, too
    "year": _role(
        """
        {firm} was founded in YEAR.
        The bridge in {city} opened in YEAR.
        {person} was born in YEAR.
        In YEAR, {firm} moved to {city}.
        The law took effect in YEAR.
        Since YEAR the firm has grown.
        The year YEAR was a dry one.
        By YEAR the work was done.
        {person} moved to {city} in YEAR.
        The harvest of YEAR was good.
        The school dates from YEAR.
        Between YEAR and LATER the town grew.
        The old plant was closed in YEAR.
        Work on the tower began in YEAR.
        """,
        held_out="""
        The school in {city} was founded in YEAR.
        {firm} closed the old plant in YEAR.
        The town has grown since YEAR.
        In YEAR the bridge opened.
        {person} was in {city} in YEAR.
        """,
    ),
    # $3.4 million, €12,500, 250 dollars
    "money": _role(
        """
        {firm} earned MONEY.
        The ticket costs MONEY.
        {person} paid MONEY for the {things}.
        Revenue was MONEY.
        The rent is MONEY a month.
        A profit of MONEY was reported.
        Sales came to MONEY.
        The house was sold for MONEY.
        {firm} owes MONEY to the bank.
        The price is MONEY.
        The budget was set at MONEY.
        {person} saved MONEY.
        The cost of the work was MONEY.
        A loan of MONEY was paid back.
        """,
        held_out="""
        {person} sold the {things} for MONEY.
        The cost of the bridge was MONEY.
        {firm} paid MONEY to the bank.
        The budget of the town is MONEY.
        A price of MONEY was paid.
        """,
    ),
    # 12%, 12.5 percent
    "percentage": _role(
        """
        Sales rose by RATE%.
        About RATE% of the people agreed.
        The interest rate is RATE%.
        Prices fell RATE percent.
        RATE% of voters chose {person}.
        Profit grew by RATE percent.
        Only RATE% passed the test.
        The discount is RATE%.
        Humidity reached RATE%.
        The share of women was RATE percent.
        Interest stood at RATE%.
        A tax of RATE% applies.
        {firm} holds RATE percent of the market.
        """,
        held_out="""
        Prices rose by RATE percent.
        The share of voters was RATE%.
        A discount of RATE percent applies.
        Only RATE% of the women agreed.
        The tax rate stood at RATE%.
        """,
    ),
    # 17, 2,345, of people and things
    "count": _role(
        """
        MANY people came.
        The library holds MANY {things}.
        {firm} employs MANY people.
        There are MANY {things} in the box.
        MANY visitors saw the show.
        The club has MANY members.
        {person} planted MANY trees.
        The hall has MANY seats.
        MANY houses were built.
        They counted MANY birds.
        The factory made MANY {things}.
        The survey asked MANY families.
        {person} has MANY {things}.
        """,
        held_out="""
        MANY families saw the show.
        The hall holds MANY people.
        The box of {person} holds MANY {things}.
        There are MANY birds in the trees.
        The town has MANY houses.
        """,
    ),
    # 12.5 km, 340 grams, 37 degrees
    "measurement": _role(
        """
        The rope is LENGTH long.
        The river is LENGTH wide.
        {person} ran LENGTH.
        The tower stands LENGTH tall.
        The wall measures LENGTH.
        The road runs for LENGTH.
        The parcel weighs WEIGHT.
        The stone has a mass of WEIGHT.
        The cargo weighed WEIGHT.
        The oven reached HEAT.
        The water is at HEAT.
        The tank holds VOLUME.
        A volume of VOLUME was needed.
        The wind blew at SPEED.
        The lamp uses POWER.
        """,
        held_out="""
        The road is LENGTH wide.
        The stone weighs WEIGHT.
        A rope of LENGTH was needed.
        The parcel has a mass of WEIGHT.
        The tank has a volume of VOLUME.
        The lamp reached HEAT.
        """,
    ),
    # 3-1, 104 to 97, 12 points
    "score": _role(
        """
        {team} beat {rival} TALLY.
        The match ended WON.
        {person} scored POINTS points.
        {team} won WON.
        The final score was TALLY.
        {rival} lost LOST.
        {team} lead with POINTS points.
        The judges gave {person} POINTS points.
        At half-time it was WON.
        {person} finished with POINTS goals.
        {team} won the game TALLY.
        {team} and {rival} drew {points:score}-{points:score}.
        """,
        held_out="""
        {rival} lost the match LOST.
        {team} finished with POINTS points.
        The final ended WON.
        {team} beat {rival} WON.
        The score was TALLY at half-time.
        """,
    ),
    # third, 21st
    "ordinal": _role(
        """
        {person} finished RANK.
        It was the RANK time.
        {team} took RANK place.
        The RANK runner fell.
        They live on the RANK floor.
        This is the RANK edition.
        {person} was the RANK to arrive.
        The RANK chapter is short.
        Turn left at the RANK street.
        It was her RANK win.
        {firm} opened its RANK shop.
        {person} came in RANK.
        The RANK door is locked.
        """,
        held_out="""
        {team} finished in RANK place.
        The RANK shop is closed.
        It was the RANK edition.
        {person} took the RANK street.
        They locked the RANK door.
        """,
    ),
    # #4711, AB-0042: a code may begin with zeros
    "identifier": _role(
        """
        Order CODE was sent.
        The flight number is CODE.
        Call CODE for help.
        Invoice CODE is open.
        Room CODE is free.
        Please quote reference CODE.
        The serial number is CODE.
        Bus CODE goes to {city}.
        Account CODE was closed.
        Ticket CODE is valid.
        Model CODE is sold out.
        The file is stored under CODE.
        Parcel number CODE is lost.
        """,
        held_out="""
        Parcel CODE was sent to {city}.
        The account number is CODE.
        Please call CODE for the order.
        The reference is CODE.
        Invoice number CODE was lost.
        """,
    ),
    # June 7, 7 June, 14:05
    "date_part": _role(
        """
        The meeting is on DATE.
        The train leaves at CLOCK.
        It was the morning of DAY.
        The shop is closed on DATE.
        The party starts at CLOCK.
        On DATE it rained.
        {person} arrives on DAY.
        The shop opens at CLOCK.
        The exam takes place on DAY.
        {weekday}, DATE, was a holiday.
        Her birthday is DAY.
        The deadline is DATE at CLOCK.
        """,
        held_out="""
        The shop is open on DAY.
        {person} leaves at CLOCK.
        The meeting starts at CLOCK.
        The holiday was on DATE.
        The train leaves on DAY.
        """,
    ),
}
