"""The words the demo company is made of. Nobody and nothing in here exists."""

# ruff: noqa: RUF001 - sizes are written with a multiplication sign

from __future__ import annotations

_FIRST_NAMES = """
    Adèle Agathe Alain Alexandre Alice Amandine Amélie Anaïs André Antoine Arnaud Aurélie
    Baptiste Benoît Bérénice Bruno Camille Carole Catherine Cécile Céline Chloé Christophe Claire
    Clément Corinne Cyril Damien Daniel David Delphine Denis Didier Dominique Élise Élodie Émilie
    Emmanuel Éric Estelle Étienne Fabien Fatima Florence Franck François Françoise Gaël Gaëlle
    Gérard Gilles Guillaume Gwenaëlle Hélène Hervé Hugo Inès Isabelle Jacques Jérôme Joël Julie
    Karim Kévin Laëtitia Laurent Léa Loïc Lucie Maël Manon Marc Marion Mathilde Maud Mehdi Michèle
    Mickaël Nadia Nathalie Nicolas Noémie Olivier Pascal Patrice Philippe Pierre Quentin Régis
    Romain Ronan Samira Sandrine Sébastien Sophie Stéphane Sylvie Théo Thomas Valérie Vincent
    Xavier Yann Yves Zoé
"""
_SURNAMES = """
    Allard André Aubert Aubry Bailly Barbier Baron Benoît Bernard Bertin Besson Blanchard
    Bonnet Boucher Bourgeois Bouvier Breton Brunet Carpentier Caron Charpentier Chauvin Chevalier
    Clément Colin Collet Cordier Cousin Dupuis Durand Fabre Faure Fleury Fontaine Fournier Gaillard
    Garnier Gauthier Gérard Gilbert Girard Giraud Guérin Guillou Hamon Henry Hervé Hubert Huet
    Jacquet Joly Kermarrec Lambert Langlois Laurent Lebrun Leclerc Lefèvre Lemaître Leroux Lévêque
    Lucas Maillard Mallet Marchand Maréchal Martel Masson Mathieu Mercier Meunier Michaud Millet
    Moreau Morel Morin Moulin Nguyen Noël Olivier Paris Pasquier Pelletier Perrin Petit Philippe
    Picard Poirier Prévost Quéré Renaud Renault Reynaud Richard Rivière Robin Roche Rolland Rousseau
    Roy Royer Salaün Schmitt Simon Tanguy Tessier Thomas Vasseur Vidal Vincent Weber
"""
FIRST_NAMES = tuple(_FIRST_NAMES.split())
SURNAMES = (
    *_SURNAMES.split(),
    *("Da Silva", "De Oliveira", "Le Bihan", "Le Gall", "Le Goff", "Le Roux", "L'Hostis"),
    *("D'Almeida", "N'Diaye", "Ben Saïd", "Saint-Martin", "El Amrani"),
)

# (town, postal code, region): near customers first in the list, and more of them.
TOWNS = (
    ("Nantes", "44000", "Loire-Atlantique"),
    ("Saint-Nazaire", "44600", "Loire-Atlantique"),
    ("Saint-Herblain", "44800", "Loire-Atlantique"),
    ("Rezé", "44400", "Loire-Atlantique"),
    ("Orvault", "44700", "Loire-Atlantique"),
    ("Carquefou", "44470", "Loire-Atlantique"),
    ("Vertou", "44120", "Loire-Atlantique"),
    ("Pornic", "44210", "Loire-Atlantique"),
    ("Châteaubriant", "44110", "Loire-Atlantique"),
    ("Ancenis-Saint-Géréon", "44150", "Loire-Atlantique"),
    ("La Roche-sur-Yon", "85000", "Vendée"),
    ("Les Sables-d'Olonne", "85100", "Vendée"),
    ("Les Herbiers", "85500", "Vendée"),
    ("Angers", "49000", "Maine-et-Loire"),
    ("Cholet", "49300", "Maine-et-Loire"),
    ("Saumur", "49400", "Maine-et-Loire"),
    ("Laval", "53000", "Mayenne"),
    ("Le Mans", "72000", "Sarthe"),
    ("La Flèche", "72200", "Sarthe"),
    ("Rennes", "35000", "Ille-et-Vilaine"),
    ("Saint-Malo", "35400", "Ille-et-Vilaine"),
    ("Vitré", "35500", "Ille-et-Vilaine"),
    ("Vannes", "56000", "Morbihan"),
    ("Lorient", "56100", "Morbihan"),
    ("Ploërmel", "56800", "Morbihan"),
    ("Quimper", "29000", "Finistère"),
    ("Brest", "29200", "Finistère"),
    ("Saint-Brieuc", "22000", "Côtes-d'Armor"),
    ("Niort", "79000", "Deux-Sèvres"),
    ("Poitiers", "86000", "Vienne"),
    ("La Rochelle", "17000", "Charente-Maritime"),
    ("Tours", "37000", "Indre-et-Loire"),
    ("Orléans", "45000", "Loiret"),
    ("Bordeaux", "33000", "Gironde"),
    ("Toulouse", "31000", "Haute-Garonne"),
    ("Lyon", "69003", "Rhône"),
    ("Lille", "59800", "Nord"),
    ("Caen", "14000", "Calvados"),
    ("Rouen", "76000", "Seine-Maritime"),
    ("Paris", "75011", "Île-de-France"),
    ("Boulogne-Billancourt", "92100", "Île-de-France"),
    ("Strasbourg", "67000", "Bas-Rhin"),
)

