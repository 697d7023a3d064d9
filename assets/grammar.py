"""A grammar of short children's stories.

`story(seed, index)` is one story, the same on every machine: English, ASCII, one paragraph, 80 to 160 words.

    python grammar.py 5          # five stories
    python grammar.py 5 100      # five stories from index 100 on
    python grammar.py --check    # statistics and checks over many stories

How it works:

1. A `Tale` holds the cast and the things of one story. Everything that must stay the same (names, pronouns, objects, places) is chosen
   once and kept there; the sentences only refer to it.
2. A sentence is written as a template. `[a|b|c]` is one of its alternatives, which may nest and may be empty; `|` at the top level separates
   whole sentences. `{x}` is the hero's name, `{y}` the friend's, `{z}` the grown-up's; `{he} {him} {his} {self}` are the hero's pronouns,
   `{y.he}` and so on those of the others. Every other name is a word that the plot has set. A capital first letter gives a capital in the text.
3. A plot is a function that casts the roles and says sentences in order: opening, want, obstacle, attempts, turn, resolution, close. Plots
   branch, so that one shape has several courses and endings.
4. The text is tidied (a/an, spaces, capitals) and returned. A story of the wrong length is drawn again.
"""

import random
import re
import sys
from functools import lru_cache

WORDS = (80, 160)

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

GIRLS = "Mia Lily Anna Lucy Ruby Emma".split()
BOYS = "Tom Ben Sam Leo Jack Max".split()
SHE_ANIMALS = "Luna Poppy Daisy Dot".split()
HE_ANIMALS = "Pip Toby Rusty Bobo".split()
NAMES = GIRLS + BOYS + SHE_ANIMALS + HE_ANIMALS

