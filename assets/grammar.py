"""A grammar of short children's stories.

`story(seed, index)` is one story, the same on every machine: English, ASCII, one paragraph, 80 to 200 words.

    python grammar.py 5          # five stories
    python grammar.py 5 100      # five stories from index 100 on
    python grammar.py --check    # statistics and checks over many stories

How it works:

1. A `Tale` holds the cast and the things of one story. Everything that must stay the same (names, pronouns, objects, places) is chosen
   once and kept there; the sentences only refer to it.
2. A sentence is written as a template. `[a|b|c]` is one of its alternatives, which may nest and may be empty; `|` at the top level separates
   whole sentences. `{x}` is the hero's name, `{y}` the friend's, `{z}` the grown-up's; `{he} {him} {his} {self}` are the hero's pronouns,
   `{y.he}` and so on those of the others; a capital first letter in the name gives a capital in the text. `{the}` is "the girl", "the little fox", ...
   Every other name is a word that the plot has set.
3. A plot is a function that casts the roles and says sentences in order: opening, want, obstacle, attempts, turn, resolution, close. Plots
   branch, so that one shape has several courses and endings.
4. The text is tidied (a/an, spaces), checked and returned. A story of the wrong length is drawn again.
"""

import random
import re
import sys
from functools import lru_cache

WORDS = (80, 190)

# --- templates ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def parse(template):
    """A template as a tuple of alternatives, each a tuple of strings and of nested alternatives."""
    stack = [[[]]]
    text = ""

    def flush():
        nonlocal text
        if text:
            stack[-1][-1].append(text)
            text = ""

    for c in template:
        if c == "[":
            flush()
            stack.append([[]])
        elif c == "|":
            flush()
            stack[-1].append([])
        elif c == "]":
            flush()
            inner = tuple(tuple(a) for a in stack.pop())
            stack[-1][-1].append(inner)
        else:
            text += c
    flush()
    assert len(stack) == 1, template
    return tuple(tuple(a) for a in stack[0])


SLOT = re.compile(r"\{([A-Za-z0-9_.]+)\}")


class Tale:
    """The state of one story: random numbers, words and the sentences said so far."""

    def __init__(self, rng):
        self.rng = rng
        self.words = {}
        self.lines = []

    def pick(self, options):
        return options[int(self.rng.random() * len(options))]

    def chance(self, p):
        return self.rng.random() < p

    def sample(self, options, n):
        """`n` different members of `options`, expanded."""
        left = list(options)
        out = []
        for _ in range(n):
            out.append(left.pop(int(self.rng.random() * len(left))))
        return [self.expand(o) for o in out]

    def _choose(self, alternatives):
        out = ""
        for part in self.pick(alternatives):
            out += part if isinstance(part, str) else self._choose(part)
        return out

    def _slot(self, match):
        name = match.group(1)
        if name in self.words:
            return self.words[name]
        role, _, field = name.rpartition(".")
        key = (role + "." if role else "") + field[0].lower() + field[1:]
        value = self.words[key]
        return value[0].upper() + value[1:]

    def expand(self, template):
        text = self._choose(parse(template))
        return SLOT.sub(self._slot, text)

    def set(self, **words):
        """Sets words; choices inside a value are made here, once."""
        for name, value in words.items():
            self.words[name] = self.expand(" ".join(value.split())).strip()

    def say(self, *templates):
        for template in templates:
            self.lines.append(self.expand(" ".join(template.split())))

    def maybe(self, p, *templates):
        if self.chance(p):
            self.say(*templates)

    def either(self, *plots):
        """Runs one of the given continuations."""
        self.pick(plots)()

    def text(self):
        text = " ".join(line.strip() for line in self.lines if line.strip())
        text = re.sub(r" +", " ", text)
        text = re.sub(r" ([,.!?])", r"\1", text)
        text = re.sub(r"\b([Aa]) (?=[aeio]|u[mgpn][^i])", r"\1n ", text)
        quotes = text.split('"')  # the odd parts are speech, and speech starts with a capital
        quotes = [q[:1].upper() + q[1:] if i % 2 else q for i, q in enumerate(quotes)]
        text = '"'.join(quotes)
        text = re.sub(r'([.!?] |\." |[.!?]"? ")([a-z])', lambda m: m.group(1) + m.group(2).upper(), text)
        return text[:1].upper() + text[1:]


# --- cast --------------------------------------------------------------------------------------------------------------

GIRLS = """Mia Lily Anna Emma Sara Ella Zoe Lucy Nora Ruby Maya Clara Alice Rosa June Tina Molly Jane Amy Kate Lena Eva Sophie Nina
Bella Julia""".split()
BOYS = """Tom Ben Sam Max Leo Tim Jack Noah Finn Eli Adam Owen Peter Luke Henry Omar Hugo Theo Charlie Oliver Daniel Jacob Ravi Marco
Billy Simon""".split()
SHE_ANIMALS = "Hazel Poppy Daisy Luna Olive Clover Rosie Willow Penny Dot Maple Ivy Honey Bonnie Pearl".split()
HE_ANIMALS = "Pip Bruno Toby Rusty Oscar Milo Benny Otto Teddy Barney Bobo Felix Chester Jasper Rocky".split()

PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "self": "herself", "hers": "hers"},
    "he": {"he": "he", "him": "him", "his": "his", "self": "himself", "hers": "his"},
}

# kind: homes of that animal
WOODS = ["in [a green forest|the forest|an old forest]", "at the edge of the [woods|forest]", "[deep in|in the middle of] the [woods|forest]"]
ANIMALS = {
    "rabbit": ["in a [warm|cozy] burrow [under a hill|in the meadow]", "in a green meadow", *WOODS],
    "fox": ["in a den under an old oak tree", "in a [warm|cozy] den", *WOODS],
    "bear": ["in a [big|warm] cave", *WOODS],
    "squirrel": ["in a tall [oak|pine] tree", "high up in an old tree", *WOODS],
    "mouse": ["under the floor of an old barn", "in a tiny hole by the garden wall", "in a corner of the field"],
    "hedgehog": ["under a pile of [dry|brown] leaves", "at the bottom of a garden", *WOODS],
    "duck": ["by a [quiet|small|blue] pond", "near a [wide|slow] river"],
    "frog": ["by a [quiet|small|green] pond", "near a [clear|little] stream"],
    "turtle": ["by a [quiet|blue] lake", "near a [wide|slow] river"],
    "otter": ["near a [wide|cold|clear] river", "by a [blue|quiet] lake"],
    "beaver": ["near a [wide|clear] river", "by a [small|quiet] lake"],
    "badger": ["in a den under the roots of a tree", *WOODS],
    "deer": ["at the edge of a [wide|green] meadow", *WOODS],
    "raccoon": ["in an old hollow tree", *WOODS],
}
CHILD_HOMES = [
    "in a [small|little|white|yellow] house [near the park|by the river|at the end of the street]",
    "in a [quiet|small] village [by a lake|near the mountains|by the sea]",
    "on a [small|big|busy] farm",
    "in a [tall house|small flat] in the [big |]city",
    "at the edge of [a|the] forest",
    "on top of a [green|windy] hill",
    "in a [little|sleepy] town [by the sea|between two hills]",
    "next to [an old mill|a big garden|the school]",
]
TRAITS = "little|little|small|young|kind|curious|cheerful|brave|quiet|clever|gentle|happy|busy|playful"
CHILD_ONLY = "girl boy".split()

FAMILY = {
    "Mom": ("mom", "she"), "Dad": ("dad", "he"), "Grandma": ("grandma", "she"), "Grandpa": ("grandpa", "he"),
}
MORE_FAMILY = {"Aunt Rose": ("aunt", "she"), "Uncle Joe": ("uncle", "he"), "Aunt May": ("aunt", "she"), "Uncle Bob": ("uncle", "he")}


def cast(t, role, name, pronoun, kind, small=True):
    """Sets the words of one role; the hero's pronouns are also available without a prefix."""
    p = PRONOUNS[pronoun]
    prefix = "" if role == "x" else role + "."
    t.words[role] = name
    for key, value in p.items():
        t.words[prefix + key] = value
    t.words[prefix + "kind"] = kind
    t.words[prefix + "the"] = t.expand(f"the [|little |young ]{kind}" if small else f"the {kind}")


def child(t, role, not_named=()):
    girl = t.chance(0.5)
    name = t.pick([n for n in (GIRLS if girl else BOYS) if n not in not_named])
    cast(t, role, name, "she" if girl else "he", "girl" if girl else "boy")
    return name


def animal(t, role, kinds=None, not_kind="", not_named=()):
    she = t.chance(0.5)
    name = t.pick([n for n in (SHE_ANIMALS if she else HE_ANIMALS) if n not in not_named])
    kind = t.pick([k for k in (kinds or ANIMALS) if k != not_kind])
    cast(t, role, name, "she" if she else "he", kind)
    return name


