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
            self.words[name] = self.expand(value)

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
        text = re.sub(r"\b([Aa]) (?=[aeio]|un[^i]|um|ug|up)", r"\1n ", text)
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


def opening(t, love, start=""):
    """The first sentences: who and where, then `love`, a template about the hero; or `start`, which introduces {intro} itself."""
    if start and t.chance(0.4):
        t.say(start)
        return
    t.set(front="{home}")
    t.set(front=t.words["front"][0].upper() + t.words["front"][1:])
    t.say(
        """Once upon a time, there was {intro}. {He} lived {home}.|
        Once upon a time, {intro} lived {home}.|
        Once there was {intro} who lived {home}.|
        There once was {intro}.|
        {x} was a {trait} {kind} who lived {home}.|
        {front} lived {intro}.|
        {front}, there lived {intro}.|
        {x} [the {kind} |]lived {home} with {his} [family|mom and dad|grandma|big family].|
        Long ago, {intro} lived {home}.|
        This is the story of {x}, a {trait} {kind}.|
        Everyone knew {x}, the {trait} {kind} who lived {home}."""
        if not t.is_child or t.chance(0.8)
        else "{x} was [six|seven|five|eight] years old and lived {home}.|{x} lived {home} with {his} [mom|dad|grandma|grandpa|family]."
    )
    t.say(love)


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
    t.set(o="[red|blue|green|yellow] [ball|scarf|hat|bag]|[old|little|soft] [teddy bear|blanket|toy boat]|[silver|little|shiny] [bell|key|whistle]|"
            "wooden [horse|spoon|whistle|boat]|music box|[little|red] drum|toy train|[blue|red|yellow] cup|picture book")
    inside = ["under the bed", "behind the door", "in the kitchen", "under the table", "in the big box"]
    outside = ["behind the shed", "by the gate", "in the tall grass", "under the bushes", "beside the path"]
    wild = ["under the leaves", "behind a big rock", "in the tall grass", "by the stream", "under the old log", "inside a hollow tree"]
    t.set(**dict(zip(("p1", "p2"), t.sample(inside + outside if t.is_child else wild, 2))))
    t.set(last="by the [pond|well]|near the [bridge|river]|on the hill|under the apple tree|in the meadow" if not t.is_child else
          "at the [pond|playground|market]|in the park|on the [beach|swings]|under the apple tree")
    opening(t,
        """{His} favorite thing [in the world|of all] was a {o}.|{He} had a {o} that {he} loved [very much|more than anything].|
        {zfirst} had given {him} a {o}, and {he} took it everywhere.|{He} always carried a {o} [with {him}|wherever {he} went].""",
        """Once, {intro} had a {o}. It was a present from {his} {z.role}, and {he} loved it [very much|dearly].|
        {x} had a {o}, and no other [girl|boy] in town had one like it.""".replace("[girl|boy] in town", "{kind}"))
    t.say("""[But one|One] [morning|day|afternoon], the {o} was [gone|not in its place|nowhere to be seen].|
        One [morning|day|evening], {x} [looked for|reached for] the {o}, but it was [gone|not there].|
        Then, one [windy|rainy|sunny] day, {x} noticed that the {o} was missing.""")
    t.maybe(0.5, """"Oh no!" [cried|said] {x}. "[Where is my {o}?|Where can it be?|I have lost it!]"|{He} felt [a lump in {his} throat|very sad|like crying].|
        {His} heart [sank|began to beat fast].""")
    t.say("""{x} looked {p1}, but [it was not there|there was only dust|{he} found nothing]. [Then {he}|{He} also] looked {p2}, [but it was not there either|
        but still found nothing|but there was no {o}].|First, {he} [looked|searched] {p1}. [Nothing!|No {o}.] Next, {he} [looked|searched] {p2}. [Nothing again!|
        Still no {o}.]|{He} searched {p1} and {p2}, but the {o} was not [there|in either place].""")
    t.say("""Just then, {friend} came [along|by|to visit]. "Why are you so sad?" asked {y}. "I [lost|have lost|cannot find] my {o}," said {x}.|
        {He} [went|ran] to {friend} [for help|and asked for help]. "[Have you seen my {o}?|Please help me find my {o}!]" [asked|begged] {x}.|
        {friend} saw {him} [searching|looking around]. "[What are you looking for?|Did you lose something?]" asked {y}. "My {o}," [said {x} sadly|sighed {x}]."""
        .replace("{friend} saw", "Soon {friend} saw"))
    t.say(""""[When|Where] did you [last see it|have it last]?" asked {y}. {x} [thought hard|closed {his} eyes and thought|sat down to think]. "I had it {last}," {he} said.|
        "[Think back|Let us think]," said {y}. "Where did you [play|go] yesterday?" "{last}!" [cried|said] {x}.|
        "Do not worry," said {y}. "We will [look|search] together. [Where were you yesterday?|Where did you go today?]" "I was {last}," said {x}.""")

    def found():
        t.say("""The two [friends|of them] [ran|hurried|walked] back [there|together]. And there it was! The {o} [lay|was lying] {last}, [a little wet but safe|
            just where {x} had left it|shining in the sun].|They went there [together|at once], and {y} [pointed|called out]. "Look!" The {o} was [waiting there|lying there
            on the ground|right there].""")
        t.say("""{x} hugged the {o} and then [hugged {y}|{he} hugged {y}]. "Thank you[ so much|]!" {he} [said|cried].|
            {x} [jumped for joy|laughed with joy|danced around]. "You are [a true friend|the best friend ever]," {he} told {y}.""")
        ending(t, "{x} was glad to have the {o} back, but even more glad to have a friend like {y}.",
               "From then on, {x} always put the {o} [away|back in its place] before [going out to play|going to bed].",
               "{x} learned that two pairs of eyes are better than one.", "A problem is [smaller|only half as big] when a friend [helps|shares it].")

    def nest():
        t.set(baby="[tiny|baby] mouse|[tiny|little] kitten|baby bird|[little|baby] bunny" if t.is_child else "baby bird|tiny bug|little snail|baby bat")
        t.say("""They [ran|went] there and found the {o}. But a {baby} was [sleeping|hiding] [next to|behind] it, [cold|wet] and [alone|all alone].|
            They [hurried|walked] there [together|side by side]. The {o} was there, and beside it sat a {baby}, shaking [with cold|in the wind].""")
        t.say("""{x} did not [grab|take] the {o}. [Instead, {he}|{He}] [picked up|lifted] the {baby} [gently|with great care] and kept it warm.|
            "[Poor little thing|Oh, you poor thing]," [whispered|said] {x}. {He} and {y} [made a soft bed of leaves|kept it warm] until [its mother came|its mother came back].""")
        t.say("""[Soon|After a while|Before long], the {baby} [was warm again|felt better], and {x} [took {his} {o} home|carried {his} {o} home].|
            That evening, {x} [held|had] {his} {o} again, and {he} had a new [little |]friend as well.""")
        ending(t, "{x} had lost one thing and found two.", "Sometimes a lost thing leads you to [a new friend|someone who needs you].",
               "{x} was [glad|happy] that {he} had lost the {o} that day.")

    def returned():
        t.set(f="old [man|farmer]" if t.is_child else "old [owl|badger|goat]")
        t.say("""But when they got there, the {o} was [gone|not there]. An {f} was [sitting|resting] [there|nearby]. "Are you looking for [this|something]?" he asked [with a smile|
            kindly], and he held [up|out] the {o}.|On the way they met an {f}. He was carrying [the {o}|something]. It was the {o}! "I found [it|this] {last}," he said.""")
        t.say(""""Yes! [It is mine|That is mine]! Thank you!" [said|cried] {x}. {He} [gave him|picked] [a flower|some berries] to [thank him|say thanks]{give}.|
            "Oh, thank you!" [cried|said] {x}. "How can I [thank|repay] you?" "[Just be kind to the next one you meet|Help someone else one day]," said the {f}."""
            .replace("[gave him|picked] [a flower|some berries] to [thank him|say thanks]{give}", "gave him [a flower|some berries] to say thanks"))
        ending(t, "{x} [thought about that|remembered his words] all the way home.", "And that is [just|exactly] what {x} did, [again and again|every day].",
               "There are kind [hearts|people] everywhere." if t.is_child else "There are kind hearts everywhere, even deep in the woods.")

    t.either(found, found, nest, returned)