STREETS = (
    *(
        "rue de l'Église",
        "rue du Calvaire",
        "rue Crébillon",
        "quai de la Fosse",
        "rue de Strasbourg",
    ),
    *("boulevard de la Liberté", "avenue Jean-Jaurès", "rue Victor-Hugo", "place du Commerce"),
    *("rue des Frères-Lumière", "rue de l'Hôtel-de-Ville", "chemin des Prés", "allée des Tilleuls"),
    *("route de Vannes", "rue du Général-de-Gaulle", "impasse de l'Écluse", "rue Émile-Zola"),
    *("Z.A. de la Forêt", "Z.I. Nord, rue Ampère", "parc d'activités du Moulin Neuf"),
    *("avenue de l'Europe", "rue Marie-Curie", "cours des 50-Otages", "rue d'Aguesseau"),
)

TRADES = (
    *("Cabinet", "Menuiserie", "Ateliers", "Imprimerie", "Garage", "Clinique", "Pharmacie"),
    *("Transports", "Plomberie", "Boulangerie", "Étude notariale", "Agence", "Maçonnerie"),
    *("Conserverie", "Chantiers navals", "Pépinières", "Librairie", "Optique", "Électricité"),
    *("Charpentes", "Établissements", "Groupe", "Hôtel", "Conseil", "Laboratoire", "Fromagerie"),
    *(
        "Logistique",
        "Architectes",
        "Brasserie",
        "Domaine",
        "Assurances",
        "Immobilier",
        "Métallerie",
    ),
    *("Peintures", "Sécurité", "Formation", "Crèche", "Carrosserie", "Ferronnerie", "Studio"),
)

LEGAL_FORMS = ("", " SARL", " SAS", "", " & Fils", " EURL", " SA", "", " & Associés", " SCOP")

TITLES = (
    *("Gérant", "Directrice générale", "Responsable des achats", "Acheteuse", "DAF", "DSI"),
    *("Assistant de direction", "Office manager", "Responsable informatique", "Comptable"),
    *("Directeur des opérations", "Chargée de projet", "Responsable RH", "Chef d'atelier"),
    *("Architecte d'intérieur", "Responsable des services généraux", "Président", ""),
)
DEPARTMENTS = ("Direction", "Achats", "Informatique", "Comptabilité & paie", "RH", "Production", "")

INDUSTRIES_SERVED = (
    *("Construction", "Consulting", "Education", "Engineering", "Finance", "Food & Beverage"),
    *("Government", "Healthcare", "Hospitality", "Manufacturing", "Retail", "Technology", ""),
)

# Names that break naive code, given to the first accounts and contacts of every sandbox.
ODD_ACCOUNTS = (
    "L'Atelier d'Émile & Fils",
    'Studio "Le 9"',
    "R&amp;D Conseil",
    "Sauvegarde C:\\Archives\\2024",
    "東京オフィス株式会社",
    "Créa <b>Bois</b>",
    "50 % Déco; Nantes, France",
    "Łódź Möbel GmbH",
    "Where & From (Select) Ltd",
)
ODD_CONTACTS = (
    ("Conor", "O'Brien"),
    ("美咲", "田中"),
    ('Jean "Jeannot"', "Le Goff"),
    ("", "Standard"),
    ("Zoé & Léa", "d'Ornano"),
    ("Åsa", "Öström"),
    ("Renée\\Marie", "Backslash"),
    ("Nguyễn Thị", "Hồng"),
    ("Paul &amp; Co", "N'Guyen"),
    ("Marie", "Null"),
)
ODD_TEXTS = (
    "Appeler après 14 h.\nDemander Mme O'Brien\r\n\tposte 12 & 13.",
    'Il a dit : "rien avant le 5", puis <raccroché>.',
    "Voir \\\\serveur\\devis\\2024 & l'ancien contrat.",
    "Texte déjà encodé : caf&eacute; &amp; th&eacute; &lt;3",
    "日本語の備考。納期は来月です。",
    "Ligne 1\n\nLigne 3 : 100 % d'accord ; SELECT * FROM clients WHERE 1=1 --",
)
TEXTS = (
    *("Client fidèle, paie toujours à l'échéance.", "À relancer après les congés d'été."),
    *("Rencontré au salon de Nantes ; intéressé par le mobilier d'accueil.", "Livraison à quai."),
    *("Passe par le gardien, code d'accès à demander la veille.", "Demande un devis par e-mail."),
    *("Préfère être appelé le matin.", "Nouveaux bureaux prévus l'an prochain."),
)