def hero(t, children=0.55, kinds=None):
    """The hero {x}, with {trait}, {home} and {intro}: "a curious girl named Mia"."""
    t.is_child = t.chance(children)
    if t.is_child:
        child(t, "x")
        home = t.pick(CHILD_HOMES)
    else:
        animal(t, "x", kinds)
        home = t.pick(ANIMALS[t.words["kind"]])
    t.set(trait=TRAITS, home=home)
    t.set(intro="a {trait} {kind} [named|named|called] {x}")


def friend(t):
    """The friend {y}: a child for a child, another animal for an animal; {friend} introduces it."""
    if t.is_child:
        child(t, "y", [t.words["x"]])
        t.set(friend="{his} [friend|best friend|friend|neighbor] {y}", yname="{y}")
    else:
        animal(t, "y", None, t.words["kind"], [t.words["x"]])
        t.set(friend="{his} friend {y} the {y.kind}|{y} the {y.kind}", yname="{y}")


def elder(t, only=None, wide=False):
    """The grown-up {z}, {his} {z.role}."""
    table = dict(FAMILY, **MORE_FAMILY) if wide else FAMILY
    name = t.pick(only or list(table))
    role, pronoun = table[name]
    cast(t, "z", name, pronoun, role, small=False)
    t.words["z.role"] = role
    t.set(zfirst="{his} {z.role}" if " " not in name else "{his} {z.role}, {z},")


def opening(t, love, scene):
    """The first sentences: who and where, then `love`, which is about the hero; or `scene`, which introduces {intro} on the day itself.

    Afterwards {when} is a time for the next sentence: "one sunny day" or, on the day itself, "soon".
    """
    if t.chance(0.3):
        t.set(when="that day|soon|a little later|before long")
        t.say(scene)
        return
    t.set(when="one [|sunny |bright |fine |warm |quiet ]day|one [|sunny |bright |cool ]morning|one [|sunny |quiet ]afternoon")
    who = """Once upon a time, there was {intro}. {he} lived {home}.|
        Once upon a time, {intro} lived {home}.|
        Once there was {intro} who lived {home}.|
        There once was {intro}.|
        {x} was a {trait} {kind} who lived {home}.|
        {home} lived {intro}.|
        {home}, there lived {intro}.|
        Long ago, {intro} lived {home}.|
        This is the story of {x}, a {trait} {kind}.|
        Everyone knew {x}, the {trait} {kind} who lived {home}."""
    if t.is_child:
        who += """|{x} was [five|six|seven|eight] years old and lived {home}.|
            {x} lived {home} with {his} [mom|dad|grandma|grandpa|family]."""
    else:
        who += """|{x} the {kind} lived {home}.|
            {x} the {kind} lived {home} with {his} [mom|dad|family|brothers and sisters]."""
    t.say(who, love)


def ending(t, *morals):
    """The closing sentence: one of the plot's own, or one that fits any happy end."""
    if t.chance(0.75):
        t.say("|".join(morals))
    else:
        t.say(
            """It had been a [good|wonderful|very good] day.|
            That night, {x} fell asleep with a smile on {his} face.|
            And {x} was very happy.|
            {x} could not stop smiling all [day|evening].|
            {x} went to bed that night feeling warm and happy.|
            It was a day that {x} would never forget."""
        )


# --- plots -------------------------------------------------------------------------------------------------------------


def lost(t):
    """Something loved is lost, looked for in the wrong places, and found."""
    hero(t)
    friend(t)
    elder(t, wide=True)
    t.set(
        o="""[red|blue|green|yellow] [ball|scarf|hat|bag]|[old|little|soft] [teddy bear|blanket]|[silver|little|shiny] [bell|key|whistle]|
        wooden [horse|spoon|whistle|boat]|music box|[little|red] drum|toy [train|boat]|[blue|red|yellow] cup|picture book"""
    )
    if t.is_child:
        places = ["under the bed", "behind the door", "in the kitchen", "under the table", "in the big box", "behind the shed", "by the gate",
                  "under the bushes", "on the stairs"]
        t.set(last="at the [pond|playground|market]|in the park|on the beach|on the swings|under the apple tree|by the fountain")
    else:
        places = ["under the leaves", "behind a big rock", "in the tall grass", "by the stream", "under an old log", "inside a hollow tree",
                  "among the roots", "under the ferns"]
        t.set(last="by the [pond|well]|near the bridge|on the hill|under the apple tree|in the meadow|beside the river")
    p1, p2 = t.sample(places, 2)
    t.set(p1=p1, p2=p2)
    opening(
        t,
        """{his} favorite thing [in the world|of all] was a {o}.|{he} had a {o} that {he} loved [very much|more than anything].|
        {zfirst} had given {him} a {o}, and {he} took it everywhere.|{he} always carried a {o} [with {him}|wherever {he} went].""",
        "One [morning|day], {intro} looked for {his} {o}, the thing {he} loved most in the world.",
    )
    t.say(
        """{When}, the {o} was [gone|not in its place|nowhere to be seen].|
        {When}, {x} [looked for|reached for] the {o}, but it was [gone|not there].|
        {When}, {x} noticed that the {o} was missing."""
    )
    t.maybe(
        0.6,
        """"Oh no!" [cried|said] {x}. "[Where is my {o}?|Where can it be?|I have lost it!]"|
        {he} felt [a lump in {his} throat|very sad|like crying].|
        {his} heart [sank|began to beat fast].|
        {he} had [never|not once] lost it before.""",
    )
    t.say(
        """{x} looked {p1}, but [it was not there|there was only dust|{he} found nothing]. {he} looked {p2}, [but it was not there either|and still found nothing].|
        First, {he} [looked|searched] {p1}. [Nothing!|It was not there.] Next, {he} [looked|searched] {p2}. [Nothing again!|It was not there either.]|
        {he} searched {p1} and {p2}, but the {o} was not [there|in either place].|
        Was it {p1}? No. Was it {p2}? No, it was not there either."""
    )
    t.say(
        """just then, {friend} came [along|by]. "Why are you so sad?" asked {y}. "I [lost|have lost|cannot find] my {o}," said {x}.|
        {he} [went|ran] to {friend}. "[Have you seen my {o}?|Please help me find my {o}!]" [asked|begged] {x}.|
        soon {friend} saw {him} [searching|looking around]. "[What are you looking for?|Did you lose something?]" asked {y}. "My {o}," [said {x} sadly|sighed {x}]."""
    )
    t.say(
        """"When did you [last see it|have it last]?" asked {y}. {x} [thought hard|closed {his} eyes and thought|sat down to think]. "I had it {last}," {he} said.|
        "[Think back|Let us think]," said {y}. "Where did you [play|go] yesterday?" "{last}!" [cried|said] {x}.|
        "Do not worry," said {y}. "We will [look|search] together. Where were you [yesterday|this morning]?" "I was {last}," said {x}."""
    )

    def found():
        t.say(
            """The two friends [ran|hurried|walked] there. And [there it was|yes]! The {o} [lay|was lying] {last}, [a little wet but safe|just where {x} had left it|
            shining in the sun].|
            They went there [together|at once], and {y} pointed. "Look!" The {o} was lying [on the ground|right there|under a leaf]."""
        )
        t.say(
            """{x} hugged the {o} and then {he} hugged {y}. "Thank you[ so much|]!" {he} [said|cried].|
            {x} [jumped for joy|laughed with joy|danced around]. "You are [a true friend|the best friend ever]," {he} told {y}."""
        )
        ending(
            t,
            "{x} was glad to have the {o} back, but even more glad to have a friend like {y}.",
            "from then on, {x} always put the {o} [away|back in its place] before [going out to play|going to bed].",
            "{x} learned that two pairs of eyes are better than one.",
            "A problem is [smaller|only half as big] when a friend helps.",
        )

    def nest():
        t.set(baby="[tiny|baby] mouse|[tiny|little] kitten|baby bird|baby bunny" if t.is_child else "baby bird|tiny bug|little snail|baby bat")
        t.say(
            """They [ran|went] there and found the {o}. But a {baby} was [sleeping|hiding] [next to|behind] it, [cold and alone|all alone].|
            They [hurried|walked] there [together|side by side]. The {o} was there, and beside it sat a {baby}, shaking [with cold|in the wind]."""
        )
        t.say(
            """{x} forgot the {o}. {he} picked up the {baby} [gently|with great care] and kept it warm.|
            "[Poor little thing|Oh, you poor thing]," [whispered|said] {x}. {he} and {y} made a soft bed of leaves, and they waited until its mother came."""
        )
        t.say(
            """[Soon|Before long], the {baby} [was warm again|felt better], and {x} [took|carried] the {o} home.|
            that evening, {x} held the {o} again, and {he} had a new [little |]friend as well."""
        )
        ending(
            t,
            "{x} had lost one thing and found two.",
            "Sometimes a lost thing leads you to [a new friend|someone who needs you].",
            "{x} was [glad|happy] that {he} had lost the {o} that day.",
        )

    def returned():
        t.set(f="old [man|farmer]" if t.is_child else "old [owl|badger|goat]")
        t.say(
            """But when they got there, the {o} was [gone|not there]. A {f} was [sitting|resting] nearby. "Are you looking for this?" he asked [with a smile|kindly],
            and he held up the {o}.|
            on the way they met a {f}. He was carrying the {o}! "I found this {last}," he said."""
        )
        t.say(
            """"Yes! That is mine! Thank you!" [said|cried] {x}. {he} picked [a flower|some berries] for the {f} to say thanks.|
            "Oh, thank you!" [cried|said] {x}. "How can I [thank|repay] you?" "[Just be kind to the next one you meet|Help someone else one day]," said the {f}."""
        )
        ending(
            t,
            "{x} [thought about that|thought about his kind face] all the way home.",
            "The next day, {x} found a [lost hat|lost glove|little bell] and gave it back [right away|to its owner].",
            "There are kind hearts everywhere[, even in the woods|]." if not t.is_child else "There are kind [hearts|people] everywhere.",
        )

    t.either(found, found, nest, returned)