PRONOUNS = {
    "she": {"he": "she", "him": "her", "his": "her", "self": "herself"},
    "he": {"he": "he", "him": "him", "his": "his", "self": "himself"},
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

FAMILY = {
    "Mom": ("mom", "she"), "Dad": ("dad", "he"), "Grandma": ("grandma", "she"), "Grandpa": ("grandpa", "he"),
}
MORE_FAMILY = {"Aunt Rose": ("aunt", "she"), "Uncle Joe": ("uncle", "he"), "Aunt May": ("aunt", "she"), "Uncle Bob": ("uncle", "he")}


def cast(t, role, name, pronoun, kind):
    """Sets the words of one role; the hero's pronouns are also available without a prefix."""
    p = PRONOUNS[pronoun]
    prefix = "" if role == "x" else role + "."
    t.words[role] = name
    for key, value in p.items():
        t.words[prefix + key] = value
    t.words[prefix + "kind"] = kind


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
    t.set(trait=TRAITS, home=home, hands="hands" if t.is_child else "paws")
    t.set(intro="a {trait} {kind} [named|named|called] {x}")


def friend(t):
    """The friend {y}: a child for a child, another animal for an animal; {friend} introduces it."""
    if t.is_child:
        child(t, "y", [t.words["x"]])
        t.set(friend="{his} [friend|best friend|friend|neighbor] {y}")
    else:
        animal(t, "y", None, t.words["kind"], [t.words["x"]])
        t.set(friend="{his} friend {y} the {y.kind}|{y} the {y.kind}")


def elder(t, only=None, wide=False):
    """The grown-up {z}, {his} {z.role}."""
    table = dict(FAMILY, **MORE_FAMILY) if wide else FAMILY
    name = t.pick(only or list(table))
    role, pronoun = table[name]
    cast(t, "z", name, pronoun, role)
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
        {x} [thought for a moment|did not think long]. "If I eat it all, I will be full," {he} thought. "But {y} will [still be hungry|be sad].\""""
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
        """"I have an idea," said {y}. "[We need|Let us use|We can use] {tool}!" They got it and [set to work|went to work].|
        {y} [scratched {y.his} head|looked at the {s}]. "[What if we use|Maybe we can use] {tool}," {y.he} said. "[Great|Good] idea!" said {x}.|
        Together they [thought of a plan|made a plan]. They went to get {tool}, and soon they were back."""
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
        """{he} liked to explore and look under every stone.|
        {he} asked many questions and [looked|peeked] into every corner.|
        {he} was very bad at keeping secrets.|
        {he} often wished for something [wonderful|special] to happen.""",
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
        """{x} [stood very still|could not move]. It was {his} {z.role}'s favorite {o}. "What have I done?" {he} [whispered|thought].|
        {his} eyes filled with tears. "{z} will be so [angry|sad]," {he} thought.|
        "Oh no!" [whispered|cried] {x}. {his} {z.role} had owned that {o} for [many|a hundred] years."""
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
        {z} was quiet for a moment. "I am sad about the {o}," {z.he} said. "But I am proud that you told me."|
        "[Things can break|A thing is only a thing]," said {z} [softly|gently]. "But the truth must stay whole.\""""
    )
    t.say(
        """"Can we [fix|mend] it?" asked {x}. "[Let us try|Yes, together]," said {z}. They [got|took] some [glue|string] and [a small brush|two small tools] and worked [all afternoon|until dinner].|
        They [sat down|worked] together at the table. {x} held the pieces and {z} [put them together|showed {him} what to do].|
        Then they mended it, slowly and carefully. {x} [helped|did the small parts] with {his} small {hands}."""
    )
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
    how = t.words["kind_of"]
    t.set(verb={"sled": "slid", "boat": "rowed", "sack": "hopped", "jumping": "jumped", "running": "ran"}[how])
    t.set(mishap={"sled": "hit a bump and fell off", "boat": "hit a rock and tipped over", "sack": "tripped and fell", "jumping": "landed badly", "running": "tripped over a root"}[how])
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
        "[You are too slow|You cannot beat me]," said {friend}. "That prize is mine." {x} [said nothing|only smiled].|
        {friend} laughed at {him}. "You? In a race?" said {y}. "[A snail is faster|You will be last]." """
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
            """{x} could have [passed|gone past] {y.him} and won. But {he} stopped. "Let me help you," {he} said.|
            Now {x} could win! {he} looked at {goal}, and {he} looked at {y}. Then {he} [turned around|stopped]. "[Lean on me|I will help you]," {he} said."""
        )
        t.say(
            """Slowly they went on together, [side by side|step by step]. All the others had [passed them|finished], but [the crowd|everyone] [cheered|clapped] loudest for them.|
            {he} helped {y} all the way to {goal}. They were the very last, but [the crowd|everyone] cheered [for them|as if they had won]."""
        )
        t.say(
            """"Why did you stop?" asked {y}. "[You could have won|You wanted that prize]." "A friend is better than a {prize}," said {x}.|
            "I was mean to you, and you helped me," said {y}. "[I am sorry|Thank you]." {x} smiled. "That is what friends do," {he} said."""
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
        else "It was a {s}. When {x} came near, it [ran away|jumped back].|It was a {s}. It was [thin and wet|all alone], and it was afraid of everyone."
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
        {he} had never cooked anything alone.|{he} liked to make things with {his} own {hands}.""",
        "One [cold|rainy|windy|snowy] [day|morning], {intro} had a good idea.",
    )
    t.say(
        """{When}, {he} wanted to make a {dish}, because {why}.|
        {When}, {he} decided to make a {dish}. [After all|You see], {why}.|
        It was a special day, because {why}. "I will make a {dish}," said {x}."""
    )
    t.say(
        """{he} [put on an apron|washed {his} {hands}|took a deep breath] and {first}. [It was fun|There was a big mess]. But then {he} [opened the cupboard|looked on the shelf]. There was no {missing}!|
        {he} {first}. Then {he} reached for the {missing}, but the jar was empty."""
    )
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
            """Then {he} [looked around|thought for a while] and saw {twist}. "Maybe this will do," {he} said. {he} [stirred|put] it in.|
            {friend} looked in at the window. "Try {twist}," said {y}. "That is what my grandma does." {x} had never heard of that, but {he} tried it."""
        )
        t.say(
            """{x} [tasted it|took a small spoon] and waited. [Mmm|Oh]! It was [different, but very good|even better than before].|
            Soon the whole [house|kitchen] smelled {smell}. {x} [peeked at it|looked at it] again and again."""
        )

    t.either(neighbor, idea)
    t.say(
        """When {z} came in, {z.his} eyes [grew wide|lit up]. "Who made this {dish}?" {z.he} asked. "It is for you," said {x}.|
        "Surprise!" called {x} when {z} [opened the door|came home]. {z} [could not believe it|laughed with joy]."""
    )
    t.say(
        """They sat down at the table and ate until [nothing was left|the last crumb was gone].|
        {z} took a bite and closed {z.his} eyes. "[This is the best {dish} I have ever had|I can taste the love in it]," {z.he} said.|
        There was enough for everyone, and {z} [had two plates|licked {z.his} plate clean]."""
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


def stranger(t):
    """The hero loses the way; a kind stranger helps; thanks."""
    hero(t)
    elder(t)
    if t.is_child:
        t.set(place="at the [busy |big |]market|in the big city|at the [summer |]fair|at the [big |]station")
        who, thing, she = t.pick(
            [
                ("an old woman", "with a [red|blue] umbrella", "she"),
                ("a tall man", "with a [gray|long] beard", "he"),
                ("a baker", "with flour on his [nose|hat]", "he"),
                ("a woman", "with a basket of [flowers|oranges]", "she"),
                ("a fisherman", "in yellow boots", "he"),
                ("a young woman", "with a [guitar|violin] on her back", "she"),
            ]
        )
        t.set(sight="[a pile of red apples|a juggler|a dancing dog|a big balloon|a bird with bright feathers]")
    else:
        t.set(place="in the dark woods|on the far side of the hill|in the tall corn|in the thick fog")
        who, thing, she = t.pick(
            [
                ("an old owl", "with big yellow eyes", "he"),
                ("a big gray goose", "with a kind voice", "she"),
                ("a deer", "with tall antlers", "he"),
                ("an old goat", "with a long white beard", "he"),
                ("a black crow", "with shiny feathers", "she"),
            ]
        )
        t.set(sight="[a blue butterfly|a shiny beetle|a floating leaf|a trail of berries|a dancing firefly]")
    t.set(who=who, thing=thing, noun=who.split(" ", 1)[1].replace("big gray ", "").replace("black ", ""), sh=she, hr="her" if she == "she" else "him")
    opening(
        t,
        """{he} was always looking at something [new|interesting].|
        {he} often [forgot|did not see] where {he} was going.|
        {he} had never been far from home.|
        {his} {z.role} always said, "Stay close to me.\"""",
        "One [busy|gray|windy] [morning|afternoon], {intro} was out with {his} {z.role} {place}.",
    )
    if t.words["when"].startswith("one"):
        t.say(
            """{When}, {x} and {his} {z.role} were {place}. {x} stopped to look at {sight}.|
            {When}, {he} was {place} with {his} {z.role}. Suddenly {he} saw {sight} and went closer to look."""
        )
    else:
        t.say("""{x} [stopped to look|turned around to look] at {sight}.|Suddenly {x} saw {sight} and [forgot everything else|went closer to look].""")
    t.say(
        """When {he} looked up again, {his} {z.role} was gone. [Nothing looked the same|Everything looked strange].|
        When {he} turned around, {he} could not see {z} [anywhere|at all]. {he} was lost.|
        Then {he} looked back. [Where was {z}|Where was the way home]? {x} was all alone."""
    )
    t.maybe(
        0.6,
        """{he} called and called, but nobody answered. {his} [lip|chin] began to shake.|
        {he} ran this way and that way, but [it all looked the same|it only got worse]. At last {he} sat down and cried.|
        "{z}! Where are you?" {he} called. {he} tried to be brave, but a tear rolled down {his} [cheek|nose].""",
    )
    t.say(
        """Then {who} {thing} stopped beside {him}. "[Are you lost, little one|Why are you crying]?" {sh} asked. {x} [nodded|could only nod].|
        "[What is wrong|Can I help you]?" asked a [soft|deep|kind] voice. It was {who} {thing}. "I am lost," [said|whispered] {x}.|
        just then, {who} {thing} came by and sat down [next to|near] {him}. "You look like someone who has lost the way," {sh} said."""
    )
    t.say(
        """"[Stay calm|Dry your eyes]," said the {noun}. "What does your {z.role} [look like|sound like]?"|
        "[I was lost once, too|I know how that feels]," said the {noun}. "What did you see on your way?"|
        "Let us [find|look for] your {z.role} together," said the {noun}. "What do you remember?\""""
    )
    t.say(
        """{x} [thought|closed {his} eyes]. "[I remember|There was] a [red|green|crooked] [bridge|gate|sign]," {he} said. "Good! I know the place," said the {noun}.|
        "{z} always whistles [the same|a funny little] song," said {x}. They both listened. And there, far away, was the song!|
        {x} told {hr} all about {z}. The {noun} [listened well|nodded]. Then {sh} [called as loud as {sh} could|led the way] until they heard an answer."""
    )
    t.say(
        """Soon they saw {z} running toward them. {x} [flew|ran] into {z.his} arms. "I was so worried," said {z}.|
        And there was {z}, looking everywhere! "[There you are|I found you]!" {z.he} cried, and {z.he} [hugged|held] {x} tight."""
    )
    t.maybe(
        0.6,
        """"Thank you," said {x} and {z} together. The {noun} only smiled. "[Someone once helped me|One day you will help someone, too]," {sh} said.|
        {x} turned to thank the {noun}, and gave {hr} [a flower|a big hug|a small white stone]. "[It was nothing|I was happy to help]," {sh} said.|
        "How can we thank you?" asked {z}. "[A smile is enough|No need]," said the {noun}, and {sh} waved.""",
    )
    ending(
        t,
        "after that, {x} always stayed close to {his} {z.role}.",
        "A stranger can be a friend you have not met yet.",
        "And one day, when {x} met a lost little {other}, {he} knew just what to do.".replace("{other}", "boy" if t.is_child else "mouse"),
        "{x} never forgot the {noun} {thing}.",
        "{x} held {z.his} hand all the way home." if t.is_child else "{x} stayed close to {z} all the way home.",
    )


def planting(t):
    """A seed is planted; nothing happens; patience; it grows and is given away or shared."""
    hero(t)
    elder(t)
    friend(t)
    plant, fruit, use = t.pick(
        [
            ("sunflower", "a flower as big as a plate", "gave the seeds to the hungry birds"),
            ("pumpkin", "a huge orange pumpkin", "made soup for the whole street"),
            ("bean", "a long green vine full of beans", "cooked the beans for dinner"),
            ("strawberry", "ten sweet red berries", "ate them in the shade"),
            ("rose", "one perfect red rose", "put it in a glass by the window"),
            ("tomato", "five fat red tomatoes", "made a big salad"),
        ]
        if t.is_child
        else [
            ("sunflower", "a flower as big as the moon", "gave the seeds to the hungry birds"),
            ("bean", "a long green vine full of beans", "shared the beans with all their friends"),
            ("strawberry", "ten sweet red berries", "ate them in the shade"),
            ("pea", "twenty round green pods", "made a pot of green soup"),
            ("carrot", "a carrot as long as a stick", "pulled it out together and had a feast"),
        ]
    )
    t.set(plant=plant, fruit=fruit, use=use, was="was" if fruit.startswith(("a ", "one ")) else "were")
    opening(
        t,
        """{he} wanted everything to happen right away.|{he} was not good at waiting.|{he} dreamed of [having {his} own garden|growing something].|
        {he} loved flowers, [trees|bees] and the smell of [wet earth|rain].""",
        "One spring [day|morning], {intro} found a tiny seed.",
    )
    t.say(
        """In spring, {zfirst} gave {him} a {plant} seed. "[It is small|It looks like nothing], but wait and see," said {z}.|
        one spring morning, {x} [found|got] a {plant} seed. "[Plant it|Put it in the ground] and [be patient|take care of it]," said {zfirst}."""
        if t.words["when"].startswith("one")
        else """"That is a {plant} seed," said {zfirst}. "[Plant it|Put it in the ground] and [be patient|take care of it]."|
        {he} showed it to {zfirst}. "It is a {plant} seed," said {z}. "It is small, but wait and see.\""""
    )
    t.maybe(
        0.7,
        """{x} [dug|made] a little hole in a sunny [place|corner], put the seed in and gave it some water.|
        {he} pushed the seed into the [soft|dark] earth, covered it and said, "[Sleep well|Good night], little seed."|
        {x} put the seed in the ground, and {he} [set a ring of stones around it|marked the place with a stick].""",
    )
    t.say(
        """The next morning, {he} ran out to look. Nothing! [The day after that|On the second day], still nothing. {he} sat down and [sighed|waited].|
        Every morning {he} ran to the place, and every morning there was [only earth|nothing to see].|
        One day passed, then two, then [a whole week|ten]. Nothing came up."""
    )
    t.say(
        """"[It is broken|It will never grow]," {he} said. {he} wanted to [dig it up|forget about it]. "[Leave it|Wait]," said {z}. "[Down in the dark, it is busy|A seed has its own clock]."|
        {friend} laughed. "[You are watering dirt|There is nothing there]," said {y}. But {x} [did not listen|kept coming].|
        "Why is it so slow?" {x} asked. "[You cannot pull it up|Good things take time]," said {z}. "[Just give it water and sun|It knows what to do].\""""
    )
    t.maybe(
        0.5,
        """So {x} [kept|went on] watering it. When it was hot, {he} [gave it shade|brought more water]. When it was [windy|cold], {he} [built a little wall|covered it with leaves].|
        {x} pulled out the weeds, [chased away the snails|carried water every day] and [sang to it|told it stories].""",
    )
    t.say(
        """Then, after a night of [soft |warm |]rain, there was a tiny green [tip|leaf]! {x} [danced around it|shouted for joy].|
        And then, one morning, something green [looked|peeked] out of the ground. "[It is alive|Hello, little one]!" [cried|said] {x}."""
    )
    t.say(
        """It grew and grew, [all through the summer|a little more every day]. [At last|In the end], there {was} {fruit}.|
        Day by day it grew taller. When summer [was almost over|came to an end], there {was} {fruit}."""
    )
    t.say(
        """{friend} came to look and could not believe it. They {use}.|
        {x} did not keep it all for {self}. {he} called {friend}, and they {use}."""
    )
    ending(
        t,
        "{x} learned that good things need [time|water, sun and time].",
        "And {x} kept one seed for next spring.",
        """"Waiting was the hardest part," said {x}. "And the best," said {z}.""",
        "From a tiny seed, and a lot of patience, came something wonderful.",
        "Next year, {x} and {y} planted a whole row.",
    )


def dark(t):
    """Afraid of the dark at bedtime; a light, a sound explained, a friend; sleep."""
    hero(t)
    elder(t)
    t.set(
        shape="a monster with long arms|a giant spider|a dragon with three heads|a ghost|a big bear with horns",
        noise="[tap, tap, tap|scratch, scratch|creak, creak]",
    )
    real, sound = t.pick(
        [
            ("only {his} coat on the [door|chair]", "a branch at the window"),
            ("just the shadow of a [plant|curtain]", "the cat at the door"),
            ("a pile of [clothes|pillows]", "the old stairs"),
            ("the toy horse with a [hat|scarf] on it", "rain on the roof"),
        ]
        if t.is_child
        else [
            ("only a bent [branch|root]", "a branch in the wind"),
            ("just the shadow of a [fern|bush]", "a beetle in the wall"),
            ("a pile of [leaves|moss]", "a nut rolling down the roof"),
            ("an old [stump|log] with mushrooms on it", "rain on the leaves"),
        ]
    )
    t.set(real=real, sound=sound)
    opening(
        t,
        """By day {he} was very brave, but at night {he} was [afraid of|scared of] the dark.|
        {he} loved the morning and the [noon|afternoon], but {he} did not love the night.|
        {he} had a [soft|cozy] little bed, but {he} did not like to go to sleep.""",
        "It was late, and {intro} could not sleep.",
    )
    t.set(night="One night" if t.words["when"].startswith("one") else "For a long time")
    t.say(
        """{night}, {x} lay in bed and [looked around|opened one eye]. In the corner stood {shape}!|
        {night}, {he} lay in bed and [listened|pulled up the blanket]. There was something in the corner. It looked like {shape}!"""
    )
    t.say(
        """Then {he} heard a sound. {noise}. {x} [hid under the blanket|did not dare to move].|
        And what was that noise? {noise}. {his} heart [beat like a drum|jumped]."""
    )

    def parent():
        t.say(
            """"{z}!" {he} called. "[Come quickly|Please come]!" {z} came in with a [candle|little lamp]. "[What is it|What is wrong], my dear?" {z.he} asked.|
            {he} ran to {his} {z.role} as fast as {he} could. "There is {shape}!" {he} [cried|whispered]. {z} took {his} hand, and they went back together."""
            if t.is_child
            else """"{z}!" {he} called. "[Come quickly|Please come]!" {z} came at once. "[What is it|What is wrong], my dear?" {z.he} asked."""
        )
        t.say(
            """"Let us look [at it |]together," said {z}. They [went closer|held up the light], and the thing in the corner was {real}.|
            "Shall we say hello to it?" asked {z}. They went closer. It was {real}!|
            {z} walked right up to it. "Come and look," {z.he} said. It was {real}!"""
        )
        t.say(
            """"And the noise?" asked {x}. They listened. It was {sound}. {x} began to [laugh|giggle].|
            The noise came again. It was {sound}. "Is that all?" said {x}, and they both laughed."""
        )
        t.say(
            """"The dark is [like a big blanket|only the day with its eyes closed]," said {z}. "[It helps the stars to shine|It helps the whole world to rest]."|
            {z} [opened the curtain|pointed up]. "Look at the stars," {z.he} said. "[Without the dark, we could not see them|They need the dark to shine].\""""
            if t.is_child
            else """"The dark is [like a big blanket|only the day with its eyes closed]," said {z}. "[It helps the stars to shine|It helps the whole world to rest]."|
            {z} pointed up. "Look at the stars," {z.he} said. "[Without the dark, we could not see them|They need the dark to shine].\""""
        )
        t.say(
            """{z} [sat down on the bed and sang|sang] a [soft|quiet] song, and soon {his} eyes began to close.|
            {z} left [the door open a little|a small light burning]. {x} counted the stars until {he} fell asleep."""
        )

    def firefly():
        t.set(l="firefly|moth|cricket")
        t.say(
            """Then a [tiny|small] [voice|sound] came from the window. It was a {l}. "I am [alone out here|afraid of the dark, too]," it said.|
            just then, a {l} [flew|came] in at the window. It [sat down|landed] on {his} bed. "May I stay here?" it asked."""
        )
        t.say(
            """"You do not have to be afraid," said {x}, and {he} felt a little braver [already|{self}]. "Let us look [around |]together."|
            {x} forgot to be afraid. "[Come|Come here]," {he} said. "I will show you that there is nothing bad.\""""
        )
        t.say(
            """They crept to the corner. The thing that looked like {shape} was {real}!|
            Step by step they went to the corner, and what did they find? It was {real}!"""
        )
        t.say(
            """"And that noise is {sound}," said {x}. The {l} [laughed|was very glad]. "You are so brave," it said.|
            The noise was {sound}. "We were afraid of nothing," [laughed|said] {x}."""
        )
        t.say("""They [talked|told stories] until the moon was high, and then they both [yawned|fell asleep].|The {l} [sang|hummed] a soft song, and {x} closed {his} eyes.""")

    t.either(parent, parent, firefly)
    t.say(
        "|".join(
            [
                "from then on, {x} was [not afraid of the dark|a friend of the night].",
                "{x} learned that most monsters go away when you look at them.",
                "and the night was quiet, soft and full of stars.",
                "The next night, {x} [turned off the light {self}|said good night to the dark]." if t.is_child else "The next night, {x} said good night to the dark.",
                "In the morning, the sun came up, just as it always does.",
            ]
        )
    )


def birthday(t):
    """Everyone seems to have forgotten the hero's birthday; clues; a surprise."""
    hero(t)
    friend(t)
    elder(t)
    t.set(
        gift="[red|blue] [kite|bike|scarf]|[little |]puppy|[wooden|toy] boat|[big|little] drum|book of stories|pair of skates" if t.is_child else "[red|blue] [kite|scarf|hat]|[wooden|toy] boat|[big|little] drum|warm blanket|jar of honey",
        cake="[chocolate|honey|strawberry|apple] cake",
        busy="[writing a letter|cleaning the house|fixing the roof|looking for something]",
    )
    opening(
        t,
        """The next day was {his} birthday, and {he} could hardly wait.|
        {he} counted the days to {his} birthday.|
        {he} loved birthdays, and {his} own was only one day away.""",
        "{intro} woke up early. It was {his} birthday!",
    )
    if t.words["when"].startswith("one"):
        t.say("[On the big day|In the morning|On {his} birthday], {x} [jumped out of bed|woke up with the sun] and ran to {zfirst}.")
    else:
        t.say("{x} [jumped out of bed|got up with the sun] and ran to {zfirst}.")
    t.say(
        """"Good morning," said {z}, and went on {busy}. {z.He} did not say anything about the day.|
        But {z} was {busy}. "[Not now, my dear|I am busy]," {z.he} said. {x} [was surprised|waited], but nothing happened."""
    )
    t.say(
        """{he} went to see {friend}. "Do you know what day it is?" {he} asked. "[Tuesday|A sunny day]," said {y}. "And I have to go now." And {y.he} ran off.|
        {he} met {friend} on the path. {y} hid something behind {y.his} back. "I [cannot play|have no time] today," {y.he} said and [ran away|left]."""
    )
    t.say(
        """"Nobody remembers," thought {x}. {he} sat down [under a tree|on a stone] and felt very small.|
        {x} walked [around|down to the water] alone. "[They all forgot|They do not like me]," {he} thought, and {his} heart was heavy."""
    )
    t.say(
        """The sun went down, and {x} went home slowly. The [house|place] was dark. {he} opened the door. "Surprise!"|
        in the evening, {he} came home. It was dark and quiet. Too quiet! Then the lights went on. "Surprise!" everyone shouted.|
        When it got late, {z} called {him}. {x} came in with {his} head down. "Surprise!" cried many voices."""
    )
    t.say(
        """There were [paper stars|flowers|balloons|little lanterns] everywhere, and a big {cake} stood on the table.|
        Everyone was there! There was a {cake} with candles, and there were flowers everywhere."""
    )
    t.maybe(
        0.6,
        """"You did not forget!" said {x}. "[Forget? Never!|How could we forget you?]" said {z}. "We [worked on it|planned it] all day."|
        "I could not look at you," [laughed|said] {y}. "I cannot keep secrets!" {x} laughed, too.""",
    )
    t.say(
        """{y} gave {him} a {gift}. "It is [wonderful|just what I wanted]," said {x}.|
        Then {he} opened {his} present. It was a {gift}! {x} hugged them all."""
    )
    ending(
        t,
        "{x} learned not to think the worst of {his} friends.",
        "The best present was that they were all there.",
        "They danced and sang until the moon came up.",
        "It was the best birthday of all.",
        "That night, {x} smiled in {his} sleep.",
    )


def mystery(t):
    """A strange sound or trail frightens everyone; the hero looks; it is something small and kind."""
    hero(t)
    friend(t)
    noise, truth, cure, thanks = t.pick(
        [
            ("a deep moan", "a cow that was stuck in the fence", "opened the gate for her", "gave them fresh milk every morning"),
            ("a loud bang, bang, bang", "an old shutter in the wind", "tied it with a string", "never made a sound again"),
            ("a sad song", "a lonely old man with a [flute|fiddle]", "sat down and sang with him", "taught them a new song every week"),
            ("a howl", "a small puppy in an empty barrel", "helped it out and gave it some food", "slept at the foot of the bed"),
            ("a strange hum", "a thousand bees in a hollow tree", "left them alone and planted flowers nearby", "gave them a little honey in the fall"),
        ]
        if t.is_child
        else [
            ("a deep moan", "an old bear with a thorn in his paw", "pulled out the thorn", "became the best friend of all the animals"),
            ("a loud tap, tap, tap", "a woodpecker who was building a house", "brought him soft moss for it", "promised to be quiet at night"),
            ("a sad song", "a nightingale who had lost her way", "showed her the way to the river", "came back every spring to sing for them"),
            ("a howl", "a wolf cub who missed his mother", "kept him warm until she came", "sent them a song when the moon was full"),
            ("a strange hum", "a thousand bees in a hollow tree", "left them alone and planted flowers nearby", "gave them a little honey in the fall"),
        ]
    )
    t.set(noise=noise, truth=truth, cure=cure, thanks=thanks)
    outside = "bees" in truth or "woodpecker" in truth or "fence" in truth
    inside = "the old mill|the empty house|the dark barn|the old tower" if t.is_child else "the dark cave|the old mill|the empty barn"
    t.set(place="the [dark |deep |]woods|the other side of the hill" if outside else inside)
    opening(
        t,
        """{he} was always asking questions.|{he} wanted to know how everything worked.|{he} was not big or strong, but {he} was curious.|
        {he} did not believe in [ghosts|monsters], or only a little.""",
        "One [dark|windy|foggy] night, {intro} woke up and listened.",
    )
    t.say(
        """Every night, {noise} came from {place}. Everyone was afraid.|
        For three nights, everyone had heard {noise}. It came from {place}, and nobody dared to go there."""
    )
    t.say(
        """"It is a [giant|monster|ghost]," said {friend}. "[It has teeth like knives|It eats everything it sees]. Do not go there!"|
        {friend} said it was a [giant|monster|ghost]. Others said it was a [dragon|witch]. [The story grew every day|Nobody had seen it]."""
    )
    t.say(
        """"Has anyone seen it?" asked {x}. Nobody had. "Then I will [look|go and see]," {he} said.|
        {x} was afraid, too. But {he} wanted to know. "I will go and look," {he} said."""
    )
    t.say(
        """So that evening, {he} took a [lamp|lantern] and went. {y} came, too, but stayed [close|a few steps] behind {him}.|
        When the sun went down, {x} set out. "Wait," said {y}. "You should not go alone." They [walked|tiptoed] side by side."""
        if t.is_child
        else """So that evening, {he} set out. {y} came, too, but stayed [close|a few steps] behind {him}.|
        When the sun went down, {x} set out. "Wait," said {y}. "You should not go alone." They [walked|tiptoed] side by side."""
    )
    t.say(
        """It was dark, and the wind [whispered|blew] in the [leaves|grass]. Then they heard it. It was {noise}, and it was very near! {y} wanted to [turn back|run].|
        Step by step they came closer. The sound grew louder, and {his} knees [shook|felt soft]. But {x} [went on|took one more step]."""
    )
    t.say(
        """{x} [took a deep breath and looked|looked around the corner]. And what did {he} see? It was {truth}!|
        {x} [stopped|stood still] and began to [smile|laugh]. It was not a [giant|monster|ghost]. It was {truth}!"""
    )
    t.say(
        """The two friends {cure}.|"So that is it," said {y}, and they {cure}.|"There is nothing to be afraid of," said {x}. And they {cure}."""
    )
    s = re.split(" that | who | with | in ", truth)[0].split()[-1]
    t.set(s=s)
    t.say("The {s} {thanks}." if s in ("bees", "shutter") else "After that, the {s} {thanks}.")
    ending(
        t,
        "{x} learned that things are less scary when you know what they are.",
        "When they told the others, everyone laughed with relief.",
        """"I was scared the whole time," said {x}. "But I wanted to know.\"""",
        "Fear is often bigger than the thing itself.",
        "That night, everyone slept well.",
    )


def trading(t):
    """A chain of swaps that ends in just the right gift."""
    hero(t)
    elder(t)
    steps = (
        [
            ("a girl", "a shiny button", "for my doll", "a feather"),
            ("an old man", "a feather", "for my hat", "a ball of yarn"),
            ("a shepherd", "a ball of yarn", "to tie my bag", "a piece of cheese"),
            ("a baker", "a piece of cheese", "for my lunch", "a warm loaf of bread"),
            ("a fisherman", "a warm loaf of bread", "because I am hungry", "a silver shell"),
        ],
        [
            ("a boy", "a piece of string", "for my kite", "a red marble"),
            ("a painter", "a red marble", "to paint it", "a small brush"),
            ("a woman", "a small brush", "to clean my lamp", "a pot of honey"),
            ("a farmer", "a pot of honey", "for my sore throat", "a basket of eggs"),
            ("a cook", "a basket of eggs", "for my cakes", "a sweet cake"),
        ],
    )
    wild = (
        [
            ("a crow", "a shiny button", "for my nest", "a black feather"),
            ("a frog", "a black feather", "to fan myself", "a blue shell"),
            ("a snail", "a blue shell", "for my garden", "a silver thread"),
            ("a spider", "a silver thread", "for my web", "a drop of amber"),
        ],
        [
            ("a mole", "a smooth stone", "for my door", "a fat root"),
            ("a goat", "a fat root", "for my lunch", "a tuft of wool"),
            ("a bird", "a tuft of wool", "for my nest", "a ripe plum"),
            ("a bee", "a ripe plum", "because I am hungry", "a jar of honey"),
        ],
    )
    chain = t.pick(steps if t.is_child else wild)
    n = t.pick([2, 2, 2, 3])
    begin = int(t.rng.random() * (len(chain) - n + 1))
    chain = chain[begin : begin + n]
    t.set(start=chain[0][1], gift=chain[-1][3])
    opening(
        t,
        """It was almost {his} {z.role}'s birthday, but {he} had no present.|{he} wanted to give {his} {z.role} something nice, but {he} had no money.|
        {he} loved {his} {z.role} and wanted to give {z.him} a present.""",
        "One day, {intro} wanted to make {his} {z.role} happy, but {he} had no money for a present.",
    )
    t.say(
        """All {he} had was {start}. [So {he} put it in {his} pocket and went out|{he} took it and set out].|
        In {his} pocket {he} had only {start}. "That is not much of a present," {he} thought, [and {he} went out|and {he} began to walk].|
        {he} looked everywhere, but all {he} could find was {start}. {he} took it [with {him} |]and [went out|set out]."""
        if t.is_child
        else """All {he} had was {start}. {he} took it and [set out|went on {his} way].|
        {he} looked everywhere, but all {he} could find was {start}. {he} took it and [went out|set out]."""
    )
    for i, (who, has, why, gives) in enumerate(chain):
        noun = who.split(" ", 1)[1]
        t.set(who=who, has=has, why=why, gives=gives, noun=noun, it=re.sub("^(a|an) ", "", has))
        meet = ["[Soon|On the road|Before long], {he} met {who}", "[Then|A little later|By the well], {he} met {who}", "[At last|Near the bridge|On the way home], {he} met {who}"][i]
        t.say(
            meet
            + """. "[Oh|Look], {has}!" said the {noun}. "I need that {why}. I will give you {gives} for it."|"""
            + meet
            + """, who said, "I [need|could use] {has} {why}. I can give you {gives}.\""""
        )
        t.say(
            "[So they traded|They traded], and {x} went on with {gives}.|{x} gave the {noun} the {it} and got {gives}.|\"[Gladly|With pleasure]!\" said {x}, and now {he} had {gives}."
            if i < n - 1
            else "{x} [looked at|took] {gives} and smiled. [It was perfect|This was it].|\"Oh yes,\" said {x}. It was the [perfect|right] present."
        )
    t.say(
        """At home, {x} [gave {gift} to|put {gift} in front of] {zfirst}. "[For you|This is for you]," {he} said. "It was a long walk."|
        {x} ran home and gave {gift} to {zfirst}. "Where did you get this?" asked {z}. And {x} told {z.him} the whole story."""
    )
    t.say(
        """{z} [laughed and hugged|hugged] {him}. "All that, just from {start}?" {z.he} said.|
        "[You walked all that way for me|You did all that for me]?" said {z}, and {z.his} eyes were shining."""
    )
    ending(
        t,
        "{x} learned that a small thing can grow if you [share it|let it go].",
        "Everyone got what they needed that day.",
        "The gift was nice, but the story was even better.",
        "And on the way, {x} had made {n} new friends.".replace("{n}", ["two", "three"][n - 2]),
    )


def greedy(t):
    """Too much of a good thing; a tummy ache or a collapse; a lesson in enough."""
    hero(t)
    friend(t)
    elder(t)
    food, where = t.pick(
        [("berries", "on the hill"), ("cookies", "in the kitchen"), ("cherries", "in the old tree"), ("pancakes", "on the table"), ("plums", "in the garden")]
        if t.is_child
        else [("berries", "on the hill"), ("nuts", "under the old oak"), ("cherries", "in the old tree"), ("acorns", "by the path"), ("plums", "in the garden")]
    )
    t.set(food=food, where=where)
    opening(
        t,
        """{he} always wanted more of everything.|{he} loved {food} so much that {he} dreamed of them.|
        {he} never knew when to stop.|{his} favorite word was "More.\"""",
        "One [day|morning], {intro} was looking for something to eat.",
    )
    t.say(
        """{When}, {he} found [a lot of|more than a hundred] {food} {where}.|
        {When}, there were so many {food} {where} that {x} could not count them."""
    )

    def ache():
        t.say(
            """"[Leave some for the others|Take a few, and leave the rest]," said {zfirst}. {x} nodded, but [{he} did not listen|{he} had already forgotten].|
            {friend} came by. "May I have some?" {y.he} asked. "[No, they are all mine|I found them first]!" said {x}."""
        )
        t.say(
            """{he} ate one, and two, and ten. {he} ate until {his} [cheeks were round|tummy was tight], and still {he} wanted more.|
            "Just one more," {he} said, and then, "Just one more," until [not one was left|they were all gone]."""
        )
        t.say(
            """Then {his} tummy began to [hurt|make strange noises]. "Ooh," [moaned|said] {x}. {he} [lay down in the grass|could not even stand up].|
            That [night|evening], {he} [could not sleep|lay awake]. {his} tummy [hurt|was as hard as a stone]."""
        )
        t.say(
            """{friend} [found {him}|came to see {him}] and did not laugh. {y.He} brought {him} a cup of [warm|mint] tea. "[Drink this|This will help]," said {y}.|
            {zfirst} [made {him}|gave {him}] some [mint|warm] tea and [rubbed {his} back|sat with {him}]. "[Too much of a good thing is not good|Your tummy is wiser than your eyes]," {z.he} said."""
        )
        t.say(
            """The next day, {x} felt better. {he} found more {food}, and this time {he} [kept three and gave the rest away|shared them with everyone].|
            When {he} was well again, {x} [went to|looked for] {y}. "I am sorry," {he} said. "[Next time|From now on] we will share.\""""
        )

    def heavy():
        t.say(
            """{he} filled {his} [bag|basket] to the top, and then {he} [put|pushed] in even more. "Leave some," said {friend}. "[It is too heavy|The bag will break]." But {x} [did not listen|shook {his} head].|
            {he} got the biggest [bag|basket] {he} could find and filled it with all the {food}. "You cannot carry all that," said {friend}."""
        )
        t.say(
            """On the way home, it grew heavier and heavier. {he} [pulled|dragged] and puffed. Then there was a loud crack.|
            {he} could hardly walk. When {he} came to the [bridge|top of the hill], {he} [slipped|stumbled], and everything fell out."""
        )
        t.say(
            """All the {food} rolled [down the hill|into the river|into the mud]! {x} [stood there with nothing|sat down and cried].|
            The {food} rolled away, [this way and that way|every single one]. {x} had nothing left."""
        )
        t.say(
            """{y} [came after {him}|had been walking behind {him}] with a small bag. "I took only [a few|what I could carry]," {y.he} said. "[Here|Come], you can have half."|
            "Here," said {y}, who had only a [handful|small bag]. "[It is enough for two|Let us share mine].\""""
        )
        t.say(
            """They sat down and ate, and it was [just|quite] enough. "[I wanted it all and lost it all|Next time I will take less]," said {x}.|
            {x} [was ashamed|looked at the ground]. "[I did not give you any|I was so greedy]," {he} said. "That is all right," said {y}."""
        )

    t.either(ache, heavy)
    ending(
        t,
        "{x} learned that enough is better than too much.",
        "from that day on, {his} favorite word was \"Enough.\"",
        "A little that you share is more than a lot that you keep.",
        "And {x} never again took more than {he} could [eat|carry].",
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
    stranger,
    planting,
    dark,
    birthday,
    mystery,
    trading,
    greedy,
]


# --- stories -----------------------------------------------------------------------------------------------------------


def story(seed, index):
    """Story number `index` of the corpus with this seed."""
    rng = random.Random(f"{seed}/{index}")
    plot = PLOTS[int(rng.random() * len(PLOTS))]
    while True:
        t = Tale(rng)
        plot(t)
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