COMMENTS = (
    *("Rappelé, pas de réponse.", "Devis envoyé, j'attends son retour.", "C'est signé !"),
    *("Le client demande 5 % de remise.", "Livraison confirmée pour jeudi.", "Facture renvoyée."),
    *("Voir avec l'atelier si le plateau existe en chêne & noyer.", "OK pour moi."),
    *("Réunion utile :\n- budget validé\n- choix en comité\n- décision sous 15 jours",),
)

# (name, part number, price in cents, tax 1..3, usage unit, category)
# The prices are those without tax.
PRODUCTS = (
    ("Bureau droit 140 × 80 chêne", "BUR-140-CH", 28900, 1, "Each", "F"),
    ("Bureau droit 160 × 80 chêne", "BUR-160-CH", 31900, 1, "Each", "F"),
    ("Bureau assis-debout électrique", "BUR-AD-EL", 64900, 1, "Each", "F"),
    ("Table de réunion 8 places", "TAB-REU-08", 89000, 1, "Each", "F"),
    ("Table haute « L'Erdre »", "TAB-HT-ERD", 42900, 1, "Each", "F"),
    ("Fauteuil ergonomique Sillon", "FAU-SIL", 37950, 1, "Each", "F"),
    ("Chaise visiteur empilable", "CHA-VIS", 7990, 1, "Each", "F"),
    ("Tabouret d'atelier", "TAB-ATE", 11990, 1, "Each", "F"),
    ("Armoire à rideaux 198 cm", "ARM-RID-198", 45900, 1, "Each", "F"),
    ("Caisson mobile 3 tiroirs", "CAI-3T", 15990, 1, "Each", "F"),
    ("Bibliothèque 5 niveaux noyer", "BIB-5N-NO", 29990, 1, "Each", "F"),
    ("Cloison acoustique 160 cm", "CLO-160", 21990, 1, "Each", "F"),
    ("Banque d'accueil « Passage Pommeraye »", "BAN-ACC-PP", 189000, 1, "Each", "F"),
    ("Lampe de bureau LED", "LAM-LED", 4990, 1, "Each", "F"),
    ("Porte-manteau mural", "POR-MUR", 3490, 1, "Each", "F"),
    ("Tableau blanc 120 × 90", "TBL-120", 8990, 1, "Each", "F"),
    ('Ordinateur portable 14" i5', "PC-14-I5", 89900, 1, "Each", "H"),
    ('Ordinateur portable 16" i7', "PC-16-I7", 139900, 1, "Each", "H"),
    ("Station d'accueil USB-C", "STA-USBC", 15900, 1, "Each", "H"),
    ('Écran 27" QHD', "ECR-27", 24999, 1, "Each", "H"),
    ('Écran 34" incurvé', "ECR-34", 45999, 1, "Each", "H"),
    ("Bras d'écran articulé", "BRA-ECR", 8933, 1, "Each", "H"),
    ("Clavier AZERTY sans fil", "CLA-AZ", 5417, 1, "Each", "H"),
    ("Souris verticale", "SOU-VER", 3825, 1, "Each", "H"),
    ("Casque à réduction de bruit", "CAS-RB", 17992, 1, "Each", "H"),
    ("Webcam 1080p", "WEB-1080", 6658, 1, "Each", "H"),
    ("Imprimante multifonction A3", "IMP-A3", 119000, 1, "Each", "H"),
    ("Cartouche de toner noir", "TON-N", 7483, 1, "Box", "H"),
    ("Ramette A4 80 g (carton de 5)", "RAM-A4", 2267, 1, "Carton", "H"),
    ("Serveur NAS 4 baies", "NAS-4", 54900, 1, "Each", "H"),
    ("Onduleur 1500 VA", "OND-1500", 28990, 1, "Each", "H"),
    ("Câble réseau cat. 6 (mètre)", "CAB-C6-M", 127, 1, "M", "H"),
    ("Suite bureautique, 1 an", "LOG-BUR-1", 11880, 1, "Each", "S"),
    ("Antivirus, 1 poste, 1 an", "LOG-AV-1", 2990, 1, "Each", "S"),
    ("Fontaine à eau & gobelets", "FON-EAU", 32900, 1, "Each", "F"),
    ("Café en grains 1 kg", "CAF-1KG", 1645, 3, "Pack", "F"),
    ("Thé d'Assam (boîte de 100)", "THE-100", 2290, 3, "Box", "F"),
    ("Guide « Ergonomie & santé au bureau »", "LIV-ERG", 2750, 3, "Each", "F"),
    ("Plateau-repas réunion", "PLA-REP", 1890, 2, "Each", "F"),
    ("Plante dépolluante en bac", "PLA-BAC", 6900, 2, "Each", "F"),
)
CATEGORIES = {"F": "Mobilier & agencement d'espace", "H": "Hardware", "S": "Software"}