def sharing(t):
    """The hero has something good, another has none."""
    hero(t)
    friend(t)
    elder(t)
    t.set(
        o="""[big|red|sweet] apple|[warm|fresh] loaf of bread|[big|sweet] pear|[ripe|juicy] peach|[large|big] [cookie|pancake]|
        [slice|piece] of [berry|apple] pie|honey cake|[bowl|basket] of [berries|cherries|nuts]"""
    )
    t.set(
        place="in the [park|garden|yard]|by the [lake|river]|under a big tree|on the steps|on a bench"
        if t.is_child
        else "by the [stream|pond]|under a big tree|on a sunny rock|in the [meadow|clover]"
    )
    opening(
        t,
        """{he} loved to eat, and {he} loved [sweet things|treats] most of all.|
        {he} was always [a little |]hungry.|
        {he} was [kind|sweet], but {he} did not like to share.|
        {he} liked to keep the best things for {self}.""",
        "One [sunny|warm|fine] [day|morning], {intro} could hardly wait for lunch.",
    )
    t.say(
        """{When}, {zfirst} made {him} a surprise. It was a {o}, and it smelled [so good|wonderful|sweet].|
        {When}, {zfirst} gave {him} a {o}. "[Enjoy it|This is for you]," said {z}.|
        {When}, {x} had a {o} for lunch. It looked [so good|wonderful]."""
    )
    t.say(
        """{he} sat down {place} and [opened {his} mouth wide|got ready to eat|licked {his} lips].|
        {he} took it {place}, where [it was quiet|the sun was warm|no one would bother {him}].|
        {he} found a [quiet|shady|nice] [place|spot] {place} and sat down."""
    )
    t.say(
        """[Just then|At that moment|Then], {he} saw {friend}. {y} [had nothing to eat|looked hungry] and [looked sad|was staring at the ground|was very quiet].|
        [Just then|Before {he} could take a bite], {friend} came by. {y.His} tummy [made a loud noise|growled]. "[I forgot my lunch|I have not eaten all day|I lost my lunch],"
        said {y} [sadly|softly].|
        Then {friend} sat down next to {him}. "That [looks|smells] [good|wonderful]," said {y} [quietly|in a small voice]. "I have no [food|lunch] today.\""""
    )
    t.say(
        """{x} looked at the {o}. It looked so nice, and {he} wanted [all of it|every bite]. [But then {he} looked at {y} again|But {y} looked so hungry].|
        {x} held the {o} tight. But then {his} heart felt [heavy|strange]. {he} did not want to eat alone.|
        {x} [thought for a moment|did not think long]. "If I eat it all, I will be full," {he} thought, "But {y} will [still be hungry|be sad].\""""
    )
    t.say(
        """"[Come|Here], [let us share|we can share it]," said {x}, and {he} gave {y} half.|
        {x} [smiled|took a deep breath]. "[Would you like some|Do you want half]?" {he} asked. {y.His} eyes [lit up|grew wide]. "[Really|For me]? Thank you!" said {y}.|
        So {x} [moved over|made room] and gave {y} the [bigger|best] part. "[This is for you|Take it]," {he} said."""
    )
    t.say(
        """They ate [together|side by side] and [talked and laughed|told each other jokes|watched the clouds]. [It tasted better than ever|Nothing had ever tasted so good].|
        [Soon|Then] they were both [laughing|smiling], with crumbs on their [chins|noses].|
        They sat side by side and ate slowly, and the sun was warm on their faces."""
    )

    def later():
        t.say(
            """[The next day|A few days later|The next week], {x} [forgot|lost] {his} [own |]lunch. But {y} came running and said, "[Now it is my turn to share|Today I will share with you]!"|
            The next morning, there was a [little |]basket at {his} door. It was full of [nuts|berries|plums], and a note said, "[Thank you, my friend|For my kind friend]."|
            After that, whenever {y} had [something good|a treat], {y.he} [brought half of it to|shared it with] {x}."""
        )

    def taught():
        t.say(
            """When {x} came home, {z} asked, "Did you like your [food|lunch]?" "It was [twice as good|better] with a friend," said {x}, and {z} [smiled|gave {him} a hug].|
            "Next time I will bring something for you," said {y}. And {y.he} [did|kept {y.his} word]."""
        )

    t.either(later, taught)
    ending(
        t,
        "{x} learned that [sharing makes food taste better|a treat is sweeter when you share it].",
        "from that day on, {x} and {y} [always shared|shared everything].",
        "Half of something with a friend is better than all of it alone.",
        "{x} was still a little hungry, but {his} heart was full.",
        "And so a small gift became the start of a great friendship.",
    )


def storm(t):
    """A storm comes; someone is afraid; shelter and company; the sky clears."""
    hero(t)
    elder(t)
    friend(t)
    t.set(shelter="[old|red|big] barn|little [hut|shed]" if t.is_child else "hollow [tree|log]|[dry|small] cave|[deep|dry] den")
    opening(
        t,
        """{he} was [brave about most things|not afraid of spiders or the dark], but {he} was [afraid of|scared of] storms.|
        {he} loved to play outside [in every season|all day long].|
        {he} loved the sun, but {he} did not like [thunder|the rain].|
        {he} [spent|loved to spend] every [free |]hour outside.""",
        "One [hot|gray|quiet] [day|afternoon], {intro} went out to play.",
    )
    t.set(when="[one hot|one gray|one windy] afternoon" if t.words["when"].startswith("one") else "{when}")
    t.say(
        """{When}, {x} and {friend} were [playing in the field|picking flowers|walking home|looking for berries]. [Suddenly|All at once], the sky [turned dark|grew black].|
        {When}, while {x} and {friend} were far from home, [big dark clouds|black clouds] [came over the hills|filled the sky].|
        {When}, {x} and {friend} were [out in the meadow|playing by the river] when the wind [began to howl|grew strong]."""
    )
    t.say(
        """[Boom!|Crash!] [The thunder rolled|Thunder shook the air]. The rain [came down|fell] [in big, cold drops|so hard that they could not see the path].|
        Rain began to fall, [first a little, then a lot|faster and faster], and lightning [flashed|lit up the hills].|
        The first drops fell, and then [there was a flash of light|came a loud boom]."""
    )

    def brave_friend():
        t.say(
            """{x} [froze|stood still|covered {his} ears]. "I am [scared|afraid]!" {he} [cried|said].|
            {his} legs [shook|would not move]. "[What do we do|What now]?" {he} [whispered|cried]."""
        )
        t.say(
            """"[Come with me|Follow me]!" [called|shouted] {y}. They ran to a {shelter} and [crept|went] inside.|
            "I [know|can see] a {shelter}!" [called|shouted] {y}. They ran [as fast as they could|through the rain], and soon they were [safe|dry] inside."""
        )
        t.say(
            """They [sat|huddled] close together and [sang songs|told stories] [until the thunder was far away|while the rain drummed on and on].|
            "[Count with me|Let us count]," said {y}. After each flash they counted, and each time they could count a little more. "[The storm is going away|It is moving away]," said {y}.|
            "The storm is only [noise and water|wind and water]," said {y}. "It will pass." They [sang a song|told jokes], and [bit by bit|slowly] {x} [grew calm|stopped shaking]."""
        )

    def brave_hero():
        t.say(
            """{y} began to cry. {x} was [afraid|scared] too, but {he} [took a deep breath|tried to be brave]. "We [must|have to] find a dry place," {he} said.|
            {x} wanted to hide, but then {he} heard {y} [crying|calling for help]. {he} ran back. "[Do not be afraid|I am here]," {he} said."""
        )
        t.say(
            """{he} [saw|remembered] a {shelter} not far away, and they both ran there. Inside, it was dry and [quiet|warm].|
            Together they ran [through the rain|as fast as they could] to a {shelter}."""
        )
        t.say(
            """{x} [told|made up] a [funny|silly] story about [a cloud with a cold|a cloud that lost its hat|a fish with an umbrella]. {y} began to laugh, and soon [they were both laughing|
            neither of them was afraid].|
            {he} was so busy [keeping {y} warm|taking care of {y}] that {he} forgot to be afraid of the thunder."""
        )

    t.either(brave_friend, brave_hero)
    t.say(
        """[At last|After a while|Little by little], the rain stopped. [The sun came out|A bright rainbow stood over the hills|The air smelled fresh, and a rainbow crossed the sky].|
        When the storm was over, they [looked|peeked] out. [There was a rainbow over the field|Every leaf was shining|The whole world was shining].|
        Then the clouds [broke|opened], and a rainbow [appeared|stretched over the trees]."""
    )
    t.maybe(
        0.6,
        """{z} came running to meet them. "[There you are|You are safe]!" {z.he} [cried|said], and {z.he} hugged them both.|
        At home, {z} [gave them hot soup|dried them by the fire]. "I am [proud of|so glad to see] you," {z.he} said.""",
    )
    ending(
        t,
        "after that day, {x} was not so [afraid of|scared of] storms anymore.",
        "{x} learned that being brave does not mean that you are never afraid.",
        "Every storm ends, and it ends sooner with a friend.",
        "The next time it thundered, {x} only [smiled and counted|thought of the rainbow].",
    )