def sharing(t):
    """The hero has something good, another has none."""
    hero(t)
    friend(t)
    elder(t)
    t.set(o="[big|red|sweet] apple|[warm|fresh] loaf of bread|[big|sweet] pear|[ripe|juicy] peach|[large|big] [cookie|pancake]|[slice of|piece of] [berry |apple |]pie|honey cake|"
            "[bowl|basket] of [berries|cherries|nuts]")
    t.set(it="it", place="in the [park|garden|yard]|by the [lake|river]|under [a|the] big tree|on the [steps|bench]" if t.is_child else
          "by the [stream|pond]|under [a|the] big tree|on [a|the] sunny rock|in the [meadow|clover]")
    opening(t,
        """{He} loved to eat, and {he} loved [sweet things|treats] most of all.|[Every day|Each morning], {he} [went out|walked] [to look for|hoping to find] something good to eat.|
        {He} was always [a little |]hungry.|{He} was [kind|sweet], but {he} did not like to share.|{He} liked to keep the best things for {self}.""",
        "{intro} was always hungry.")
    t.say("""{zfirst} had [given {him}|made {him}] a {o}. It smelled [so good|wonderful|sweet].|One [day|morning], {zfirst} gave {him} a {o}. "[Enjoy|This is for you]," said {z}.|
        One afternoon, {x} had a {o} for lunch. It looked [so good|wonderful].""".replace("{zfirst} had", "That day, {zfirst} had"))
    t.say("""{He} sat down {place} and [opened {his} mouth wide|got ready to eat|licked {his} lips].|{He} took it {place}, where [it was quiet|the sun was warm|no one would bother {him}].|
        {He} found a [quiet|shady|nice] [place|spot] {place} and sat down.""")
    t.say("""[Just then|At that moment|Then], {he} saw {friend}. {y} [had nothing to eat|looked hungry|was sitting all alone] and [looked sad|was staring at the ground|was very quiet].|
        [Just then|Before {he} could take a bite], {friend} came by. {y.His} [tummy|stomach] [made a loud noise|growled]. "[I forgot my lunch|I have not eaten all day|I lost my lunch]," said {y} [sadly|softly].|
        Then {friend} sat down [next to|near] {him}. "That [looks|smells] [good|wonderful]," said {y} [quietly|in a small voice]. "I have no [food|lunch] today." """)
    t.say("""{x} looked at the {o}. It was [not very big|so nice], and {he} wanted [all of it|every bite]. [But then {he} looked at {y} again|But {y} looked so hungry].|
        {x} [hid the {o} behind {his} back|held the {o} tight]. But then {his} heart felt [heavy|strange]. {He} did not [feel hungry anymore|want to eat alone].|
        {x} [thought for a moment|did not think long|thought about it]. "If I eat it all, I will be full," {he} thought, "but {y} will [still be hungry|be sad]." """)
    t.say(""""[Come|Here], [let us share|we can share it]," said {x}, and {he} [gave {y} half|gave half of it to {y}|cut it in two].|
        {x} [smiled|took a deep breath]. "[Would you like some|Do you want half]?" {he} asked. {y.His} eyes [lit up|grew wide]. "[Really|For me]? [Thank you|Oh, thank you]!" said {y}.|
        So {x} [moved over|made room] and gave {y} the [bigger|best] part. "[For you|It is for you]," {he} said.""")
    t.say("""They ate [together|side by side] and [talked and laughed|told each other jokes|watched the clouds]. [It tasted better than ever|Nothing had ever tasted so good].|
        [Soon|Then] they were both [laughing|smiling], with crumbs on their [chins|noses].|They sat [close together|side by side] and ate slowly, and the sun was warm on their [backs|faces].""")

    def later():
        t.say("""[The next day|A few days later|The next week], {x} [forgot|lost] {his} [own |]lunch. [But {y}|{y}] came [running|with a big bag] and said, "[Now it is my turn|Today I will share with you]!"|
            The next morning, there was a [little |]basket [at|by] {his} door. It was full of [nuts|berries|plums], and a note said, "[Thank you|For my kind friend], from {y}."|
            After that, whenever {y} had [something good|a treat], {y.he} [brought half of it to|shared it with] {x}.""")

    def taught():
        t.say("""When {x} came home, {z} asked, "[How was|Did you like] your [treat|lunch]?" "It was [twice as good|better] with a friend," said {x}, and {z} [smiled|gave {him} a hug].|
            "[Tomorrow I will bring|Next time I will bring] something for you," said {y}. And {y.he} [did|kept {y.his} word].""")

    t.either(later, taught)
    ending(t, "{x} learned that [sharing makes food taste better|a treat is sweeter when you share it].", "From that day on, {x} and {y} [always shared|shared everything].",
           "Half of something with a friend is better than all of it alone.", "{x} was still a little hungry, but {his} heart was full.",
           "And so a [good lunch|small gift] became the start of a [good|great] friendship.")


