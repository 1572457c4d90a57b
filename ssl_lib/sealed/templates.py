"""Sentences of the sealed world: harbours, orchards, playhouses, observatories, plumbers, matches.

Slots are those of `ssl_lib.synthetic.document`. A test holds that none comes within three words of
a template of the built-in world.
"""

from __future__ import annotations

from ssl_lib.synthetic.document import Template, parse_templates, split_lines, with_slots

# Three, four and five elements; the last one is always `w`.
_LISTS = ("{x}, {y}, {w}", "{x}, {y}, {z}, {w}", "{x}, {y}, {z}, {v}, {w}")
# For maximum and for minimum: what the row is of, and what its best element is called.
_EXTREMES = {
    "maximum": """
        Tides of LIST were logged, peaking at {c!}.
        Judges held up LIST, and the top mark is {c!}.
        Masts of LIST spans stand in the yard, the tallest reaching {c!}.
        Crates packed with LIST plums arrive; the fullest carries {c!}.
        Sort LIST upward and the row closes with {c!}.
        Nothing in the row LIST exceeds {c!}.
        Tents for LIST guests were pitched, the roomiest taking {c!}.
        Auctioneers heard LIST shouted, so the winning bid stands at {c!}.
    """,
    "minimum": """
        Tides of LIST were logged, bottoming out at {c!}.
        Judges held up LIST, and the bottom mark is {c!}.
        Masts of LIST spans stand in the yard, the shortest reaching {c!}.
        Crates packed with LIST plums arrive; the emptiest carries {c!}.
        Sort LIST upward and the row opens with {c!}.
        Nothing in the row LIST undercuts {c!}.
        Tents for LIST guests were pitched, the tightest taking {c!}.
        Plumbers quoted LIST, so the cheapest quote stands at {c!}.
    """,
}


def _extreme(name: str) -> tuple[Template, ...]:
    """Templates of a family of lists, each for three, four and five elements."""
    lines = split_lines(_EXTREMES[name])
    return parse_templates("\n".join(line.replace("LIST", row) for line in lines for row in _LISTS))