def stuck(t):
    """An animal is stuck; attempts, an idea, a rescue, a new friend."""
    hero(t)
    friend(t)
    s, where, attempt, why, tool, how = t.pick(
        [
            ("kitten", "high up in a tree", "climb the tree", "the branches were too [thin|high]", "a long [ladder|plank]", "the kitten walked down slowly"),
            ("lamb", "in the deep mud", "pull it out", "the mud was too [deep|thick]", "a [strong|long] rope", "the lamb came out with a loud pop"),
            ("bird", "in a [thorny|prickly] bush", "reach into the bush", "the thorns were too sharp", "a pair of thick gloves", "the bird hopped out, safe and sound"),
            ("puppy", "in a deep hole", "reach down", "the hole was too deep", "a basket on a rope", "the puppy climbed in and rode up"),
            ("duckling", "under an old fence", "lift the fence", "it was too heavy", "a strong stick", "the fence went up, and the duckling slipped out"),
            ("butterfly", "in a spider web", "blow it free", "the web was too strong", "a [thin|small] feather", "the butterfly opened its wings again"),
        ]
        if t.is_child
        else [
            ("baby bird", "in a thorny bush", "push the thorns away", "they were too sharp", "a long stick", "the baby bird hopped out, safe and sound"),
            ("little lamb", "in the deep mud", "pull it out", "the mud was too [deep|thick]", "a long [vine|branch]", "the lamb came out with a loud pop"),
            ("beetle", "on its back", "blow on it", "it only spun around", "a [thin|green] leaf", "the beetle held on and turned over"),
            ("baby squirrel", "on a rock in the stream", "reach the rock", "it was too far away", "an old branch", "the baby squirrel ran across it"),
            ("little mouse", "at the bottom of a hole", "reach down", "the hole was too deep", "a long [vine|root]", "the mouse climbed up"),
            ("bee", "in a drop of honey", "pull it out", "the honey was too sticky", "a [soft|small] feather", "the bee shook its wings and was free"),
        ]
    )
    t.set(s=s, where=where, attempt=attempt, why=why, tool=tool, how=how)
    opening(
        t,
        """{he} [loved|liked] [to help|helping] others.|
        {he} [loved all animals, big and small|was a friend to every living thing].|
        {he} liked long walks and [quiet|sunny] mornings.|
        {he} often went [exploring|for a walk].|
        {he} was small, but {he} had [big ideas|a big heart].""",
        "One [cold|sunny|windy|quiet] [morning|day], {intro} went for a walk.",
    )
    t.say(
        """{When}, {he} heard a [tiny|small|sad] [cry|voice]. "Help! Please help me!" It was a {s}, stuck {where}.|
        {When}, {he} heard a strange sound. Someone was crying. {x} [followed the sound|looked around] and found a {s}. It was stuck {where}.|
        {When}, [near the path|not far from home], {x} saw a {s} stuck {where}. It looked [scared|tired and scared|very unhappy]."""
    )
    t.say(
        """"[Do not worry|Hold on|Stay calm]," said {x}. "I will help you." {he} tried to {attempt}, but {why}.|
        {x} wanted to help [at once|right away]. {he} tried to {attempt}. But {why}.|
        "Poor thing!" [said|thought] {x}. {he} tried to {attempt}, but it did not work, because {why}."""
    )
    t.say(
        """{he} tried [again and again|once more], [but it was no use|but nothing changed]. Just then, {friend} came [by|along|down the path].|
        "I cannot do it alone," said {x}. So {he} [ran to get|called] {friend}. "[Come quickly|Please come]!" {he} called.|
        {x} did not give up. "I [need|must get] help," {he} said, and {he} [ran|hurried] to {friend}."""
    )
    t.say(
        """"I have an idea," said {y}. "[We need|Let us use|We can use] {tool}!" They [found one|got it] and [set to work|went to work].|
        {y} [scratched {y.his} head|looked at the {s}]. "[What if we use|Maybe we can use] {tool}," {y.he} said. "[Great|Good] idea!" said {x}.|
        Together they [thought of a plan|made a plan]. They went to get {tool}, and soon they were back."""
        .replace("[found one|got it]", "got it")
    )
    t.say(
        """[Slowly and carefully|Very carefully], they [worked together|tried it], and [at last|soon] {how}.|
        "[One, two, three|Ready? Now]!" they [called|said]. And {how}!|
        {x} held [it steady|on tight] and {y} helped. [Then|A moment later], {how}."""
    )
    t.say(
        """The {s} was free! It looked [up |]at them and [seemed to say thank you|made a happy little sound].|
        "[You are safe now|There you go]," said {x} [gently|softly]. The {s} [came close and touched {his} cheek|looked at {him} with bright eyes].|
        {x} and {y} [cheered|laughed with joy]. The {s} [danced around them|did a little dance]."""
    )
    t.maybe(
        0.6,
        """The next day, the {s} [came to visit|was waiting by the path]. [Now|from then on] there were three friends instead of two.|
        After that, the {s} [often came|came every morning] to say hello.""",
    )
    ending(
        t,
        "{x} learned that asking for help is not a weakness.",
        "Two friends can do what one cannot do alone.",
        "{x} and {y} walked home, [tired|muddy] but [proud|happy].",
        "Helping others was the best feeling in the world.",
        "{x} felt as tall as a tree all day.",
    )