# (name, price in cents, tax, usage unit, category)
SERVICES = (
    ("Montage et installation sur site", 5500, 1, "Hours", "Installation"),
    ("Étude d'aménagement & plan 3D", 68000, 1, "Days", "Customization"),
    ("Assistance informatique", 7500, 1, "Hours", "Support"),
    ("Migration de messagerie", 59000, 1, "Days", "Migration"),
    ("Formation à l'outil (journée)", 98000, 1, "Days", "Training"),
    ("Enlèvement de l'ancien mobilier", 18000, 2, "Incidents", "Installation"),
    ("Livraison à l'étage", 4500, 1, "Incidents", "Installation"),
    ("Contrat de maintenance annuel", 120000, 1, "Incidents", "Support"),
)

VENDORS = (
    ("Scierie de l'Erdre & Fils", "Bois"),
    ("Noryl Nordic AB", "Sièges"),
    ("Kobalt Informatique", "Matériel informatique"),
    ("Papeteries d'Ancenis", "Papier"),
    ("Métal Ouest", "Piètements"),
    ("深圳电子有限公司", "Accessoires"),
    ("Torréfaction Beaulieu", "Épicerie"),
    ("Transports Le Goff", "Transport"),
)

CAMPAIGNS = (
    ("Salon Aménager l'Ouest", "Trade Show"),
    ("E-mailing rentrée", "Email"),
    ("Portes ouvertes de l'atelier", "Conference"),
    ("Parrainage clients & partenaires", "Referral Program"),
    ("Webinaire « L'ergonomie, c'est rentable »", "Webinar"),
    ("Encart Ouest-Éco", "Advertisement"),
)

QUESTIONS = (
    (
        "Quel est le délai de livraison ?",
        "Trois à cinq semaines pour le mobilier,\n48 h pour le reste.",
    ),
    ("Reprenez-vous l'ancien mobilier ?", "Oui, en option : voir l'enlèvement au devis."),
    ("Puis-je payer en plusieurs fois ?", "Oui, avec un acompte de 30 % à la commande."),
    ("La garantie couvre-t-elle l'usure ?", "Non. Elle couvre la structure & le vérin 5 ans."),
)

DEALS = (
    *("Aménagement du nouveau plateau", "Renouvellement du parc informatique", "Salle de réunion"),
    *("Postes assis-debout", "Accueil & espace d'attente", "Équipement de l'étage 2"),
    *("Fournitures annuelles", "Télétravail : 12 kits", "Rénovation de l'atelier", "Extension"),
)
TROUBLES = (
    *("Vérin du bureau bloqué en position haute", "Écran noir au démarrage", "Accoudoir cassé"),
    *("Il manque des vis dans le colis n° 3", "Imprimante : bourrage à répétition"),
    *("Facture reçue en double", "Porte d'armoire voilée", "Livraison incomplète"),
    *("L'antivirus demande une clé", "Plateau rayé à la livraison"),
)
PROJECT_STEPS = (
    *("Relevé des cotes", "Plan & validation", "Commande des plateaux", "Dépose de l'ancien"),
    *("Montage", "Câblage", "Réception de chantier"),
)
TASKS = (
    *("Relancer le devis", "Préparer la visite", "Envoyer le catalogue", "Vérifier l'encours"),
    *("Commander les échantillons", "Rappeler pour l'échéance"),
)
MEETINGS = (
    *("Rendez-vous sur site", "Visite de l'atelier", "Point téléphonique", "Présentation du plan"),
    *("Déjeuner avec la direction", "Réception de chantier"),
)
MAILS = (
    *("Votre devis", "Re: livraison de jeudi", "Relance : facture échue", "Merci de votre accueil"),
    *("Notre nouveau catalogue", "Confirmation de rendez-vous"),
)