FAMILY_TEMPLATES: dict[str, tuple[Template, ...]] = {
    "addition": parse_templates("""
        The harbour log lists {a} {things} by noon and {b} by dusk, so the day closes at {c!}.
        With {a} benches in the stalls and {b} in the gallery, the playhouse sells {c!}.
        {who} picks {a} {things}, {other} picks {b}, and their cart carries {c!}.
        Stack {b} onto {a} and the pile reaches {c!}.
        A shelf of {a} volumes beside a shelf of {b} volumes stores, jointly, {c!}.
        Starting at {a} and counting on by {b}, you land on {c!}.
        Pool {a} votes with {b} votes: the ballot shows {c!}.
        Ledger: balance {a}, deposit {b}, closing balance {c!}.
        Merging crews of {a} and {b} sailors forms a crew of {c!}.
        Rain brought {a} drops to the gauge, hail another {b}, and the dial climbs to {c!}.
    """),
    "subtraction": parse_templates("""
        The barge loaded {a} {things}, left {b} at the lock, and sails on with {c!}.
        A theatre laid out for {a} guests admitted {b}, hence the empty places number {c!}.
        Strike {b} off {a} and what survives is {c!}.
        {who} owed {other} {a} {things}, handed over {b}, and still owes {c!}.
        Climbing from {b} to {a} calls for an extra {c!}.
        Of {a} entrants {b} withdrew before the opening round, so the field shrank to {c!}.
        {a} pipes arrived, {b} leaked, and the plumber fitted the sound {c!}.
        The gauge sank from {a} to {b}, a drop of {c!}.
        {b} falls short of {a} by {c!}.
        Ledger: balance {a}, withdrawal {b}, closing balance {c!}.
    """),
    # several say which is meant by what things are: taller, dearer, lighter
    "comparison": parse_templates("""
        Twin masts rise {a} and {b} spans; the taller rises {h!}.
        Twin masts rise {a} and {b} spans; the shorter rises {l!}.
        The scale shows {a} for the brown calf and {b} for the white, so the heavier shows {h!}.
        The scale shows {a} for the brown calf and {b} for the white, so the lighter shows {l!}.
        Rank {a} versus {b}: on top stands {h!}.
        Rank {a} versus {b}: at the bottom stands {l!}.
        Quotes of {a} and {b} reached the playhouse, the dearer being {h!}.
        Quotes of {a} and {b} reached the playhouse, the cheaper being {l!}.
        Offered {a} or {b} plums, a hungry sailor grabs {h!}.
        Told to carry {a} or {b} ingots, a weary porter lifts {l!}.
        Does {a} exceed {b}? {more!}.
        Does {a} fall below {b}? {less!}.
    """),
    "maximum": _extreme("maximum"),
    "minimum": _extreme("minimum"),
    "sequence": parse_templates("""
        Milestones bear {x}, {y}, {z}, {v}, so the stone beyond them bears {c!}.
        A clock chimes at {x}, {y}, {z} and {v} and chimes again at {c!}.
        Ferries cast off at minutes {x}, {y}, {z}, {v}; expect another at {c!}.
        Terrace by terrace the orchard grows {x}, {y}, {z}, {v} saplings, then {c!}.
        Reading {x}, {y}, {z}, {v} off a dial at equal intervals, forecast {c!}.
        Rungs sit at heights {x}, {y}, {z}, {v}; the missing rung belongs at {c!}.
        Pacing {way} by {s} through {x}, {y!}, {z!}, {v!}, the guard halts at {c!}.
        Bells hang at {x}, {y}, {z!}, {v!}, spaced {s!} apart.
    """),
    # no item asks for these
    "geometric": parse_templates("""
        Every sluice passes on {r} times its inflow: {x}, {y!}, {z!}, {v!}.
        Folding the sail map, each layer {r} times as thick, measures {x}, {y!}, {z!}, {v!}.
    """),
    # those with `one` say the factor; those with `Large` know it
    "conversion": parse_templates(
        """
        The pilot notes {a} {Large}, which her chart prints in {Small} as {c!}.
        A label promising {a} {Large} could as well promise, in {Small}, {c!}.
        Ask the clerk for {a} {Large} in {Small} and she answers {c!}.
        Ask the clerk for {c} {Small} in {Large} and she answers {a!}.
        The apprentice restates {c} {Small} in {Large}, namely {a!}.
        Measured by {Small}, a stretch of {a} {Large} runs to {c!}.
        Every {one} takes {f} {small}, hence {a} {large} take {c!}.
        With {f} {small} packed per {one}, {a} {large} pack {c!}.
        {f} {small} fill a {one}, and filling {a} {large} uses {c!}.
        A {one} being {f} {small}, the cellar stacks {c} {small} into {large} numbering {a!}.
        """,
        "measurement",
    ),
    "percentage": parse_templates("""
        The harbour keeps a toll of {p}% on {b} {things}, namely {c!}.
        When {p} percent of {b} rowers retire, the retired number {c!}.
        The critic disliked {p}% of {b} plays, to be exact {c!}.
        Pears spoil at {p}%, so a cellar of {b} loses {c!}.
        Twins make up {p} percent of {b} stars in the atlas, namely {c!}.
        Saw {p}% off a beam of {b} and the offcut measures {c!}.
        {who} tips {p} percent on a bill of {b}, leaving the waiter {c!}.
        Of {b} readers, overdue at a rate of {p}%, the librarian reminds {c!}.
        Among {b} seedlings, {c} sprouting means {p!}%.
    """),
    "numeration": parse_templates("""
        The crier shouts {w}, and the scribe jots {c!}.
        A brass plate engraved with {w} stands for {c!}.
        Dictated as {w}, the figure is keyed in as {c!}.
        Over the radio comes {w}, and the operator punches {c!}.
        {W} on the playbill becomes, on the till, {c!}.
        Whoever chalks {w} might chalk, for short, {c!}.
        The herald proclaims {c}, syllable by syllable, as {w!}.
        Embroidered at full length, {c} turns into {w!}.
    """),
}


def _role(sentences: str) -> tuple[Template, ...]:
    """Sentences in which a number plays one role, and no number plays another."""
    return parse_templates(with_slots(sentences))


