"""Nouns and adjectives in three languages, as tables of text that `lexicon` reads.

A noun row is `English/plural | German article noun/plural | French article noun/plural`. `-` stands where a form does
not exist (trousers have no singular in English). `~` marks weak German nouns (den Jungen), `*` a French aspirated h.

An adjective row is `English | German stem | French masculine/feminine/masculine plural/feminine plural/before a vowel`.
Regular French adjectives give the masculine alone, `=` marks invariable ones, `<` those that stand before the noun.
"""

NOUNS = {
    "adult": """
man/men | der Mann/Männer | un homme/hommes
woman/women | die Frau/Frauen | une femme/femmes
person/people | die Person/Personen | une personne/personnes
""",
    "child": """
boy/boys | der Junge~/Jungen | un garçon/garçons
girl/girls | das Mädchen/Mädchen | une fille/filles
child/children | das Kind/Kinder | un enfant/enfants
""",
    "town": """
tourist/tourists | der Tourist~/Touristen | un touriste/touristes
student/students | der Student~/Studenten | un étudiant/étudiants
lady/ladies | die Dame/Damen | une dame/dames
teenager/teenagers | der Teenager/Teenager | un adolescent/adolescents
""",
    "collective": """
couple/couples | das Paar/Paare | un couple/couples
family/families | die Familie/Familien | une famille/familles
""",
    "musician": """
musician/musicians | der Musiker/Musiker | un musicien/musiciens
street musician/street musicians | der Straßenmusiker/Straßenmusiker | un musicien de rue/musiciens de rue
singer/singers | die Sängerin/Sängerinnen | une chanteuse/chanteuses
dancer/dancers | die Tänzerin/Tänzerinnen | une danseuse/danseuses
""",
    "sport": """
athlete/athletes | der Sportler/Sportler | un athlète/athlètes
runner/runners | der Läufer/Läufer | un coureur/coureurs
football player/football players | der Fußballspieler/Fußballspieler | un joueur de football/joueurs de football
tennis player/tennis players | die Tennisspielerin/Tennisspielerinnen | une joueuse de tennis/joueuses de tennis
""",
    "worker": """
construction worker/construction workers | der Bauarbeiter/Bauarbeiter | un ouvrier du bâtiment/ouvriers du bâtiment
cook/cooks | der Koch/Köche | un cuisinier/cuisiniers
waitress/waitresses | die Kellnerin/Kellnerinnen | une serveuse/serveuses
farmer/farmers | der Bauer~/Bauern | un agriculteur/agriculteurs
firefighter/firefighters | der Feuerwehrmann/Feuerwehrleute | un pompier/pompiers
police officer/police officers | der Polizist~/Polizisten | un policier/policiers
gardener/gardeners | der Gärtner/Gärtner | un jardinier/jardiniers
street vendor/street vendors | der Straßenverkäufer/Straßenverkäufer | un vendeur de rue/vendeurs de rue
""",
    "dog": """
dog/dogs | der Hund/Hunde | un chien/chiens
puppy/puppies | der Welpe~/Welpen | un chiot/chiots
""",
    "cat": "cat/cats | die Katze/Katzen | un chat/chats",
    "cattle": """
horse/horses | das Pferd/Pferde | un cheval/chevaux
cow/cows | die Kuh/Kühe | une vache/vaches
goat/goats | die Ziege/Ziegen | une chèvre/chèvres
sheep/sheep | das Schaf/Schafe | un mouton/moutons
""",
    "bird": """
bird/birds | der Vogel/Vögel | un oiseau/oiseaux
duck/ducks | die Ente/Enten | un canard/canards
""",
    "top": """
shirt/shirts | das Hemd/Hemden | une chemise/chemises
T-shirt/T-shirts | das T-Shirt/T-Shirts | un t-shirt/t-shirts
sweater/sweaters | der Pullover/Pullover | un pull/pulls
jacket/jackets | die Jacke/Jacken | une veste/vestes
coat/coats | der Mantel/Mäntel | un manteau/manteaux
vest/vests | die Weste/Westen | un gilet/gilets
uniform/uniforms | die Uniform/Uniformen | un uniforme/uniformes
""",
    "dress": "dress/dresses | das Kleid/Kleider | une robe/robes",
    "bottom": """
-/trousers | die Hose/Hosen | un pantalon/pantalons
-/jeans | die Jeans/Jeans | un jean/jeans
-/shorts | die -/Shorts | un short/shorts
""",
    "skirt": "skirt/skirts | der Rock/Röcke | une jupe/jupes",
    "accessory": """
hat/hats | der Hut/Hüte | un chapeau/chapeaux
cap/caps | die Mütze/Mützen | une casquette/casquettes
helmet/helmets | der Helm/Helme | un casque/casques
scarf/scarves | der Schal/Schals | une écharpe/écharpes
apron/aprons | die Schürze/Schürzen | un tablier/tabliers
backpack/backpacks | der Rucksack/Rucksäcke | un sac à dos/sacs à dos
-/sunglasses | die Sonnenbrille/Sonnenbrillen | une -/lunettes de soleil
""",
    "thing": """
ball/balls | der Ball/Bälle | une balle/balles
frisbee/frisbees | das Frisbee/Frisbees | un frisbee/frisbees
stick/sticks | der Stock/Stöcke | un bâton/bâtons
sign/signs | das Schild/Schilder | une pancarte/pancartes
flag/flags | die Fahne/Fahnen | un drapeau/drapeaux
umbrella/umbrellas | der Regenschirm/Regenschirme | un parapluie/parapluies
basket/baskets | der Korb/Körbe | un panier/paniers
box/boxes | die Kiste/Kisten | une caisse/caisses
bag/bags | die Tasche/Taschen | un sac/sacs
suitcase/suitcases | der Koffer/Koffer | une valise/valises
ladder/ladders | die Leiter/Leitern | une échelle/échelles
surfboard/surfboards | das Surfbrett/Surfbretter | une planche de surf/planches de surf
bucket/buckets | der Eimer/Eimer | un seau/seaux
flower/flowers | die Blume/Blumen | une fleur/fleurs
stroller/strollers | der Kinderwagen/Kinderwagen | une poussette/poussettes
shopping cart/shopping carts | der Einkaufswagen/Einkaufswagen | un caddie/caddies
wheelbarrow/wheelbarrows | die Schubkarre/Schubkarren | une brouette/brouettes
sled/sleds | der Schlitten/Schlitten | une luge/luges
present/presents | das Geschenk/Geschenke | un cadeau/cadeaux
kite/kites | der Drachen/Drachen | un cerf-volant/cerfs-volants
doll/dolls | die Puppe/Puppen | une poupée/poupées
fence/fences | der Zaun/Zäune | une clôture/clôtures
hedge/hedges | die Hecke/Hecken | une *haie/*haies
""",
    "vehicle": """
bicycle/bicycles | das Fahrrad/Fahrräder | un vélo/vélos
car/cars | das Auto/Autos | une voiture/voitures
truck/trucks | der Lastwagen/Lastwagen | un camion/camions
bus/buses | der Bus/Busse | un bus/bus
train/trains | der Zug/Züge | un train/trains
motorcycle/motorcycles | das Motorrad/Motorräder | une moto/motos
scooter/scooters | der Roller/Roller | une trottinette/trottinettes
tractor/tractors | der Traktor/Traktoren | un tracteur/tracteurs
""",
    "plain": """
book/books | das Buch/Bücher | un livre/livres
newspaper/newspapers | die Zeitung/Zeitungen | un journal/journaux
letter/letters | der Brief/Briefe | une lettre/lettres
city map/city maps | der Stadtplan/Stadtpläne | un plan de la ville/plans de la ville
snowball/snowballs | der Schneeball/Schneebälle | une boule de neige/boules de neige
stone/stones | der Stein/Steine | une pierre/pierres
picture/pictures | das Bild/Bilder | un tableau/tableaux
puddle/puddles | die Pfütze/Pfützen | une flaque d'eau/flaques d'eau
window/windows | das Fenster/Fenster | une fenêtre/fenêtres
cake/cakes | der Kuchen/Kuchen | un gâteau/gâteaux
apple/apples | der Apfel/Äpfel | une pomme/pommes
orange/oranges | die Orange/Orangen | une orange/oranges
sandwich/sandwiches | das Sandwich/Sandwiches | un sandwich/sandwichs
tomato/tomatoes | die Tomate/Tomaten | une tomate/tomates
onion/onions | die Zwiebel/Zwiebeln | un oignon/oignons
salad/salads | der Salat/Salate | une salade/salades
meal/meals | die Mahlzeit/Mahlzeiten | un repas/repas
candle/candles | die Kerze/Kerzen | une bougie/bougies
sandcastle/sandcastles | die Sandburg/Sandburgen | un château de sable/châteaux de sable
snowman/snowmen | der Schneemann/Schneemänner | un bonhomme de neige/bonshommes de neige
hole/holes | das Loch/Löcher | un trou/trous
""",
    "sight": """
door/doors | die Tür/Türen | une porte/portes
wall/walls | die Mauer/Mauern | un mur/murs
brick wall/brick walls | die Ziegelmauer/Ziegelmauern | un mur de briques/murs de briques
house/houses | das Haus/Häuser | une maison/maisons
church/churches | die Kirche/Kirchen | une église/églises
castle/castles | das Schloss/Schlösser | un château/châteaux
building/buildings | das Gebäude/Gebäude | un bâtiment/bâtiments
statue/statues | die Statue/Statuen | une statue/statues
fountain/fountains | der Brunnen/Brunnen | une fontaine/fontaines
bridge/bridges | die Brücke/Brücken | un pont/ponts
tree/trees | der Baum/Bäume | un arbre/arbres
rock/rocks | der Felsen/Felsen | un rocher/rochers
street/streets | die Straße/Straßen | une rue/rues
river/rivers | der Fluss/Flüsse | une rivière/rivières
lake/lakes | der See/Seen | un lac/lacs
swimming pool/swimming pools | das Schwimmbecken/Schwimmbecken | une piscine/piscines
""",
}