def storm(t):
    """A storm comes; someone is afraid; shelter and company; the sky clears."""
    hero(t)
    elder(t)
    friend(t)
    t.set(shelter="[old|red|big] barn|little [hut|shed]" if t.is_child else "hollow [tree|log]|[dry|small] cave|[deep|dry] den")
    opening(t,
        """{He} was [brave about most things|not afraid of spiders or the dark], but {he} was [afraid of|scared of] storms.|{He} loved to play outside [in every season|all day long].|
        {He} loved the sun, [but {he} did not like|and {he} did not like] [thunder|the rain].|{He} [spent|loved to spend] every [free |]hour outside with {friend}.""",
        "One [hot|gray|quiet] [day|afternoon], {intro} went out to play with {friend}.")
    t.say("""One [hot|quiet|gray] afternoon, {x} and {y} were [playing in the field|picking flowers|walking home|looking for berries]. [Suddenly|All at once], the sky [turned dark|grew black].|
        One day, while {x} [was out with {y}|and {y} were far from home], [big dark clouds|black clouds] [came over the hills|filled the sky].|
        {x} and {y} were [far from home|out in the meadow|playing by the river] when the wind [began to howl|grew strong].""")
    t.say("""[Boom!|Crash!] [The thunder rolled|Thunder shook the air]. [Then the|The] rain [came down|fell] [in big, cold drops|so hard that they could not see the path].|
        Rain began to fall, [first a little, then a lot|faster and faster], and lightning [flashed|lit up the hills].|The first drops fell, and then [there was a flash of light|came a loud boom].""")

    def brave_friend():
        t.say("""{x} [froze|stood still|covered {his} ears]. "I am [scared|afraid]!" {he} [cried|said].|{His} legs [shook|would not move]. "[What do we do|What now]?" {he} [whispered|cried].""")
        t.say(""""[Take my hand|Come with me|Follow me]!" [called|said|shouted] {y}. They ran to [a|the] {shelter} and [crept|went] inside.|{y} [pulled {him} along|took {him} by the hand]. "I [know|can see] a {shelter}!" Soon they were [safe|dry] inside."""
              if t.is_child else """"Follow me!" [called|said|shouted] {y}. They ran to a {shelter} and [crept|crawled] inside.|"I [know|can see] a {shelter}!" called {y}. Soon they were [safe|dry] inside.""")
        t.say("""They [sat|huddled] close together and [sang songs|told stories|counted the seconds] [until the thunder was far away|while the rain drummed on and on].|
            "[Count with me|Let us count]," said {y}. After each flash they counted, and each time [the number was bigger|they could count a little more]. "See? [The storm is going away|It is moving away]."|
            "The storm is only [noise and water|wind and water]," said {y}. "It [cannot get us here|will pass]." They [sang a song|told jokes], and [bit by bit|slowly] {x} [grew calm|stopped shaking].""")

    def brave_hero():
        t.set(s="bird|kitten|puppy|lamb" if t.is_child else "chick|snail|beetle|mouse")
        t.say("""{y} began to cry. {x} was [afraid|scared] too, but {he} [took a deep breath|tried to be brave]. "[We must|We have to] find a dry place," {he} said.|
            {x} wanted to hide, but then {he} heard {y} [crying|calling for help]. {He} ran back. "[Do not be afraid|I am here]," {he} said.""")
        t.say("""{He} [saw|remembered] a {shelter} not far away, and [they both ran there|led {y} to it]. Inside, it was [dry|dark] and [quiet|warm].|
            Together they ran [through the rain|as fast as they could] to a {shelter}.""".replace("and [they both ran there|led {y} to it]", "and they both ran there"))
        t.say("""There they found a [wet|lost] little {s}, and {x} [kept it warm|held it close]. {He} was so busy that {he} forgot [to be afraid|about the thunder].|
            {x} [told|made up] a [funny|silly] story about [a cloud with a cold|a cloud that lost its hat]. {y} [laughed|began to laugh], and soon [they were both laughing|neither of them was afraid].""")

    t.either(brave_friend, brave_hero)
    t.say("""[At last|After a while|Little by little], the rain stopped. [The sun came out|A bright rainbow stood over the hills|The air smelled fresh, and a rainbow crossed the sky].|
        [When the storm was over|Then it was quiet], they [looked|peeked] out. [There was a rainbow over the field|Every leaf was shining|The whole world was shining].|
        Then the clouds [broke|opened], and a rainbow [appeared|stretched over the trees].""")
    t.maybe(0.6, """{z} came running [down the path|to meet them]. "[There you are|You are safe]!" {z.he} [cried|said], and {z.he} hugged them both.|
        At home, {z} [wrapped them in warm blankets|gave them hot soup|dried them by the fire]. "I am [proud of|so glad to see] you," {z.he} said.""")
    ending(t, "After that day, {x} was not so [afraid of|scared of] storms anymore.", "{x} learned that being brave does not mean that you are never afraid.",
           "Every storm ends, and it ends sooner with a friend.", "The next time it thundered, {x} only [smiled and counted|thought of the rainbow].")