ROLE_TEMPLATES: dict[str, tuple[Template, ...]] = {
    "year": _role("""
        The schooner {ship} quit its slipway in YEAR.
        Astronomers catalogued this comet in YEAR.
        An orchard was grafted here back in YEAR.
        {person} staged the comedy during YEAR.
        Blight ruined our vineyards throughout YEAR.
        An aqueduct, laid in YEAR, still serves {town}.
        {guild} received its royal charter in YEAR.
        Not until YEAR did divers map this reef.
        A plaque on the lighthouse is dated YEAR.
    """),
    "money": _role("""
        Admission to our gallery sets you back MONEY.
        {guild} insured its freight for MONEY.
        A grant worth MONEY keeps the telescope running.
        Fixing this boiler swallowed MONEY.
        The auctioneer let a fresco go at MONEY.
        {person} wagered MONEY on some pony.
        Toll receipts climbed beyond MONEY.
        MONEY changed hands beside the fish dock.
        Fares across the strait begin around MONEY.
    """),
    "percentage": _role("""
        Roughly RATE% of seedlings sprouted.
        Battery charge sank to RATE percent overnight.
        This alloy contains RATE% tin.
        Cloud hid RATE percent of our sky.
        Turnout at regattas jumped RATE%.
        {guild} trimmed freight charges by RATE%.
        Pulp constitutes RATE percent of juice.
        Barely RATE% of manuscripts reach any stage.
        Salinity in {town} harbour hovers near RATE percent.
    """),
    "count": _role("""
        MANY oarsmen lined our quay.
        This atlas shows MANY craters.
        {guild} trains MANY apprentices yearly.
        Inside a vault lie MANY {things}.
        Ushers guided MANY spectators upstairs.
        A flock numbering MANY sheep crossed our ford.
        {person} mended MANY faucets over winter.
        Some catalogue names MANY composers.
        Aboard {ship} sail MANY deckhands.
    """),
    "measurement": _role("""
        A breakwater stretches LENGTH into our bay.
        Between dome and gate lie LENGTH of gravel.
        Some meteorite tipped our balance at WEIGHT.
        This granary stores VOLUME of barley.
        Steam escaped a valve at HEAT.
        Gusts nearing SPEED tore our sail.
        Her turbine peaks around POWER.
        Divers sank LENGTH below {ship}.
        Each cask leaks VOLUME nightly.
        An anvil comes in at WEIGHT.
        Molten glass flows near HEAT.
    """),
    "score": _role("""
        {team} edged out {rival} TALLY that evening.
        A fencing bout concluded WON.
        Umpires marked {person} POINTS on beam.
        {rival} slumped to defeat, WON.
        {team} amassed POINTS points across this season.
        After overtime our board read WON.
        Some panel awarded her tango POINTS marks.
        Chess: {team} versus {rival}, TALLY.
        Trailing WON, {rival} walked off.
    """),
    "ordinal": _role("""
        {person} crossed this line in RANK position.
        That RANK violin sounds out of tune.
        Curtain dropped after its RANK act.
        Lightning split our RANK oak along an avenue.
        {team} slid to RANK on some ladder.
        During its RANK orbit that probe went silent.
        An abbot, RANK in his lineage, signed.
        Guests praised a RANK course above all.
        Her RANK sonata whispers along.
    """),
    "identifier": _role("""
        Locker CODE stays jammed.
        Manuscript CODE vanished from our archive.
        Dial extension CODE to reach a lighthouse.
        Container CODE cleared customs.
        That asteroid bears designation CODE.
        Valve part CODE must be reordered.
        Stamp docket CODE before boarding.
        Berth CODE awaits {ship}.
        Seek shelfmark CODE upstairs.
    """),
    "date_part": _role("""
        Low tide comes around CLOCK.
        An eclipse peaks near CLOCK on DATE.
        Pruning begins DAY, weather permitting.
        Curtain rises CLOCK sharp.
        Rehearsals resume {weekday}, DATE.
        Our lock keeper shuts both gates towards CLOCK.
        Expect {ship} to dock come DAY.
        Applications close by DATE.
        Swallows return about DAY.
    """),
}
