"""Sentences in which a number plays one role, and no number plays another: wordings for training, and reserved ones.

Macros in capitals are expanded below; lower-case slots are filled by the scene (see scene.py). Reserved wordings reuse
the words of the others in sentences that training documents never hold.
"""

from __future__ import annotations

from ssl_lib.synthetic.page import ROLES, Template, template

_MACROS = {
    "MONEY": "{before}{sum:money}{after}",
    "LENGTH": "{length:measurement} {length_unit}",
    "WEIGHT": "{weight:measurement} {weight_unit}",
    "VOLUME": "{volume:measurement} {volume_unit}",
    "HEAT": "{heat:measurement} {heat_unit}",
    "SPEED": "{speed:measurement} {speed_unit}",
    "POWER": "{power:measurement} {power_unit}",
    "RANK": "{rank:ordinal}{suffix}",
    "CODE": "{tag}{code:identifier}",
    "CLOCK": "{hour:date_part}:{minute:date_part}",
    "DATE": "{month} {day:date_part}",
    "DAY": "{day:date_part} {month}",
    "WON": "{points:score}-{fewer:score}",
    "LOST": "{fewer:score}-{points:score}",
    "TALLY": "{points:score} to {fewer:score}",
    "POINTS": "{points:score}",
    "MANY": "{many:count}",
    "RATE": "{rate:percentage}",
    "YEAR": "{year:year}",
    "LATER": "{later:year}",
}

_TRAIN = {
    "year": """
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
    "money": """
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
    "percentage": """
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
    "count": """
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
    "measurement": """
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
    "score": """
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
    "ordinal": """
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
    "identifier": """
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
    "date_part": """
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
}

_RESERVED = {
    "year": """
        The school in {city} was founded in YEAR.
        {firm} closed the old plant in YEAR.
        The town has grown since YEAR.
        In YEAR the bridge opened.
        {person} was in {city} in YEAR.
    """,
    "money": """
        {person} sold the {things} for MONEY.
        The cost of the bridge was MONEY.
        {firm} paid MONEY to the bank.
        The budget of the town is MONEY.
        A price of MONEY was paid.
    """,
    "percentage": """
        Prices rose by RATE percent.
        The share of voters was RATE%.
        A discount of RATE percent applies.
        Only RATE% of the women agreed.
        The tax rate stood at RATE%.
    """,
    "count": """
        MANY families saw the show.
        The hall holds MANY people.
        The box of {person} holds MANY {things}.
        There are MANY birds in the trees.
        The town has MANY houses.
    """,
    "measurement": """
        The road is LENGTH wide.
        The stone weighs WEIGHT.
        A rope of LENGTH was needed.
        The parcel has a mass of WEIGHT.
        The tank has a volume of VOLUME.
        The lamp reached HEAT.
    """,
    "score": """
        {rival} lost the match LOST.
        {team} finished with POINTS points.
        The final ended WON.
        {team} beat {rival} WON.
        The score was TALLY at half-time.
    """,
    "ordinal": """
        {team} finished in RANK place.
        The RANK shop is closed.
        It was the RANK edition.
        {person} took the RANK street.
        They locked the RANK door.
    """,
    "identifier": """
        Parcel CODE was sent to {city}.
        The account number is CODE.
        Please call CODE for the order.
        The reference is CODE.
        Invoice number CODE was lost.
    """,
    "date_part": """
        The shop is open on DAY.
        {person} leaves at CLOCK.
        The meeting starts at CLOCK.
        The holiday was on DATE.
        The train leaves on DAY.
    """,
}


def _compiled(lines: str) -> tuple[Template, ...]:
    wordings = [line.strip() for line in lines.strip().splitlines()]
    for macro, slots in _MACROS.items():
        wordings = [wording.replace(macro, slots) for wording in wordings]
    return tuple(template(wording) for wording in wordings)


ROLE_WORDINGS = {role: _compiled(_TRAIN[role]) for role in ROLES}
RESERVED_ROLE_WORDINGS = {role: _compiled(_RESERVED[role]) for role in ROLES}