def learning(t):
    """A skill is hard; failing, advice, practice, success."""
    hero(t)
    elder(t, wide=True)
    skills = (
        [
            ("ride a bike", "the bike [wobbled|tipped over]", "fell on the grass", "look ahead, not down at your feet", "rode all the way to the gate"),
            ("swim", "{he} sank like a stone", "swallowed some water", "kick your legs and breathe slowly", "swam from one side to the other"),
            ("skate", "{his} feet slid away", "landed on {his} back", "bend your knees and take small steps", "glided over the ice like a bird"),
            ("whistle", "only air came out", "got a red face", "make your mouth small and blow softly", "whistled a whole song"),
            ("fly a kite", "the kite hit the ground", "got tangled in the string", "wait for the wind and then run", "made the kite dance in the sky"),
            ("juggle", "the balls flew everywhere", "dropped every ball", "begin with two and keep your eyes up", "kept three balls in the air"),
            ("play the drum", "the beat was all wrong", "dropped the sticks", "listen first, then play slowly", "played a real song"),
            ("tie a knot", "the knot fell apart", "pulled the wrong end", "make a loop first, then go around it", "tied a perfect knot"),
            ("paint a tree", "the tree looked like a cloud", "spilled the green paint", "look at a real tree for a long time first", "painted a tree full of light"),
        ]
        if t.is_child
        else [
            ("swim", "{he} sank like a stone", "swallowed some water", "kick your legs and breathe slowly", "swam from one side of the pond to the other"),
            ("climb a tree", "{his} paws slipped", "slid back down", "look up, and move one paw at a time", "climbed up to the highest branch"),
            ("sing", "only a squeak came out", "lost the tune", "take a deep breath and sing from your tummy", "sang so well that the birds stopped to listen"),
            ("jump over the stream", "{his} jump was too short", "landed in the water", "run fast and look at the other side", "landed on the other side with dry feet"),
            ("dance", "{his} feet got mixed up", "bumped into a tree", "close your eyes and feel the beat", "danced all around the meadow"),
            ("whistle", "only air came out", "got very tired", "make your mouth small and blow softly", "whistled a whole song"),
            ("weave a basket", "the straw fell apart", "sat on it by mistake", "weave it slowly, one straw at a time", "made a round and strong basket"),
        ]
    )
    if not t.is_child:
        if t.words["kind"] in ("duck", "frog", "turtle", "otter", "beaver"):
            skills = [s for s in skills if s[0] not in ("swim", "climb a tree", "jump over the stream")]
        if t.words["kind"] in ("squirrel", "raccoon", "deer"):
            skills = [s for s in skills if s[0] != "climb a tree"]
    skill, fail, fall, advice, win = t.pick(skills)
    t.set(skill=skill, fail=fail, fall=fall, advice=advice, win=win)
    opening(
        t,
        """More than anything, {he} wanted to {skill}.|
        {he} could do many things, but {he} could not {skill}.|
        All {his} friends could {skill}, but {x} could not.|
        {he} had one [big |]dream. {he} wanted to {skill}.|
        {he} watched the others {skill} and wished that {he} could do it too.""",
        "One [day|morning|spring day], {intro} made up {his} mind to learn to {skill}.",
    )
    t.say(
        """{When}, {he} [tried|gave it a try] for the first time. But {fail}, and {he} {fall}.|
        {When}, {he} began to practice. [At first|The first time], {fail}. Then {he} {fall}.|
        "How hard can it be?" {he} thought. But {fail}, and {x} {fall}."""
    )
    t.maybe(
        0.6,
        """Some of the others laughed, and {his} [cheeks|ears] grew hot.|
        {he} tried [again|once more], but it was [no better|even worse].|
        It was much harder than it looked.|
        {he} tried three times, and three times it went wrong.""",
    )
    t.say(
        """"I [will never|cannot] do it!" [cried|said] {x}, and {he} sat down [with a sigh|and crossed {his} arms].|
        "[It is too hard|I give up]," {he} [said|sighed]. {he} [kicked a stone|wanted to go home].|
        {x} went home with {his} head down. "I am not good at anything," {he} [said|thought]."""
    )
    t.say(
        """But {zfirst} [had seen it all|came and sat beside {him}]. "First, {advice}," said {z}. "[And do not give up|It takes time]."|
        {zfirst} [put an arm around {him}|gave {him} a hug]. "When I was little, I could not do it [either|at all]," said {z}. "You must {advice}."|
        Then {zfirst} said, "[Everyone starts small|Nobody can do it the first time]. Try this. Just {advice}.\""""
    )
    t.say(
        """So {x} [tried again|practiced] [the next day, and the next|every day after breakfast|every day for a week]. [Each time|Every time], it went a little better.|
        {x} [nodded|dried {his} eyes]. {he} practiced in the morning and [in the evening|before bed]. [Some days were good and some were bad|It was slow], but {he} [kept going|did not stop].|
        {x} listened [carefully|well] and tried again. This time it almost worked. {he} tried again, and again."""
    )
    t.say(
        """[Then, one day|And then, one morning|At last], it [happened|worked]! {x} {win}.|
        [A week later|On Sunday|One bright day], {x} took a deep breath and remembered the words of {z}. And {he} {win}!|
        Finally, {he} did not think about failing at all, and {he} {win}."""
    )
    t.say(
        """"[I did it|Look at me|I can do it]!" [shouted|cried] {x}. {z} [clapped|cheered|laughed with joy].|
        {z} [clapped {z.his} hands|cheered]. "I [knew you could do it|am so proud of you]," {z.he} said.|
        "Did you see that?" {x} [shouted|called]. "I saw everything," said {z} [with shining eyes|with a proud smile]."""
    )
    ending(
        t,
        "{x} learned that you have to fail a little before you can win.",
        "now, when something is hard, {x} just [smiles and tries again|takes a deep breath and tries again].",
        "And the next day, {he} [showed|taught] a smaller friend how to do it.",
        "{x} knew now that practice makes hard things easy.",
        "Nothing is too hard if you [try every day|take it one step at a time].",
    )


def secret(t):
    """Something wonderful is found; keeping it alone is less fun than sharing it with someone who can keep it, too."""
    hero(t)
    friend(t)
    elder(t)
    what, where, rule, joy = t.pick(
        [
            ("nest with three blue eggs", "in the [hedge|old apple tree]", "be very quiet", "watched the chicks come out of the eggs"),
            ("family of kittens", "behind the [old barn|wood pile]", "move slowly", "gave names to all the kittens"),
            ("hidden garden", "behind a stone wall", "close the gate", "planted a row of sunflowers there"),
            ("small pond full of frogs", "behind the tall grass", "sit very still", "listened to the frogs sing"),
            ("tiny door", "at the foot of an old tree", "knock three times", "left little gifts by the tiny door"),
            ("cave full of shining stones", "behind the waterfall", "take only one stone", "built a castle of shining stones"),
            ("patch of wild strawberries", "on the far side of the hill", "eat only the red ones", "ate sweet strawberries in the sun"),
        ]
        if t.is_child
        else [
            ("nest with three blue eggs", "in a thick bush", "be very quiet", "watched the chicks come out of the eggs"),
            ("hidden spring", "behind some mossy rocks", "keep the water clean", "drank the cool water on hot days"),
            ("ring of red mushrooms", "in a dark part of the woods", "walk around it", "danced around the ring"),
            ("cave full of shining stones", "behind the waterfall", "take only one stone", "built a castle of shining stones"),
            ("patch of wild strawberries", "on the far side of the hill", "eat only the red ones", "ate sweet strawberries in the sun"),
            ("hollow full of fireflies", "between two old oaks", "sit very still", "watched the fireflies dance"),
        ]
    )
    t.set(what=what, where=where, rule=rule, joy=joy)
    opening(
        t,
        """{he} liked to explore and [always found something new|look under every stone].|
        {he} asked many questions and [looked|peeked] into every corner.|
        {he} was very bad at keeping secrets.|
        {he} often wished for something [wonderful|special] to happen.""".replace("explore and [always found something new|look under every stone]", "explore and look under every stone"),
        "One [misty|sunny|quiet] morning, {intro} took a new path.",
    )
    t.say(
        """{When}, {he} found something amazing. It was a {what}, {where}.|
        {When}, {x} followed a [butterfly|bee|bird] and came to a {what}. It was {where}, where nobody ever went.|
        {When}, {he} stopped and stared. There, {where}, was a {what}!"""
    )
    t.say(
        """"[Wow|Oh my]!" [whispered|said] {x}. "This will be my secret."|
        {his} heart [jumped|beat fast]. {he} did not tell anyone.|
        "I will not tell anyone," {he} thought. "It is all mine."|
        {he} looked around. Nobody had seen it. It was {his} secret now."""
    )
    t.say(
        """Every [day|morning], {he} [went|slipped away] to see it. But it was a little lonely there, with no one to [talk to|laugh with].|
        at home, {he} wanted to [talk about it|tell someone] so much that {his} tummy [hurt|tickled].|
        for three days, {he} went there alone. [At first|On the first day] it was exciting, but [soon|on the third day] {he} began to feel [lonely|a little sad]."""
    )
    t.say(
        """{friend} saw that something was [different|going on]. "Where do you go every day?" {y.he} asked.|
        Then {friend} came to visit. "You look like you have a secret," said {y} [with a smile|and winked].|
        "[You are so quiet|You never play with me now]," said {friend} one day. "Did I do something wrong?\""""
    )
    t.say(
        """{x} [bit {his} lip|looked at {his} feet]. "Can you keep a secret?" {he} asked. "[Of course|I promise]," said {y}.|
        {x} thought about it. A secret was like a [cake|song], too [big|good] for just one. "[Come with me|I will show you]," {he} said.|
        "{z} says a secret grows when you share it with the right friend," said {x}. "Come with me.\""""
    )
    t.say(
        """They [walked|crept] there together. "You must {rule}," [whispered|said] {x}. {y} nodded.|
        {x} [led|took] {y} there. "There is one rule," {he} said. "We must {rule}."|
        On the way, {x} said, "Remember, we have to {rule}." "I will," said {y}."""
    )
    t.say(
        """When {y} saw the {what}, {y.his} mouth [fell open|made a big round O]. "It is [beautiful|the best thing I have ever seen]," {y.he} [whispered|said].|
        {y} could not believe {y.his} eyes. "[Thank you for showing me|Oh, how lovely]," {y.he} whispered."""
    )
    t.say(
        """From then on, they went there together. They {joy}, and they never told anyone else.|
        All summer long, the two friends kept the secret. They {joy}.|
        They came back the next day, and the next. Together they {joy}."""
    )
    ending(
        t,
        "It was still a secret, but now it was twice as [much fun|nice].",
        "{x} learned that some secrets are better for two.",
        "And if you ever meet {x}, {he} may show it to you, but only if you can keep a secret.",
        "A good friend is the best place to keep a secret.",
        "That was the summer when {x} and {y} became best friends.",
    )


