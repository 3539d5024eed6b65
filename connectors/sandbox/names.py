"""What the sandbox's people and companies are called, and where they live. All of it is made up.

Names come in the script of their place with the Latin spelling that goes into an e-mail address. Companies live below
``.example``, which never resolves.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "COMPANY_ENDINGS",
    "COMPANY_WORDS",
    "INDUSTRIES",
    "PLACES",
    "PRIVATE_MAILBOXES",
    "RIVALS",
    "SIZES",
    "STUDENT_TITLES",
    "TITLES",
    "Industry",
    "Name",
    "Place",
]


@dataclass(frozen=True, slots=True)
class Name:
    """``text`` as people write it, ``latin`` for the address (ASCII, lower case)."""

    text: str
    latin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A country: ISO code, how CRMs spell it, how common it is here, its cities, names and phone numbers.

    ``phone``: each ``#`` becomes a digit.
    """

    code: str
    spellings: tuple[str, ...]
    weight: int
    cities: tuple[str, ...]
    phone: str
    given: tuple[Name, ...]
    family: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Industry:
    """One industry as HubSpot's enumeration and as Salesforce's picklist say it."""

    hubspot: str
    salesforce: str
    weight: int


def _names(text: str) -> tuple[Name, ...]:
    """``Zoë:zoe Sam`` -> two names; one without a colon is its own Latin spelling."""
    pairs = (one.partition(":") for one in text.split())
    return tuple(Name(name, latin or name.lower()) for name, _, latin in pairs)


def _place(code: str, weight: int, spellings: str, cities: str, phone: str, given: str, family: str) -> Place:
    return Place(
        code=code,
        weight=weight,
        spellings=tuple(spellings.split("|")),
        cities=tuple(cities.split("|")),
        phone=phone,
        given=_names(given),
        family=_names(family),
    )


PLACES: tuple[Place, ...] = (
    _place(
        "US", 24, "United States|USA|US|United States of America", "Denver|Austin|Boston|Portland", "+1 212 555 01##",
        "Harper Miles Corinne Dwight Thea Marcus Joanna Elliot",
        "Whitaker Delgado Prescott Nakamura Oyelaran Finch Barlow",
    ),
    _place(
        "GB", 10, "United Kingdom|GB|UK|Great Britain", "Leeds|Bristol|Glasgow", "+44 20 7946 0###",
        "Imogen Rhys Callum Priya Edwin Tamsin", "Hargreaves Pemberton MacLeod:macleod Okonkwo Thorne Ashworth",
    ),
    _place(
        "DE", 12, "Germany|Deutschland|DE", "Köln|Leipzig|Münster", "+49 30 2312 5###",
        "Jürgen:juergen Anneliese Björn:bjoern Käthe:kaethe Tilman Friederike",
        "Müllenbach:muellenbach Großkopf:grosskopf Hölderle:hoelderle Siebert Weiß:weiss Tönnies:toennies",
    ),
    _place(
        "IE", 3, "Ireland|IE", "Dublin|Cork|Galway", "+353 1 555 0###",
        "Síofra:siofra Oisín:oisin Niamh Cormac", "Ó_Riain:oriain Brennan Gallagher Ní_Dhomhnaill:nidhomhnaill",
    ),
    _place(
        "NL", 4, "Netherlands|NL|The Netherlands", "Utrecht|Eindhoven", "+31 20 555 1###",
        "Sanne Joost Fenna Ruben", "van_Dijkstra:vandijkstra de_Graaf:degraaf Hoekstra Brouwer",
    ),
    _place(
        "SE", 5, "Sweden|Sverige|SE", "Malmö|Uppsala", "+46 8 465 00 ##",
        "Åsa:asa Göran:goran Linnéa:linnea Östen:osten",
        "Sjöholm:sjoholm Ängström:angstrom Lindqvist Håkansson:hakansson",
    ),
    _place(
        "FR", 6, "France|FR|FRA", "Lyon|Nantes|Orléans", "+33 1 55 01 0# ##",
        "Élodie:elodie François:francois Noémie:noemie Gaëtan:gaetan Thibault",
        "Lefèvre:lefevre Bélanger:belanger Garçon:garcon Moreau",
    ),
    _place(
        "ES", 5, "Spain|España|ES", "Málaga|Bilbao", "+34 91 555 0# ##",
        "Íñigo:inigo Begoña:begona José:jose Marisol", "Muñoz:munoz Ibáñez:ibanez Peñalver:penalver Cortés:cortes",
    ),
    _place(
        "PL", 4, "Poland|Polska|PL", "Łódź|Gdańsk", "+48 22 555 0# ##",
        "Łukasz:lukasz Małgorzata:malgorzata Zdzisław:zdzislaw Jagoda",
        "Wójtowicz:wojtowicz Żeleński:zelenski Kaczmarek Śliwa:sliwa",
    ),
    _place(
        "BR", 4, "Brazil|Brasil|BR", "São Paulo|Curitiba", "+55 11 5555 0###",
        "João:joao Luíza:luiza Caetano Thaís:thais", "Gonçalves:goncalves Araújo:araujo Conceição:conceicao Teixeira",
    ),
    _place(
        "IN", 5, "India|IN|IND", "Pune|Chennai", "+91 98765 4####",
        "अनन्या:ananya Rohan विक्रम:vikram Kavya", "शर्मा:sharma Iyer Deshpande पटेल:patel",
    ),
    _place(
        "JP", 3, "Japan|JP|日本", "大阪|Kobe", "+81 3 5555 0###",
        "陽菜:haruna 健太:kenta 美咲:misaki", "佐々木:sasaki 長谷川:hasegawa 小野寺:onodera",
    ),
    _place(
        "CN", 2, "China|CN", "杭州|Chengdu", "+86 10 5555 0###",
        "思远:siyuan 雨桐:yutong 明:ming", "欧阳:ouyang 赵:zhao 林:lin",
    ),
    _place(
        "KR", 1, "South Korea|KR", "부산|Incheon", "+82 2 555 0###",
        "서연:seoyeon 도윤:doyun", "강:kang 황:hwang",
    ),
    _place(
        "UA", 2, "Ukraine|UA", "Львів|Kyiv", "+380 44 555 0###",
        "Оксана:oksana Тарас:taras Ярина:yaryna", "Шевчук:shevchuk Коваленко:kovalenko Мельник:melnyk",
    ),
    _place(
        "GR", 1, "Greece|GR", "Πάτρα|Athens", "+30 21 0555 0###",
        "Ελένη:eleni Νίκος:nikos", "Παπαδάκης:papadakis Οικονόμου:oikonomou",
    ),
    _place(
        "IL", 1, "Israel|IL", "חיפה|Tel Aviv", "+972 3 555 0###",
        "נועה:noa איתן:eitan", "לוי:levi פרידמן:friedman",
    ),
    _place(
        "AE", 1, "United Arab Emirates|AE", "دبي|Sharjah", "+971 4 555 0###",
        "ليلى:layla عمر:omar", "الهاشمي:alhashimi حداد:haddad",
    ),
    _place(
        "TR", 2, "Turkey|TR|Türkiye", "İzmir|Bursa", "+90 212 555 0###",
        "Işıl:isil İbrahim:ibrahim Çağla:cagla", "Yıldırım:yildirim Şahin:sahin Öztürk:ozturk",
    ),
    _place(
        "NG", 2, "Nigeria|NG", "Ibadan|Lagos", "+234 1 555 0###",
        "Chinwe Babajide Ngozi", "Adébáyò:adebayo Ezeigbo Okafor",
    ),
    _place(
        "VN", 1, "Vietnam|VN|Viet Nam", "Đà Nẵng|Huế", "+84 24 5555 0###",
        "Thảo:thao Đức:duc", "Nguyễn:nguyen Trần:tran",
    ),
)  # fmt: skip
"""An underscore in a name stands for a space (`Name.text` still has it; `connectors.sandbox.people` puts the space)."""