def stuck(t):
    """An animal is stuck; attempts, an idea, a rescue, a new friend."""
    hero(t)
    friend(t)
    cases = [
        ("kitten", "high up in a tree", "climb the tree", "the branches were too [thin|high]", "a long [ladder|plank]", "the kitten walked down slowly"),
        ("lamb", "in the deep mud", "pull it out with {his} hands", "the mud was too [deep|thick]", "a [strong|long] rope", "the lamb came out with a loud pop"),
        ("bird", "in a [thorny|prickly] bush", "reach into the bush", "the thorns were too sharp", "a pair of thick gloves", "the bird hopped out, safe and sound"),
        ("puppy", "in a deep hole", "reach down with {his} arm", "the hole was too deep", "a basket on a rope", "the puppy climbed in and rode up"),
        ("duckling", "under an old fence", "lift the fence", "it was too heavy", "a strong stick", "the fence went up, and the duckling slipped out"),
    ] if t.is_child else [
        ("baby bird", "in a thorny bush", "push the thorns away", "they were too sharp", "a long stick", "the baby bird hopped out, safe and sound"),
        ("little lamb", "in the deep mud", "pull it out", "the mud was too [deep|thick]", "a long [vine|branch]", "the lamb came out with a loud pop"),
        ("beetle", "on its back", "blow on it", "it only spun around", "a [thin|green] leaf", "the beetle held on and turned over"),
        ("baby squirrel", "on a rock in the stream", "jump to the rock", "it was too far", "an old branch", "the baby squirrel ran across it"),
        ("little mouse", "at the bottom of a hole", "reach down", "the hole was too deep", "a long [vine|root]", "the mouse climbed up, hand over hand"),
    ]
    s, where, attempt, why, tool, how = t.pick(cases)
    t.set(s=s, where=where, attempt=attempt, why=why, tool=tool, how=how)
    t.set(sh="[he|she]")
    opening(t,
        """{He} [loved|liked] [to help|helping] others.|{He} [loved all animals, big and small|was a friend to every living thing].|{He} liked long walks and [quiet|sunny] mornings.|
        {He} often went out [exploring|for a walk] with {friend}.|{He} was small, but {he} had [big ideas|a big heart].""",
        "One [cold|sunny|windy|quiet] [morning|day], {intro} went for a walk.|{intro} was walking home when {he} heard a sound.".replace("|{intro} was", "|One day, {intro} was"))
    t.say("""[One day|One morning|On the way], {he} heard a [tiny|small|sad] [cry|voice]. "[Help|Please help me]!" It was a {s}, stuck {where}.|
        [Suddenly|Then] {he} stopped. [Someone|Something] was crying. {x} [followed the sound|looked around] and found a {s}. It was stuck {where}.|
        [Near the path|Not far away], {x} saw a {s} stuck {where}. It looked [scared|tired and scared|very unhappy].""")
    t.say(""""[Do not worry|Hold on|Be calm]," said {x}. "I will help you." {He} tried to {attempt}, but {why}.|{x} wanted to help [at once|right away]. {He} tried to {attempt}. But {why}.|
        "Poor thing!" [said|thought] {x}. {He} tried to {attempt}, but it did not work, [for|because] {why}.""")
    t.say("""{He} tried [again and again|once more], [but it was no use|but nothing changed]. [Then {he} sat down to think|{He} was about to cry]. Just then, {friend} came [by|along|down the path].|
        "I cannot do it alone," said {x}. So {he} [ran to get|called] {friend}. "[Come quickly|Please come]!" {he} [said|called].|
        {x} did not give up. {He} [looked around|thought and thought]. "I [need|must get] help," {he} said, and {he} [ran|hurried] to {friend}.""")
    t.say(""""I have an idea," said {y}. "[We need|Let us use|We can use] {tool}!" They [found one|got it] and [set to work|went to work].|
        {y} [scratched {y.his} head|looked at the {s}]. "[What if we use|Maybe we can use] {tool}?" {y.he} said. "[Great|Good] idea!" said {x}.|
        Together they [thought of a plan|made a plan]. They [went to get|looked for] {tool}, and soon they [were back|had it].""")
    t.say("""[Slowly and carefully|Very carefully|With one big try], they [worked together|tried it], and [at last|soon] {how}.|"[One, two, three|Ready? Now]!" they [called|said]. And {how}!|
        {x} held one end and {y} held the other. [Then|A moment later], {how}.""")
    t.say("""The {s} was free! It [jumped around|looked up at them] and [seemed to say thank you|made a happy little sound].|"[You are safe now|There you go]," said {x} [gently|softly]. The {s} [came close and touched {his} cheek|looked up at {him} with bright eyes].|
        {x} and {y} [cheered|laughed with joy|clapped]. The {s} [danced around them|did a little dance].""")
    t.maybe(0.6, """The next day, the {s} [came to visit|was waiting by the path]. [Now|From then on] there were three friends instead of two.|
        After that, the {s} [often came|came every morning] to say hello.|They took it home to its mother, who [was very happy|thanked them again and again].""")
    ending(t, "{x} learned that asking for help is not a weakness.", "Two friends can do what one cannot do alone.", "{x} and {y} walked home, [tired|muddy] but [proud|happy].",
           "Helping others was the best feeling in the world.", "{x} [felt|was] as tall as a tree all day.".replace("was", "felt"))