def mended(t):
    """Something precious breaks by accident; the hero tells the truth, and it is mended together."""
    hero(t, children=0.65)
    elder(t)
    thing, use, how, part, result = t.pick(
        [
            ("blue vase", "full of flowers", "bumped into the table", "a piece of it broke off", "a thin line of gold where the crack had been"),
            ("[big|brown] teapot", "for guests", "reached for a cookie", "the handle came off", "a handle that was stronger than before"),
            ("[old|wooden] clock", "on the wall", "threw a ball", "a hand fell off", "a loud and happy tick"),
            ("yellow lamp", "by the window", "danced around the room", "its shade tore", "a bright patch in the shape of a star"),
            ("[old|wooden] chair", "by the fire", "jumped on it", "a leg broke", "four strong legs again"),
            ("[old|little] music box", "on the shelf", "wound it too tight", "the song stopped", "a song that was a little slower but very sweet"),
            ("[old|red] fiddle", "on the wall", "played with it", "a string snapped", "a new string that shone like silver"),
        ]
        if t.is_child
        else [
            ("[big|brown] teapot", "for guests", "reached for a nut", "the handle came off", "a handle that was stronger than before"),
            ("[old|wooden] chair", "by the fire", "jumped on it", "a leg broke", "four strong legs again"),
            ("clay pot", "full of honey", "chased a fly", "a piece of it broke off", "a little clay flower over the crack"),
            ("straw basket", "full of nuts", "sat on it", "its side split open", "a new side of green straw"),
            ("[warm|soft] blanket", "of leaves and moss", "pulled it too hard", "it tore in two", "a seam of bright red thread"),
        ]
    )
    t.set(o=thing, use=use, how=how, part=part, result=result)
    opening(
        t,
        """{his} {z.role} had a {o} {use}, and {z.he} loved it [very much|dearly].|
        {his} {z.role} had told {him} many times not to [run|jump] [inside|near the {o}].|
        {he} was always in a hurry, and {he} did not always look where {he} was going.|
        {he} liked to [run and jump|play wild games], even [inside|at home].""",
        "One rainy [day|morning], {intro} had to stay inside.",
    )
    t.say(
        """{When}, {x} {how}. Crash! The {o} fell down, and {part}.|
        {When}, when nobody was looking, {x} {how}. There was a loud noise. The {o} had fallen, and {part}.|
        {When}, {he} {how}, and then it happened. The {o} hit the floor, and {part}."""
    )
    t.say(
        """{x} [stood very still|could not move]. It was {zfirst2} favorite {o}. "[Oh no|What have I done]?" {he} [whispered|thought].|
        {his} eyes filled with tears. "{z} will be so [angry|sad]," {he} thought.|
        "Oh no!" [whispered|cried] {x}. {his} {z.role} had owned that {o} for [many|a hundred] years."""
        .replace("{zfirst2}", "{his} {z.role}'s").replace("[Oh no|What have I done]?", "What have I done?")
    )
    t.say(
        """First, {he} wanted to hide it [under the bed|behind the door]. [Nobody would know|Maybe nobody would see it]. But {his} tummy felt [heavy|like a stone].|
        {he} [put|hid] the {o} in a [dark corner|box] and [pretended|tried] to play. But {he} could think of nothing else.|
        "I could say that [the wind|a bird] did it," {he} thought. But that would be a lie, and {x} [did not like lies|knew that lies grow]."""
    )
    t.say(
        """So {he} [went|walked slowly] to {his} {z.role}. "I broke the {o}," {he} said. "I am [so|very] sorry."|
        When {z} came home, {x} took a deep breath. "It was me," {he} said. "I broke the {o}. I am sorry."|
        at last {he} [ran|went] to {z} and told {z.him} everything."""
    )
    t.say(
        """{z} looked at the {o}. Then {z.he} [knelt down|took {his} hand|hugged {him}]. "Thank you for telling [me |]the truth," {z.he} said. "That was [brave|not easy]."|
        {z} was quiet for a moment. "I am sad about the {o}," {z.he} said, "But I am proud that you told me."|
        "[Things can break|A thing is only a thing]," said {z} [softly|gently]. "But the truth must stay whole.\""""
    )
    t.say(
        """"Can we [fix|mend] it?" asked {x}. "[Let us try|Yes, together]," said {z}. They [got|took] some [glue|string] and [a small brush|two small tools] and worked [all afternoon|until dinner].|
        They [sat down|worked] together at the table. {x} held the pieces and {z} [put them together|showed {him} what to do].|
        Then they mended it, slowly and carefully. {x} [helped|did the small parts] with {his} small hands."""
    )
    if not t.is_child:
        t.lines[-1] = t.lines[-1].replace("hands", "paws")
    t.say(
        """When they were done, the {o} had {result}. "[I like it even better now|Now it has a story]," said {z}.|
        [At last|In the evening], the {o} stood in its place again, with {result}.|
        The {o} was not [perfect|like new], but it had {result}."""
    )
    ending(
        t,
        "{x} learned that [the truth is lighter than a lie|it is best to tell the truth].",
        "{x} slept well that night, for {his} heart was light.",
        "And every time {x} saw the {o}, {he} remembered that day.",
        "What is broken can be mended, if you do not hide it.",
        "After that, {x} never [ran|played wild games] [inside|near the {o}] again.",
    )


def race(t):
    """A race against a boaster; the hero is slower, or stops to help; kindness or patience matters more than the prize."""
    hero(t)
    friend(t)
    t.set(
        kind_of="running|sack|sled|boat" if t.is_child else "running|running|jumping|boat",
        prize="[golden|shiny] cup|[big|red] ribbon|[big|honey] cake|[silver|gold] medal",
        goal="the old [oak|mill]|the red flag|the big rock|the wooden bridge",
    )
    sled = t.words["kind_of"]
    t.set(verb={"sled": "slid", "boat": "rowed", "sack": "hopped", "jumping": "jumped", "running": "ran"}[sled])
    t.set(mishap={"sled": "hit a bump and fell off", "boat": "hit a rock and tipped over", "sack": "tripped and fell", "jumping": "landed badly", "running": "tripped over a root"}[sled])
    opening(
        t,
        """{he} was not very fast, but {he} never gave up.|
        {he} loved [games|races], even when {he} did not win.|
        {he} had short legs, but {he} had a [big heart|strong will].|
        Every year {he} [watched|dreamed of] the big {kind_of} race.""",
        "It was the day of the big {kind_of} race, and {intro} was [excited|nervous].",
    )
    if t.words["when"].startswith("one"):
        t.say(
            """{When}, there was a big {kind_of} race. The prize was a {prize}.|
            {When}, everyone came to the big {kind_of} race. The winner would get a {prize}."""
        )
    else:
        t.say("""The prize was a {prize}.|The winner would get a {prize}.""")
    t.say(
        """{friend} was there too. "[I am the fastest of all|I will win easily|I always win]," said {y} [proudly|with a laugh].|
        "[You are too slow|You cannot beat me]," said {friend}. "That {words} is mine." {x} [said nothing|only smiled].|
        {friend} laughed at {him}. "You? In a race?" said {y}. "[A snail is faster|You will be last]." """
        .replace("{words}", "prize")
    )
    t.say(
        """"Ready, set, go!" They all {verb} toward {goal}. {y} was [soon|quickly] far ahead.|
        A whistle blew, and off they went, all the way to {goal}. {y} was first, and {x} was [last|far behind]."""
    )

    def patience():
        t.say(
            """{y} was so sure of winning that {y.he} stopped to [take a nap|pick flowers|eat a snack|show off].|
            "I have plenty of time," said {y}, and {y.he} sat down [in the shade|under a tree] [for a little nap|for a snack]."""
        )
        t.say(
            """But {x} kept going, [step by step|little by little]. "[Slow and steady|Just keep going]," {he} told {self}.|
            {x} did not stop. {he} was tired and [hot|out of breath], but {he} went on and on."""
        )
        t.say(
            """When {y} looked up, {x} was almost there! {y} [jumped up|hurried], but it was too late. {x} crossed the line first.|
            Then everyone began to cheer. {x} had reached {goal} first! {y} could not believe it."""
        )
        t.say(
            """{x} got the {prize}. {he} [smiled at|walked over to] {y} and said, "[You are still the fastest|You are very fast]. [Will you train with me?|Shall we share it?]"|
            "You won," said {y} [quietly|softly]. "I am sorry that I laughed at you." "[It is all right|I forgive you]," said {x}."""
        )
        ending(
            t,
            "Slow and steady wins the race.",
            "{y} learned not to boast, and {x} learned to believe in {self}.",
            "from that day on, nobody laughed at {x} again.",
            "It is not only the fast who win, but those who do not stop.",
        )

    def kindness():
        t.say(
            """But near {goal}, {y} {mishap}. "Ow! [My foot|My leg]!" {y.he} cried.|
            Suddenly there was a cry. {y} {mishap}, and now {y.he} could not get up."""
        )
        t.say(
            """{x} could have [passed|gone past] {him2} and won. But {he} stopped. "[Are you hurt?|Let me help you]" {he} said.|
            Now {x} could win! {he} looked at {goal}, and {he} looked at {y}. Then {he} [turned around|stopped]. "[Lean on me|I will help you]," {he} said."""
            .replace("{him2}", "{y.him}").replace('[Are you hurt?|Let me help you]" {he} said', 'Let me help you," {he} said')
        )
        t.say(
            """Slowly they went on together, [side by side|step by step]. All the others had [passed them|finished], but [the crowd|everyone] [cheered|clapped] loudest for them.|
            {he} helped {y} all the way to {goal}. They were the very last, but [the crowd|everyone] cheered [for them|as if they had won]."""
        )
        t.say(
            """"Why did you stop?" asked {y}. "[You could have won|You wanted that prize]." "A friend is better than a {prize}," said {x}.|
            "I was mean to you, and you helped me," said {y}. "[I am sorry|Thank you]." {x} smiled. "[Friends|That is what friends do]," {he} said."""
            .replace("[Friends|That is what friends do]", "That is what friends do")
        )
        ending(
            t,
            "{x} did not win the {prize}, but {he} won a friend.",
            "That day everyone learned that kindness is worth more than a prize.",
            "The next year, they {verb} side by side and crossed the line together.",
            "There are many ways to win.",
        )

    t.either(patience, kindness)


