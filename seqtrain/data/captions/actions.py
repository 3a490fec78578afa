"""What is done, in three languages, as tables of text that `lexicon` reads.

An action is two lines. The first is `English | German | French`, finite forms as `singular/plural`. German: `sich`
stays by the verb, `{dat 0}` or `{auf acc 0}` is the first object with its case, `=Fußball` closes the clause, `+zu` is
a separable prefix. French: `~assis` agrees with the subject. The second line is `flags and agents | objects | places`:
letters of `FLAGS` and `AGENTS`; nouns or `@classes`, where `#` makes them plural and `;` parts the first from the
second object; tags of places. The second line of a side action names the actions that it goes with.
"""

AGENTS = {
    "A": "adult",
    "C": "child",
    "T": "town",
    "P": "collective",
    "M": "musician",
    "S": "sport",
    "W": "worker",
    "D": "dog",
    "K": "cat",
    "H": "cattle",
    "B": "bird",
}

FLAGS = {
    "!": "needs a place",
    "2": "takes more than one",
    "i": "everybody does it to an own object",
    "t": "can be done together",
    "s": "can be done while sitting or standing",
    "w": "its object can be described by what it does",
    "q": "nobody smiles at it",
    "o": "a posture that something else can be done in",
}

ACTIONS = """
dancing | tanzt/tanzen | danse/dansent
    t ACTPM | | city stage green home front sand
singing | singt/singen | chante/chantent
    ts ACTM | | city stage green front tree
sleeping | schläft/schlafen | dort/dorment
    q ACPDK | | sofa bench ground sand tree
sitting | sitzt/sitzen | est/sont ~assis
    !o ACTPMSWDK | | seat sofa ground table front tree side sand boat snow
standing | steht/stehen | se tient/se tiennent debout
    !o ACTPMSW | | city front side roof stage shore bridge peak water
lying | liegt/liegen | est/sont ~allongé
    !ACDK | | sofa bench ground sand snow tree
kneeling | kniet/knien | est/sont ~agenouillé
    !o ACTW | | ground front side yard sand
resting | ruht/ruhen sich +aus | se repose/se reposent
    ACTPSWDK | | seat sofa ground tree shore green
taking a walk | geht/gehen =spazieren | se promène/se promènent
    t ACTP | | walk shore snow
laughing | lacht/lachen | rit/rient
    s ACTP | | food city green table seat home
running | rennt/rennen | court/courent
    ACSDH | | walk sports sand snow field
swimming | schwimmt/schwimmen | nage/nagent
    t ACPSD | | water pool
swimming | schwimmt/schwimmen | nage/nagent
    B | | water
cooking | kocht/kochen | cuisine/cuisinent
    t AP | | kitchen
shopping | kauft/kaufen +ein | fait/font des courses
    t ATP | | shop market
working | arbeitet/arbeiten | travaille/travaillent
    t AW | | office yard field work roof
training | trainiert/trainieren | s'entraîne/s'entraînent
    t S | | sports
ice skating | läuft/laufen =Schlittschuh | fait/font du patin à glace
    t ACTP | | ice
skiing | fährt/fahren =Ski | fait/font du ski
    t ACTP | | snow peak
cycling | fährt/fahren =Fahrrad | fait/font du vélo
    t ACTP | | green road shore
fishing | angelt/angeln | pêche/pêchent
    t ACT | | shore boat bridge
surfing | surft/surfen | fait/font du surf
    t ACT | | sea
chatting | unterhält/unterhalten sich | discute/discutent
    2s ATCPMSW | | food city bench front table green tree
talking on the phone | telefoniert/telefonieren | téléphone/téléphonent
    s AT | | office city station bench food front
watching television | sieht/sehen +fern | regarde/regardent la télévision
    ts ACP | | sofa home
studying | lernt/lernen | étudie/étudient
    ts CT | | study table bench
eating breakfast | frühstückt/frühstücken | prend/prennent le petit-déjeuner
    ts ACTP | | kitchen food table green
playing football | spielt/spielen =Fußball | joue/jouent au football
    t ACT | | green sports sand street
playing basketball | spielt/spielen =Basketball | joue/jouent au basket
    t ACTS | | sports play
playing volleyball | spielt/spielen =Volleyball | joue/jouent au volley
    t ACTS | | sand sports
playing tennis | spielt/spielen =Tennis | joue/jouent au tennis
    t ACT | | sports
playing chess | spielt/spielen =Schach | joue/jouent aux échecs
    ts ACTM | | table green bench food
playing cards | spielt/spielen =Karten | joue/jouent aux cartes
    ts ACTWS | | table home food ground
playing hide-and-seek | spielt/spielen =Verstecken | joue/jouent à cache-cache
    2 C | | green play yard
playing guitar | spielt/spielen =Gitarre | joue/jouent de la guitare
    ts ACTM | | stage city bench green front
playing violin | spielt/spielen =Geige | joue/jouent du violon
    ts ACM | | stage city front home
playing trumpet | spielt/spielen =Trompete | joue/jouent de la trompette
    ts ACM | | stage city front
playing accordion | spielt/spielen =Akkordeon | joue/jouent de l'accordéon
    ts AM | | stage city bench front
playing piano | spielt/spielen =Klavier | joue/jouent du piano
    ts ACM | | stage home
drinking coffee | trinkt/trinken =Kaffee | boit/boivent du café
    s ATPW | | food bench office table kitchen station
drinking tea | trinkt/trinken =Tee | boit/boivent du thé
    s ATP | | food table kitchen home
drinking water | trinkt/trinken =Wasser | boit/boivent de l'eau
    s ACSW | | sports bench table work
drinking beer | trinkt/trinken =Bier | boit/boivent de la bière
    s ATM | | food table
eating ice cream | isst/essen =Eis | mange/mangent de la glace
    s ACTP | | bench city food sand play
eating pizza | isst/essen =Pizza | mange/mangent de la pizza
    s ACTPS | | food table bench kitchen
reading {0} | liest/lesen {acc 0} | lit/lisent {0}
    is ACT | book, newspaper, letter, city map | bench sofa study food tree sand
writing {0} | schreibt/schreiben {acc 0} | écrit/écrivent {0}
    s ACT | letter | table office study food
holding {0} | hält/halten {acc 0} | tient/tiennent {0}
    s ACTMW | sign, flag, umbrella, flower# | city front stage
carrying {0} | trägt/tragen {acc 0} | porte/portent {0}
    ACTW | basket, box, bag, suitcase, ladder | city market walk front
carrying {0} | trägt/tragen {acc 0} | porte/portent {0}
    ACTS | surfboard, umbrella | sand
pushing {0} | schiebt/schieben {acc 0} | pousse/poussent {0}
    AT | stroller, bicycle, scooter | walk
pushing {0} | schiebt/schieben {acc 0} | pousse/poussent {0}
    ATP | shopping cart | shop
pushing {0} | schiebt/schieben {acc 0} | pousse/poussent {0}
    AW | wheelbarrow | yard work
pulling {0} | zieht/ziehen {acc 0} | tire/tirent {0}
    ACD | sled | snow
pulling {0} | zieht/ziehen {acc 0} | tire/tirent {0}
    ACT | suitcase | city station
throwing {0} | wirft/werfen {acc 0} | lance/lancent {0}
    CATS | ball, stick, stone, frisbee | shore green sand play
throwing {0} | wirft/werfen {acc 0} | lance/lancent {0}
    CAT | snowball# | snow
catching {0} | fängt/fangen {acc 0} | attrape/attrapent {0}
    CASD | ball, frisbee | green sand play yard
picking up {0} | hebt/heben {acc 0} +auf | ramasse/ramassent {0}
    ACTW | ball, stick, stone#, hat | walk yard sand
putting on {0} | zieht/ziehen {acc 0} +an | met/mettent {0}
    is ACT | jacket, coat, sweater | front bench shop
taking off {0} | zieht/ziehen {acc 0} +aus | enlève/enlèvent {0}
    is ACT | jacket, coat, sweater | shore sand bench
painting {0} | streicht/streichen {acc 0} | peint/peignent {0}
    AW | fence, door, house, wall | yard street
painting {0} | malt/malen {acc 0} | peint/peignent {0}
    s ACT | picture | study shore green table
repairing {0} | repariert/reparieren {acc 0} | répare/réparent {0}
    ATW | bicycle, car, truck, motorcycle | work street front
washing {0} | wäscht/waschen {acc 0} | lave/lavent {0}
    ACTW | car, truck, bicycle, dog | street yard front
cleaning {0} | putzt/putzen {acc 0} | nettoie/nettoient {0}
    AW | window#, window | kitchen office shop home
cutting {0} | schneidet/schneiden {acc 0} | coupe/coupent {0}
    AW | onion#, tomato#, cake | kitchen table
cutting {0} | schneidet/schneiden {acc 0} | coupe/coupent {0}
    AW | hedge | yard
preparing {0} | bereitet/bereiten {acc 0} +zu | prépare/préparent {0}
    AW | meal, salad | kitchen
building {0} | baut/bauen {acc 0} | construit/construisent {0}
    CAP | sandcastle | sand
building {0} | baut/bauen {acc 0} | construit/construisent {0}
    CAP | snowman | snow
building {0} | baut/bauen {acc 0} | construit/construisent {0}
    W | wall, house, brick wall | site yard
unwrapping {0} | packt/packen {acc 0} +aus | déballe/déballent {0}
    s CA | present | sofa home table tree
blowing out {0} | bläst/blasen {acc 0} +aus | souffle/soufflent {0}
    CA | candle# | home kitchen food
eating {0} | isst/essen {acc 0} | mange/mangent {0}
    is ACTSW | sandwich, apple, orange | bench table food green station
feeding {0} | füttert/füttern {acc 0} | nourrit/nourrissent {0}
    ACT | duck#, bird# | green shore bench
feeding {0} | füttert/füttern {acc 0} | nourrit/nourrissent {0}
    ACW | @cattle, puppy | farm
stroking {0} | streichelt/streicheln {acc 0} | caresse/caressent {0}
    s ACT | @dog, @cat, horse | yard sofa ground tree
walking {0} | führt/führen {acc 0} +aus | promène/promènent {0}
    ACTP | dog, puppy | walk
watching {0} | sieht/sehen {dat 0} +zu | regarde/regardent {0}
    w ACT | @dog, @cat, @child, @musician, @sport | green city
listening to {0} | hört/hören {dat 0} +zu | écoute/écoutent {0}
    ACTP | @musician | stage city food
helping {0} | hilft/helfen {dat 0} | aide/aident {0}
    ATW | @child, lady, @town | kitchen city yard study
following {0} | folgt/folgen {dat 0} | suit/suivent {0}
    DK | @dog, @cat, @adult, @child | walk yard
chasing {0} | jagt/jagen {acc 0} | poursuit/poursuivent {0}
    D | @cat, @bird, ball | yard green
chasing {0} | jagt/jagen {acc 0} | poursuit/poursuivent {0}
    K | bird, ball | yard
talking to {0} | spricht/sprechen {mit dat 0} | parle/parlent avec {0}
    s ATW | @adult, @worker, @town | city food office front
waiting for {0} | wartet/warten {auf acc 0} | attend/attendent {0}
    s ACTPW | bus | stop
waiting for {0} | wartet/warten {auf acc 0} | attend/attendent {0}
    s ACTPW | train | rail
looking at {0} | sieht/sehen sich {acc 0} +an | regarde/regardent {0}
    ATP | statue, church, fountain, castle | city
photographing {0} | fotografiert/fotografieren {acc 0} | photographie/photographient {0}
    w ATC | @dog, @cattle, @musician | green city
photographing {0} | fotografiert/fotografieren {acc 0} | photographie/photographient {0}
    ATC | statue, church, bridge | city
giving {1} {0} | gibt/geben {dat 1} {acc 0} | donne/donnent {0} à {1}
    ATC | flower, present, book; @adult, @child, lady | green city food
giving {1} {0} | gibt/geben {dat 1} {acc 0} | donne/donnent {0} à {1}
    ATC | apple; horse, goat, cow | farm
showing {1} {0} | zeigt/zeigen {dat 1} {acc 0} | montre/montrent {0} à {1}
    ATW | city map, book, letter; @adult, @town | city food
throwing {0} to {1} | wirft/werfen {dat 1} {acc 0} +zu | lance/lancent {0} à {1}
    ACT | ball, stick; @dog, @child | green sand yard
buying {0} | kauft/kaufen {acc 0} | achète/achètent {0}
    ATP | apple#, flower#, orange#, tomato# | market shop
selling {0} | verkauft/verkaufen {acc 0} | vend/vendent {0}
    AW | apple#, flower#, hat#, orange# | market city
jumping over {0} | springt/springen {über acc 0} | saute/sautent par-dessus {0}
    ACDH | fence, hedge, puddle | green yard
jumping into {0} | springt/springen {in acc 0} | saute/sautent dans {0}
    ACSD | lake, river, swimming pool |
climbing {0} | klettert/klettern {auf acc 0} | escalade/escaladent {0}
    ACT | tree, rock, wall | yard green
climbing {0} | klettert/klettern {auf acc 0} | escalade/escaladent {0}
    K | tree, fence | yard
crossing {0} | überquert/überqueren {acc 0} | traverse/traversent {0}
    ACTPSWDH | street, bridge, river |
getting into {0} | steigt/steigen {in acc 0} +ein | monte/montent dans {0}
    ACTPW | bus | stop
getting into {0} | steigt/steigen {in acc 0} +ein | monte/montent dans {0}
    ACTPW | train | rail
getting into {0} | steigt/steigen {in acc 0} +ein | monte/montent dans {0}
    ATPW | car, truck | street front
getting off {0} | steigt/steigen {aus dat 0} +aus | descend/descendent de {0}
    ACTPW | bus | stop
getting off {0} | steigt/steigen {aus dat 0} +aus | descend/descendent de {0}
    ACTPW | train | rail
leaning against {0} | lehnt/lehnen {an dat 0} | est/sont ~appuyé contre {0}
    ACTMW | wall, brick wall, tree, car |
riding {0} | reitet/reiten {auf dat 0} | monte/montent {0}
    i ACT | horse | farm walk
riding {0} | fährt/fahren {auf dat 0} | roule/roulent sur {0}
    i ACT | bicycle, motorcycle, scooter | road shore
driving {0} | fährt/fahren {acc 0} | conduit/conduisent {0}
    i ATW | car, truck, bus | road
driving {0} | fährt/fahren {acc 0} | conduit/conduisent {0}
    i W | tractor | farm
playing with {0} | spielt/spielen {mit dat 0} | joue/jouent avec {0}
    CDK | ball | home yard green
playing with {0} | spielt/spielen {mit dat 0} | joue/jouent avec {0}
    CAT | @dog, @cat, doll | home ground
digging {0} | gräbt/graben {acc 0} | creuse/creusent {0}
    CWD | hole | sand yard
planting {0} | pflanzt/pflanzen {acc 0} | plante/plantent {0}
    ACW | tree, flower# | yard green
flying {0} | lässt/lassen {acc 0} =steigen | fait/font voler {0}
    tCA | kite | green sand field
hugging {0} | umarmt/umarmen {acc 0} | étreint/étreignent {0}
    s ACT | @child, @dog, lady | station sofa front
pointing at {0} | zeigt/zeigen {auf acc 0} | montre/montrent du doigt {0}
    s ACT | @dog, @bird, statue, church | city green
looking through {0} | schaut/schauen {durch acc 0} | regarde/regardent par {0}
    ACK | window | home kitchen
barking | bellt/bellen | aboie/aboient
    D | | yard green city
shaking {self} | schüttelt/schütteln sich | se secoue/se secouent
    D | | water sand snow
grazing | grast/grasen | broute/broutent
    H | | green field farm
drinking milk | trinkt/trinken =Milch | boit/boivent du lait
    KC | | kitchen home
flying over {0} | fliegt/fliegen {über acc 0} | vole/volent au-dessus de {0}
    B | lake, river, house, church |
"""

SIDE_ACTIONS = """
singing | singt/singen | en chantant
    dancing, cooking, taking a walk, cycling, working, playing guitar, playing piano
smiling | lächelt/lächeln | en souriant
    dancing, sitting, holding {0}, playing guitar, reading {0}, riding {0}, stroking {0}
laughing | lacht/lachen | en riant
    dancing, playing football, ice skating, chatting, throwing {0}, riding {0}
listening to music | hört/hören =Musik | en écoutant de la musique
    cooking, running, cycling, working, resting, studying
talking on the phone | telefoniert/telefonieren | en téléphonant
    taking a walk, shopping, standing, crossing {0}, pushing {0}
eating ice cream | isst/essen =Eis | en mangeant de la glace
    taking a walk, sitting, reading {0}, looking at {0}, standing
drinking coffee | trinkt/trinken =Kaffee | en buvant du café
    reading {0}, working, chatting, talking to {0}, studying
"""
