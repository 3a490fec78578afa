"""Places and times in three languages, as tables of text that `lexicon` reads.

A place row is `tags | English | German | French | adjectives`. The English article says which ones are allowed (`a`:
both, `the`: this alone); the German and French ones only tell the gender.
"""

PLACES = """
green walk | in a park | in der Park | dans un parc | large small quiet beautiful
green walk | in a meadow | auf die Wiese | dans un pré | green large
walk | in a forest | in der Wald | dans une forêt | dark large quiet
green yard | in a garden | in der Garten | dans un jardin | small large beautiful
sand walk | on a beach | an der Strand | sur une plage | crowded quiet sunny
walk peak | on a mountain | auf der Berg | sur une montagne | high snowy
city walk road street | on a street | auf die Straße | dans une rue | busy narrow quiet
city walk | in a square | auf der Platz | sur une place | busy large quiet
city walk road bridge | on a bridge | auf die Brücke | sur un pont | narrow old long
city walk | on a sidewalk | auf der Gehweg | sur un trottoir | narrow wide busy
city market | at a market | auf der Markt | sur un marché | crowded busy small
shop | in a supermarket | in der Supermarkt | dans un supermarché | large crowded
shop | in a shop | in der Laden | dans un magasin | small modern
sports | in a stadium | in das Stadion | dans un stade | large crowded
sports | on a sports field | auf der Sportplatz | sur un terrain de sport | large green
sports | in a gym | in die Turnhalle | dans un gymnase | large old
play | on a playground | auf der Spielplatz | sur une aire de jeux | small sunny
stage | on a stage | auf die Bühne | sur une scène | large small dark
home | in a living room | in das Wohnzimmer | dans un salon | bright small
kitchen | in a kitchen | in die Küche | dans une cuisine | small modern bright
food | in a restaurant | in das Restaurant | dans un restaurant | small crowded
food | in a café | in das Café | dans un café | small quiet crowded
study | in a library | in die Bibliothek | dans une bibliothèque | quiet large
study | in a classroom | in das Klassenzimmer | dans une salle de classe | bright small
office | in an office | in das Büro | dans un bureau | modern bright small
station rail | at a train station | an der Bahnhof | dans une gare | old crowded
station stop | at a bus stop | an die Bushaltestelle | à un arrêt de bus |
seat bench | on a wooden bench | auf die Holzbank | sur un banc en bois | old long
seat bench | on a park bench | auf die Parkbank | sur un banc public | green old
ground | on a blanket | auf die Decke | sur une couverture | small red
sofa | on a sofa | auf das Sofa | sur un canapé | red brown old
seat | on a rock | auf der Felsen | sur un rocher | large
seat | on a staircase | auf die Treppe | sur un escalier | long narrow
seat | on a wall | auf die Mauer | sur un mur | high old
ground | on the grass | auf der Rasen | sur une pelouse |
ground sand | in the sand | in der Sand | dans un sable |
snow | in the snow | in der Schnee | dans une neige |
ice | on the ice | auf das Eis | sur une glace |
ice | at an ice rink | auf die Eisbahn | sur une patinoire | large
water | in a river | in der Fluss | dans une rivière | wide cold
water | in a lake | in der See | dans un lac | quiet large cold
pool | in a swimming pool | in das Schwimmbecken | dans une piscine | large blue
water sea | in the sea | in das Meer | dans une mer |
shore | by a lake | an der See | au bord de un lac | large quiet
shore | by a river | an der Fluss | au bord de une rivière | wide quiet
shore | by the sea | an das Meer | au bord de une mer |
boat | in a boat | in das Boot | dans un bateau | small red old
work site | on a construction site | auf die Baustelle | sur un chantier | large
work | in a workshop | in die Werkstatt | dans un atelier | small old
farm yard | on a farm | auf der Bauernhof | dans une ferme | old small
farm field | in a field | auf das Feld | dans un champ | large green
roof | on a roof | auf das Dach | sur un toit | red high
table | at a table | an der Tisch | à une table | large round
front | in front of a house | vor das Haus | devant une maison | old white large
front | in front of a church | vor die Kirche | devant une église | old white small
front | in front of a building | vor das Gebäude | devant un bâtiment | modern old high
front | in front of a brick wall | vor die Ziegelmauer | devant un mur de briques | old red
front | in front of a castle | vor das Schloss | devant un château | old large
front | in front of a fountain | vor der Brunnen | devant une fontaine | large old
tree | under a tree | unter der Baum | sous un arbre | large old
side | next to a tree | neben der Baum | à côté de un arbre | large old
side | next to a car | neben das Auto | à côté de une voiture | red white black
side | next to a statue | neben die Statue | à côté de une statue | large old
side | behind a fence | hinter der Zaun | derrière une clôture | high white
"""

TIMES = """
on a sunny day | an einem sonnigen Tag | par une journée ensoleillée
in the morning | am Morgen | le matin
in the evening | am Abend | le soir
"""