INDUSTRIES = (
    Industry("COMPUTER_SOFTWARE", "Technology", 18),
    Industry("INFORMATION_TECHNOLOGY_AND_SERVICES", "Technology", 9),
    Industry("FINANCIAL_SERVICES", "Finance", 10),
    Industry("BANKING", "Banking", 6),
    Industry("INSURANCE", "Insurance", 5),
    Industry("HOSPITAL_HEALTH_CARE", "Healthcare", 9),
    Industry("MACHINERY", "Manufacturing", 11),
    Industry("MANAGEMENT_CONSULTING", "Consulting", 8),
    Industry("TELECOMMUNICATIONS", "Telecommunications", 4),
    Industry("LOGISTICS_AND_SUPPLY_CHAIN", "Transportation", 6),
    Industry("RETAIL", "Retail", 7),
    Industry("HIGHER_EDUCATION", "Education", 4),
    Industry("GOVERNMENT_ADMINISTRATION", "Government", 3),
)

SIZES = ((6, 14), (24, 18), (75, 22), (180, 14), (420, 14), (1300, 10), (6200, 5), (24000, 3))
"""Employees (a rough middle) and how common such companies are."""

TITLES = (
    ("Chief Financial Officer", 3), ("CEO", 3), ("Founder", 3), ("CTO", 3), ("VP of Sales", 4),
    ("Vice-President, Operations", 3), ("SVP Marketing", 1), ("Head of Growth", 4), ("Head of Student Affairs", 1),
    ("Director of IT", 7), ("Director of Marketing", 6), ("Internal Audit Director", 2), ("Marketing Manager", 10),
    ("Sales Operations Manager", 8), ("Lead Generation Manager", 4), ("Project Manager", 6), ("Team Lead, Support", 4),
    ("Principal Engineer", 3), ("Analyst", 9), ("Account Executive", 6), ("Software Engineer", 6), ("Consultant", 4),
    ("Executive Assistant to the CEO", 2), ("Leiterin Einkauf", 2), ("営業部長", 1),
)  # fmt: skip
STUDENT_TITLES = ("Student", "Marketing Intern", "Werkstudentin / Werkstudent", "Trainee")

COMPANY_WORDS = (
    "Amber", "Birch", "Cobalt", "Dune", "Ember", "Fjord", "Granite", "Harbor", "Indigo", "Juniper", "Kestrel", "Larch",
    "Meridian", "Nimbus", "Opal", "Pine", "Quarry", "Ridge", "Saffron", "Tundra", "Umber", "Vale", "Willow", "Yarrow",
)  # fmt: skip
COMPANY_ENDINGS = (
    "Analytics", "Freight", "Instruments", "Insurance", "Labs", "Logistics", "Mutual", "Partners", "Payments",
    "Robotics", "Software", "Systems", "Trading",
)  # fmt: skip

RIVALS = (("First Rival", "first-rival.example"), ("Second Rival", "second-rival.example"))
"""The domains the shipped policy lists as competitors."""

PRIVATE_MAILBOXES = ("gmail.com", "outlook.com", "yahoo.com", "gmx.de", "icloud.com", "proton.me")