ADJECTIVES = {
    "colour": """
red | rot | rouge
blue | blau | bleu
green | grün | vert
yellow | gelb | jaune
white | weiß | blanc/blanche/blancs/blanches
black | schwarz | noir
grey | grau | gris
brown | braun | marron=
orange | orangefarben | orange=
pink | rosafarben | rose
purple | violett | violet/violette/violets/violettes
light blue | hellblau | bleu clair=
dark green | dunkelgrün | vert foncé=
""",
    "pattern": """
striped | gestreift | rayé
checked | kariert | à carreaux=
""",
    "person": """
smiling | lächelnd | souriant
young | jung | <jeune
old | alt | <vieux/vieille/vieux/vieilles/vieil
little | klein | <petit
blond | blond | blond
red-haired | rothaarig | roux/rousse/roux/rousses
bearded | bärtig | barbu
bald | kahlköpfig | chauve
""",
    "other": """
large | groß | <grand
small | klein | <petit
spotted | gefleckt | tacheté
beautiful | schön | <beau/belle/beaux/belles/bel
long | lang | <long/longue/longs/longues
high | hoh | <haut
busy | belebt | animé
narrow | schmal | étroit
wide | breit | large
quiet | ruhig | calme
dark | dunkl | sombre
bright | hell | lumineux/lumineuse/lumineux/lumineuses
crowded | überfüllt | bondé
sunny | sonnig | ensoleillé
snowy | verschneit | enneigé
modern | modern | moderne
cold | kalt | froid
round | rund | rond
""",
}