def shy(t):
    """A shy creature learns to trust, day by day."""
    hero(t, children=0.7)
    elder(t)
    t.set(
        s="[gray|brown|black|thin] cat|[little|brown|thin] dog|[gray|young] pony|[small|young] deer|[white|little] rabbit|[big|white] goose"
        if t.is_child
        else "[white|little] lamb|[gray|thin] cat|[young|small] owl|[little|small] mole|[young|small] deer",
        place="under the porch|behind the [barn|shed]|at the end of the garden|by the old fence" if t.is_child else "behind a bush|at the edge of the clearing|under a fallen tree|by the pond",
        food="a bowl of milk|some bread|a piece of apple|some oats|a carrot",
    )
    t.set(short=t.words["s"].split()[-1], call="Misty|Button|Pepper|Shadow|Biscuit|Snowy|Pebble|Ginger")
    opening(
        t,
        """{he} was gentle and patient, and {he} never shouted.|
        {he} wished for [a friend|someone to play with] more than anything.|
        {he} was a little shy {self}.|
        {he} [was new there|had just moved there], and {he} had no friends yet.""",
        "One [cold|rainy|gray|quiet] [morning|evening], {intro} saw two bright eyes {place}.",
    )
    t.say(
        """{When}, {he} saw a {s} hiding {place}. When {x} came near, it [ran away|jumped back].|
        {When}, a {s} appeared {place}. It was [thin and wet|all alone], and it was afraid of everyone.|
        {When}, {x} noticed a {s} {place}. It [trembled|shook] and would not come out."""
        if t.words["when"].startswith("one")
        else "It was a {s}. When {x} came near, it [ran away|jumped back].|They belonged to a {s}. It was [thin and wet|all alone], and it was afraid of everyone.".replace("They belonged to", "It was")
    )
    t.say(
        """"Why does it not like me?" asked {x}. "[It does like you|It is not you]," said {zfirst}. "It is only [shy|scared]. [Give it time|You must be patient]."|
        {x} was sad. "[You cannot rush a friend|Trust takes time]," said {zfirst}. "[Come back tomorrow|Just sit still and wait]."|
        "Do not run after it," said {zfirst}. "[Let it come to you|Sit down and be quiet]. A shy heart opens slowly.\""""
    )
    t.say(
        """So on the first day, {x} put down {food} and went away. [In the morning|Later], [it was gone|all of it was eaten].|
        So {x} left {food} there and [watched|waited] from [far away|the other side]. [At last|After a long time], the {short} crept out and ate."""
    )
    t.say(
        """On the second day, {he} sat down [a little closer|under a tree] and [hummed a soft song|read a book|looked at the clouds]. The {short} [watched {him}|listened].|
        The next day, {he} came back and sat very still. {he} [hummed a soft song|told it about {his} day]. The {short} [listened|looked at {him}] with big eyes."""
    )
    t.say(
        """Day after day, {x} came, in the sun and in the rain. Each day the {short} came one step closer.|
        A week went by. {x} never [grabbed|shouted] and never hurried. Every day the {short} was a little less afraid."""
    )
    t.say(
        """Then, one [morning|evening], the {short} walked up to {him} and [put its head on {his} knee|touched {his} nose with its own]. {x} hardly dared to breathe.|
        [At last|One day], something soft touched {his} arm. It was the {short}! {x} [smiled|held very still] and [stroked it gently|let it sniff {him}]."""
    )
    t.say(
        """"Hello," {he} whispered. "I will call you {call}."|
        "I am so glad that you came," {he} whispered. {he} named the {short} {call}.|
        {x} gave it a name. The {short} was called {call} [now|from that day on]."""
    )
    ending(
        t,
        "From then on, {x} and {call} were always together.",
        "{x} learned that trust grows slowly, like a tree.",
        """"You were right," {he} told {z}. "It only needed time.\"""",
        "Some friends come running, and some come one step at a time.",
        "Now neither of them was lonely anymore.",
    )


def cooking(t):
    """A dish is planned, something is missing; a neighbor or an idea helps; everyone eats."""
    hero(t)
    elder(t)
    friend(t)
    dish, first, missing, smell, twist = t.pick(
        [
            ("cake", "mixed the flour and the eggs", "sugar", "sweet", "some honey"),
            ("pot of soup", "cut the carrots and the onions", "salt", "warm and good", "some dried herbs"),
            ("apple pie", "peeled the apples", "butter", "like autumn", "some cream"),
            ("loaf of bread", "weighed the flour", "yeast", "like home", "some sour milk"),
            ("stack of pancakes", "put the flour in a big bowl", "milk", "sweet", "some apple juice"),
            ("berry pie", "washed the berries", "flour", "sweet", "some ground nuts"),
        ]
        if t.is_child
        else [
            ("acorn cake", "cracked the acorns", "honey", "sweet", "some sweet berries"),
            ("pot of soup", "cut the carrots and the roots", "salt", "warm and good", "some dried herbs"),
            ("berry pie", "washed the berries", "flour", "sweet", "some ground nuts"),
            ("nut bread", "cracked the nuts", "honey", "like autumn", "a ripe plum"),
            ("pot of mushroom stew", "cleaned the mushrooms", "onions", "warm and good", "some wild garlic"),
        ]
    )
    t.set(dish=dish, first=first, missing=missing, smell=smell, twist=twist)
    t.set(
        why="""it was {his} {z.role}'s birthday|{his} {z.role} was tired from work|{his} {z.role} was coming home from a long trip|winter had come and everyone was cold|
        {he} wanted to surprise {his} {z.role}"""
    )
    opening(
        t,
        """{he} loved to help in the kitchen.|{he} loved good food, and {he} wanted to be a cook one day.|
        {he} had never cooked anything alone.|{he} liked to make things with {his} own [two |][hands|hands].""".replace("[hands|hands]", "hands" if t.is_child else "paws"),
        "One [cold|rainy|windy|snowy] [day|morning], {intro} had a good idea.",
    )
    t.say(
        """{When}, {he} wanted to make a {dish}, because {why}.|
        {When}, {he} decided to make a {dish}, for {why}.|
        It was a special day, because {why}. "I will make a {dish}," said {x}."""
    )
    t.say(
        """{he} [put on an apron|washed {his} hands|got out a big bowl] and {first}. [It was fun|There was a big mess]. But then {he} [opened the cupboard|looked on the shelf]. There was no {missing}!|
        {he} {first}. Then {he} reached for the {missing}, but the jar was empty."""
    )
    if not t.is_child:
        t.lines[-1] = t.lines[-1].replace("hands", "paws")
    t.say(
        """"[What now|What shall I do]?" {he} [said|asked {self}]. "I cannot make a {dish} without {missing}."|
        "Oh no," [said|sighed] {x}. "It will not be good without {missing}."|
        {he} wanted to [cry|give up]. Without {missing}, it would never work."""
    )

    def neighbor():
        t.say(
            """{he} [ran|went] next door to {friend}. "[Do you have some|Can I have a little] {missing}?" {he} asked. "[Yes, I do|Of course]," said {y}. "[Can I help you|May I come too]?"|
            There was a knock at the door. It was {friend}. "You look worried," said {y}. "I have no {missing}," said {x}. "But I have some at home!" said {y}, and {y.he} ran to get it."""
        )
        t.say(
            """Together they [stirred|mixed] and tasted, and soon the whole [house|kitchen] smelled {smell}.|
            They [stirred|worked] [side by side|together], and {y} told jokes. There was flour on their [noses|ears]. Soon it smelled {smell}."""
        )

    def idea():
        t.say(
            """Then {he} [looked around|thought for a while] and saw {twist}. "[Maybe|What if I use] this will do," {he} said. {he} [stirred|put] it in.|
            {friend} looked in at the window. "Try {twist}," said {y}. "That is what my grandma does." {x} had never heard of that, but {he} tried it."""
            .replace("[Maybe|What if I use] this", "Maybe this")
        )
        t.say(
            """{x} [tasted it|took a small spoon] and waited. [Mmm|Oh]! It was [different, but very good|even better than before].|
            Soon the whole [house|kitchen] smelled {smell}. {x} [peeked at it|looked at it] again and again."""
        )

    t.either(neighbor, idea)
    t.say(
        """When {z} came in, {z.his} eyes [grew wide|lit up]. "Who made this {dish}?" {z.he} asked. "[I did|We did], for you," said {x}.|
        "Surprise!" called {x} when {z} [opened the door|came home]. {z} [could not believe it|laughed with joy]."""
        .replace("[I did|We did], for you", "It is for you")
    )
    t.say(
        """They [sat down|all sat] at the table, {y} too, and ate until [nothing was left|the last crumb was gone].|
        {z} took a bite and closed {z.his} eyes. "[This is the best {dish} I have ever had|I can taste the love in it]," {z.he} said. {y} got a big [plate|piece] too.|
        There was enough for everyone, and {y} [had two plates|licked {y.his} plate clean]."""
    )
    ending(
        t,
        "Food tastes best when it is made with love.",
        "{x} learned that a missing thing can lead to something [new|better].",
        "The kitchen was a mess, but nobody minded.",
        "And they did the dishes together, [singing loudly|laughing all the time].",
        "After that, they cooked together every [Sunday|week].",
    )