def learning(t):
    """A skill is hard; failing, advice, practice, success."""
    hero(t)
    elder(t, wide=True)
    skills = [
        ("ride a bike", "the bike [wobbled|tipped over]", "fell on the grass", "Look ahead, not down at your feet", "rode all the way to the gate", "the bike"),
        ("swim", "{he} sank like a stone", "swallowed some water", "Kick your legs and breathe slowly", "swam from one side to the other", "the water"),
        ("skate", "{his} feet slid away", "landed on {his} back", "Bend your knees and take small steps", "glided over the ice like a bird", "the ice"),
        ("whistle", "only air came out", "got a red face", "Make your mouth small and blow softly", "whistled a whole song", "whistling"),
        ("fly a kite", "the kite [dived down|hit the ground]", "got tangled in the string", "Wait for the wind and then run", "made the kite dance in the sky", "the kite"),
        ("juggle", "the balls flew in all directions", "dropped every ball", "Start with just two and keep your eyes up", "kept three balls in the air", "the balls"),
        ("play the drum", "the beat was all wrong", "dropped the sticks", "Listen first, then play slowly", "played a real song", "the drum"),
        ("tie a knot", "the knot fell apart", "pulled the wrong end", "Make a loop first, then go around it", "tied a perfect knot", "the rope"),
        ("paint a tree", "the tree looked like a cloud", "spilled the green paint", "Look at a real tree for a long time first", "painted a tree so real that a bird looked twice", "painting"),
    ] if t.is_child else [
        ("swim", "{he} sank like a stone", "swallowed some water", "Kick your legs and breathe slowly", "swam from one side of the pond to the other", "the water"),
        ("climb a tree", "{his} paws slipped", "slid back down", "Look up, and move one paw at a time", "climbed up to the highest branch", "the tree"),
        ("sing", "only a squeak came out", "lost the tune", "Take a deep breath and sing from your tummy", "sang so well that the birds stopped to listen", "singing"),
        ("jump over the stream", "{his} jump was too short", "landed in the water", "Run fast and look at the other side", "landed on the other side with dry feet", "the stream"),
        ("dance", "{his} feet got mixed up", "bumped into a tree", "Close your eyes and feel the beat", "danced all around the meadow", "dancing"),
        ("whistle", "only air came out", "got very tired", "Make your mouth small and blow softly", "whistled a whole song", "whistling"),
        ("build a nest of straw", "the straw fell apart", "sat on it by mistake", "Weave it slowly, one straw at a time", "made a round and cozy nest", "the straw"),
    ]
    if not t.is_child and t.words["kind"] in ("duck", "frog", "turtle", "otter", "beaver"):
        skills = [s for s in skills if s[0] not in ("swim", "climb a tree", "jump over the stream")]
    if not t.is_child and t.words["kind"] in ("squirrel", "raccoon", "deer"):
        skills = [s for s in skills if s[0] != "climb a tree"]
    skill, fail, fall, advice, win, thing = t.pick(skills)
    t.set(skill=skill, fail=fail, fall=fall, advice=advice, win=win, thing=thing)
    opening(t,
        """More than anything, {he} wanted to {skill}.|{He} could do many things, but {he} could not {skill}.|All {his} friends could {skill}, but {x} could not.|
        {He} had one [big |]dream. {He} wanted to {skill}.|{He} watched the others {skill} and wished that {he} could do it too.""",
        "{x} wanted to {skill}. {He} was {intro}, and {he} thought it would be easy.".replace("{intro}", "a {trait} {kind}"))
    t.say("""One [sunny|fine|bright] morning, {he} [tried|gave it a try] for the first time. But {fail}, and {he} {fall}.|[So one day|One day], {he} began to [try|practice]. [At first|The first time], {fail}. Then {he} {fall}.|
        "How hard can it be?" {he} thought. But {fail}, and {x} {fall}.""")
    t.maybe(0.5, """Some of the others laughed, and {his} [cheeks|ears] [turned red|grew hot].|{He} tried [again|once more], but it was [no better|even worse].|It was much harder than it looked.|{He} tried three times, and three times it went wrong.""")
    t.say(""""I [will never|cannot] do it!" [cried|said] {x}, and {he} sat down [with a sigh|and crossed {his} arms].|"[It is too hard|I give up]," {he} [said|sighed]. {He} [kicked a stone|wanted to go home].|
        {x} [walked home slowly|went home] with {his} head down. "I am [no good|not good at anything]," {he} [said|thought].""")
    t.say("""{zfirst} [had been watching|saw it all|came and sat beside {him}]. "{advice}," said {z}. "[And do not give up|It takes time|I fell many times too]."|
        {zfirst} [put an arm around {him}|gave {him} a hug]. "[When I was little|At first], I could not do it [either|at all]," said {z}. "{advice}."|
        Then {zfirst} said, "[Everyone starts small|Nobody can do it the first time]. {advice}." """.replace("        {zfirst} [put", "        Then {zfirst} [put").replace("{zfirst} [had", "But {zfirst} [had"))
    t.say("""So {x} [tried again|practiced] [the next day, and the next|every day after breakfast|every day for a week]. [Each time|Every time], it went a little better.|
        {x} [nodded|dried {his} eyes]. {He} practiced in the morning and [in the evening|before bed]. [Some days were good and some were bad|It was slow], but {he} [kept going|did not stop].|
        {x} listened [carefully|well] and tried again. [It was better|This time it almost worked]. {He} tried again, and again.""")
    t.say("""[Then, one day|And then, one morning|At last], it [happened|worked]! {x} {win}.|[A week later|On Sunday|One bright day], {x} took a deep breath. {He} remembered the words of {z}. And {he} {win}!|
        [Finally|In the end], {he} did not think about [falling|failing] at all, and {he} {win}.""")
    t.say(""""[I did it|Look at me|I can do it]!" [shouted|cried] {x}. {z} [clapped|cheered|laughed with joy].|{z} [clapped {z.his} hands|cheered]. "I [knew you could do it|am so proud of you]," {z.he} said.|
        "[Look|Did you see that]?" {x} [shouted|called]. "I [saw it|saw everything]," said {z} [with shining eyes|with a proud smile].""")
    ending(t, "{x} learned that you have to fail a little before you can win.", "Now, when something is hard, {x} just [smiles and tries again|takes a deep breath and tries again].",
           "And the next day, {he} [showed|taught] a smaller friend how to do it.", "{x} knew now that practice makes hard things easy.", "Nothing is too hard if you [try every day|take it one step at a time].")


PLOTS = [lost, sharing, storm, stuck, learning]


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