def building(t):
    """Something is built; it fails the first time; better plan, more hands, done."""
    hero(t)
    friend(t)
    elder(t)
    what, where, stuff, fall, fix, use = t.pick(
        [
            ("tree house", "in the old oak", "boards and nails", "the floor broke", "put strong beams under the floor", "looked at the stars from their tree house"),
            ("sand castle", "on the beach", "sand and shells", "a wave washed it away", "built it higher up the beach and dug a ditch", "put a flag on the tallest tower"),
            ("birdhouse", "in the garden", "wood and glue", "the roof fell off", "used longer nails", "saw a little blue bird move in"),
            ("snowman", "in the yard", "snow and sticks", "its head rolled off", "made a bigger, flatter body", "gave it a red scarf and a carrot nose"),
            ("raft", "by the river", "logs and rope", "the logs drifted apart", "tied every log with two knots", "sailed to the little island and back"),
            ("fort", "behind the house", "boxes and blankets", "the wind blew it down", "put heavy stones on the corners", "had a picnic inside the fort"),
            ("wagon", "in the shed", "an old box and four wheels", "a wheel came off", "put a pin on every wheel", "rode down the hill, laughing"),
        ]
        if t.is_child
        else [
            ("little house", "under the big tree", "sticks and moss", "the wind blew it down", "put heavy stones on the corners", "had tea in the new house"),
            ("bridge", "over the stream", "logs and vines", "the water carried it away", "tied it to the trees on both sides", "crossed the stream with dry feet"),
            ("boat", "by the pond", "bark and leaves", "it filled with water", "closed every hole with mud and wax", "sailed to the other side and back"),
            ("swing", "under the old oak", "vines and a piece of bark", "the vine broke", "twisted three vines together", "flew up high, almost to the leaves"),
            ("snowman", "in the clearing", "snow and sticks", "its head rolled off", "made a bigger, flatter body", "gave it a scarf of ivy and a nose of pine"),
        ]
    )
    t.set(what=what, where=where, stuff=stuff, fall=fall, fix=fix, use=use)
    opening(
        t,
        """{he} loved to build things.|{he} always had [a new plan|a big plan] in {his} head.|{he} liked to draw plans and make things.|
        {his} dream was to build a {what} {where}.|{he} could not sit still for a minute.""",
        "One [morning|day], {intro} had a [big|great|new] idea.",
    )
    t.say(
        """{When}, {he} decided to build a {what} {where}. {he} [collected|found] {stuff} and began.|
        {When}, {x} [took|found] {stuff}. "I will build a {what} {where}," {he} said.|
        "I will build a {what} {where}," {he} [told|said to] {friend}. "[You will see|All by myself]."|
        {When}, {x} got {stuff} and started to build a {what} {where}."""
    )
    t.say(
        """{he} worked [all morning|very fast|without a break]. But when it was [almost done|ready], {fall}.|
        It looked [easy|simple], and {he} was in a hurry. Then, all of a sudden, {fall}.|
        {x} worked hard and did not ask anyone for help. [In the evening|At noon], {fall}."""
    )
    t.say(
        """"[All my work|All that work] for nothing!" cried {x}. {he} [kicked a stick|sat down on the ground].|
        {x} looked at the mess and [sighed|wanted to cry]. "I will never build anything again," {he} said.|
        {x} was [so angry|so sad] that {he} wanted to [go home|give up]."""
    )
    t.say(
        """{zfirst} came to look. "[Every builder|Everyone who builds] falls down once," said {z}. "[What did you learn|Do you know why it happened]?"|
        {friend} came by and looked at it [closely|from all sides]. "[It was a good start|I like it]," said {y}. "But [two can do it better|we should make it stronger]."|
        {friend} did not laugh. "Can I help?" asked {y}. "[I am good at holding things|Two heads are better than one]." """
    )
    t.say(
        """This time, they made a plan first. {x} and {y} {fix}. [It took all day|It was hard work], but nobody was in a hurry.|
        So {x} started again, and {y} helped {him}. They {fix}. [Piece by piece|Little by little], it grew.|
        {x} [thought about it|nodded]. The next day, {he} and {y} {fix}. They worked slowly, [and they sang while they worked|and they checked everything twice]."""
    )
    t.say(
        """[At last|In the evening|When the sun went down], the {what} was [ready|finished]. It [stood firm|was strong], [even in the wind|and it looked wonderful].|
        Then came the big moment. Would it hold? Yes! The {what} was [strong|better than before]."""
    )
    t.say(
        """The two friends {use}.|That [evening|night], they {use}.|{x} and {y} [danced around|were so proud]. They {use}."""
    )
    ending(
        t,
        "{x} learned that the second try is often the best one.",
        "What you build with a friend stands longer.",
        """"Next time," said {x}, "I will ask for help first.\"""",
        "A good plan is half the work.",
        "It was not perfect, but it was theirs.",
    )


PLOTS = [
    lost,
    sharing,
    storm,
    stuck,
    learning,
    secret,
    mended,
    race,
    shy,
    cooking,
    building,
]


# --- stories -----------------------------------------------------------------------------------------------------------


def story(seed, index):
    """Story number `index` of the corpus with this seed."""
    rng = random.Random(f"{seed}/{index}")
    while True:
        t = Tale(rng)
        t.pick(PLOTS)(t)
        text = t.text()
        if WORDS[0] <= len(text.split()) <= WORDS[1]:
            return text


def check(n=20_000):
    """Prints statistics and stops at the first story that breaks a rule."""
    lengths, seen = [], set()
    for i in range(n):
        s = story(0, i)
        assert s.isascii() and not re.search(r"[\[\]{}|]|  | [,.!?]|\.\.|,\.|,,", s), s
        assert s[-1] in '.!?"' and s.count('"') % 2 == 0, s
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|\b(\w+) \1\b", s.replace("had had", "")), s
        assert not re.search(r'[.!?]"? [a-z]', re.sub(r'[!?]" [a-z]', "", s)), s
        lengths.append(len(s.split()))
        seen.add(s)
    print(f"{n} stories, {len(seen)} different, words min {min(lengths)} mean {sum(lengths) / n:.1f} max {max(lengths)}")
    words = {w for s in seen for w in re.findall(r"[A-Za-z']+", s)}
    print(f"{len(words)} different words")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        check()
    else:
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
        first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
        for i in range(first, first + count):
            print(story(2024, i) + "\n")
