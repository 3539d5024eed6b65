"""Countries and languages as people write them, to their ISO codes.

Country: ISO 3166-1 alpha-2, alpha-3, English name, and the local and colloquial spellings CRMs are full of.
Language: ISO 639-1, locale tags (``pt-br``, ``en_US``) and names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["COUNTRIES", "LANGUAGES", "country_code", "language_code"]

_TABLE = """
AD AND Andorra
AE ARE United Arab Emirates|UAE|U.A.E.|Emirates|Vereinigte Arabische Emirate|Dubai|Abu Dhabi|الإمارات
  |الإمارات العربية المتحدة
AF AFG Afghanistan
AG ATG Antigua and Barbuda|Antigua
AI AIA Anguilla
AL ALB Albania|Shqipëria|Albanien
AM ARM Armenia|Armenien|Հայաստան
AO AGO Angola
AQ ATA Antarctica
AR ARG Argentina|Argentinien|Argentine
AS ASM American Samoa|Samoa (American)
AT AUT Austria|Österreich|Oesterreich|Autriche|Republic of Austria|Republik Österreich
AU AUS Australia|Australien|Australie|Commonwealth of Australia
AW ABW Aruba
AX ALA Åland Islands|Aland Islands|Åland|Aland
AZ AZE Azerbaijan|Aserbaidschan|Azərbaycan
BA BIH Bosnia and Herzegovina|Bosnia|Bosna i Hercegovina|Bosnien und Herzegowina|Bosnia-Herzegovina
BB BRB Barbados
BD BGD Bangladesh|Bangladesch|বাংলাদেশ
BE BEL Belgium|België|Belgie|Belgique|Belgien|Bélgica|Belgio
BF BFA Burkina Faso
BG BGR Bulgaria|България|Bulgarien
BH BHR Bahrain|Kingdom of Bahrain|البحرين
BI BDI Burundi
BJ BEN Benin|Bénin
BL BLM Saint Barthélemy|St. Barts|St Barthelemy|St. Barthelemy
BM BMU Bermuda
BN BRN Brunei|Brunei Darussalam
BO BOL Bolivia|Bolivien|Plurinational State of Bolivia|Bolivia, Plurinational State of
BQ BES Bonaire, Sint Eustatius and Saba|Bonaire|Caribbean Netherlands|Caribbean NL
BR BRA Brazil|Brasil|Brasilien|Brésil|Federative Republic of Brazil
BS BHS Bahamas|The Bahamas
BT BTN Bhutan
BV BVT Bouvet Island
BW BWA Botswana
BY BLR Belarus|Weißrussland|Weissrussland|Беларусь
BZ BLZ Belize
CA CAN Canada|Kanada
CC CCK Cocos (Keeling) Islands|Cocos Islands|Keeling Islands
CD COD Democratic Republic of the Congo|DR Congo|DRC|Congo (DRC)|Congo, Democratic Republic of the
  |Congo, the Democratic Republic of the|Congo-Kinshasa|Zaire|Congo (Dem. Rep.)
CF CAF Central African Republic|Central African Rep.
CG COG Congo|Republic of the Congo|Congo-Brazzaville|Congo, Republic of the|Congo (Rep.)
CH CHE Switzerland|Schweiz|Die Schweiz|Suisse|La Suisse|Svizzera|Svizra|Swiss|Suiza|Swiss Confederation|Zwitserland
CI CIV Ivory Coast|Côte d'Ivoire|Cote d'Ivoire|Côte d’Ivoire|Elfenbeinküste
CK COK Cook Islands
CL CHL Chile
CM CMR Cameroon|Cameroun|Kamerun
CN CHN China|People's Republic of China|PRC|P.R. China|PR China|Mainland China|中国|中國|Chine
  |China, People's Republic of
CO COL Colombia|Kolumbien|Colombie
CR CRI Costa Rica
CU CUB Cuba|Kuba
CV CPV Cape Verde|Cabo Verde
CW CUW Curaçao|Curacao
CX CXR Christmas Island
CY CYP Cyprus|Zypern|Κύπρος|Kıbrıs|Chypre
CZ CZE Czech Republic|Czechia|Česko|Cesko|Česká republika|Ceska republika|Tschechien|Tschechische Republik
  |République tchèque
DE DEU Germany|Deutschland|Allemagne|Alemania|Germania|Duitsland|Niemcy|Federal Republic of Germany
  |Bundesrepublik Deutschland|BRD|GER|Alemanha|Tyskland
DJ DJI Djibouti|Dschibuti
DK DNK Denmark|Danmark|Dänemark|Daenemark|Danemark|Dinamarca
DM DMA Dominica
DO DOM Dominican Republic|República Dominicana|Dominikanische Republik
DZ DZA Algeria|Algérie|Algerien|الجزائر
EC ECU Ecuador
EE EST Estonia|Eesti|Estland|Estonie
EG EGY Egypt|Ägypten|Aegypten|Egypte|Égypte|مصر|Arab Republic of Egypt
EH ESH Western Sahara
ER ERI Eritrea
ES ESP Spain|España|Espana|Spanien|Espagne|Spanje|Spagna|Espanha|Kingdom of Spain
ET ETH Ethiopia|Äthiopien|ኢትዮጵያ
FI FIN Finland|Suomi|Finnland|Finlande
FJ FJI Fiji
FK FLK Falkland Islands|Falkland Islands (Malvinas)|Islas Malvinas
FM FSM Micronesia|Federated States of Micronesia|Micronesia, Federated States of
FO FRO Faroe Islands|Faeroe Islands|Føroyar|Färöer
FR FRA France|Frankreich|Francia|Frankrijk|França|Frankrig|French Republic|République française
GA GAB Gabon|Gabun
GB GBR United Kingdom|UK|U.K.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland
  |Vereinigtes Königreich|Großbritannien|Grossbritannien|Royaume-Uni|Reino Unido|Verenigd Koninkrijk|Regno Unito
  |United Kingdom of Great Britain and Northern Ireland|The United Kingdom|G.B.|Britain (UK)
GD GRD Grenada
GE GEO Georgia|Georgien|საქართველო
GF GUF French Guiana|Guyane
GG GGY Guernsey
GH GHA Ghana
GI GIB Gibraltar
GL GRL Greenland|Grønland|Kalaallit Nunaat|Grönland
GM GMB Gambia|The Gambia
GN GIN Guinea|Guinée
GP GLP Guadeloupe
GQ GNQ Equatorial Guinea|Guinea Ecuatorial
GR GRC Greece|EL|Hellas|Ελλάδα|Ελλάς|Ellada|Griechenland|Grèce|Grecia|Hellenic Republic|Griekenland
GS SGS South Georgia and the South Sandwich Islands
GT GTM Guatemala
GU GUM Guam
GW GNB Guinea-Bissau
GY GUY Guyana
HK HKG Hong Kong|Hong Kong SAR|Hongkong|香港|Hong Kong SAR China|Hong Kong, China
HM HMD Heard Island and McDonald Islands
HN HND Honduras
HR HRV Croatia|Hrvatska|Kroatien|Croatie
HT HTI Haiti|Haïti
HU HUN Hungary|Magyarország|Magyarorszag|Ungarn|Hongrie
ID IDN Indonesia|Indonesien
IE IRL Ireland|Éire|Eire|Irland|Republic of Ireland|Irlande|Irlanda|Ierland
IL ISR Israel|ישראל
IM IMN Isle of Man
IN IND India|Bharat|Indien|Inde|भारत|Republic of India
IO IOT British Indian Ocean Territory
IQ IRQ Iraq|Irak|العراق
IR IRN Iran|Islamic Republic of Iran|Iran, Islamic Republic of|ایران
IS ISL Iceland|Ísland|Island|Islande
IT ITA Italy|Italia|Italien|Italie|Italië|Itália|Italian Republic
JE JEY Jersey
JM JAM Jamaica|Jamaika
JO JOR Jordan|Jordanien|الأردن
JP JPN Japan|日本|Nippon|Nihon|Japon|Giappone|日本国
KE KEN Kenya|Kenia
KG KGZ Kyrgyzstan|Kirgisistan|Кыргызстан
KH KHM Cambodia|Kambodscha|កម្ពុជា
KI KIR Kiribati
KM COM Comoros
KN KNA Saint Kitts and Nevis|St. Kitts and Nevis
KP PRK North Korea|Democratic People's Republic of Korea|Korea, Democratic People's Republic of|DPRK|Nordkorea
  |Korea (North)
KR KOR South Korea|Korea|Republic of Korea|Korea, Republic of|Korea, South|대한민국|한국|Südkorea|Suedkorea|Corée du Sud
  |Korea (South)
KW KWT Kuwait|الكويت
KY CYM Cayman Islands
KZ KAZ Kazakhstan|Kasachstan|Қазақстан
LA LAO Laos|Lao People's Democratic Republic|Lao PDR|ລາວ
LB LBN Lebanon|Libanon|Liban|لبنان
LC LCA Saint Lucia|St. Lucia
LI LIE Liechtenstein|Fürstentum Liechtenstein
LK LKA Sri Lanka|ශ්‍රී ලංකාව
LR LBR Liberia
LS LSO Lesotho
LT LTU Lithuania|Lietuva|Litauen|Lituanie
LU LUX Luxembourg|Luxemburg|Lëtzebuerg|Letzebuerg|Grand Duchy of Luxembourg
LV LVA Latvia|Latvija|Lettland|Lettonie
LY LBY Libya|Libyen|ليبيا
MA MAR Morocco|Maroc|Marokko|Marruecos|المغرب
MC MCO Monaco
MD MDA Moldova|Republic of Moldova|Moldova, Republic of|Moldau|Moldawien
ME MNE Montenegro|Crna Gora
MF MAF Saint Martin|Saint-Martin|Saint Martin (French part)|St Martin (French)
MG MDG Madagascar|Madagaskar
MH MHL Marshall Islands
MK MKD North Macedonia|Macedonia|Северна Македонија|Nordmazedonien|Mazedonien|Republic of North Macedonia|FYROM
ML MLI Mali
MM MMR Myanmar|Burma|Myanmar (Burma)|မြန်မာ
MN MNG Mongolia|Mongolei|Монгол|Монгол Улс
MO MAC Macao|Macau|Macao SAR|澳門
MP MNP Northern Mariana Islands
MQ MTQ Martinique
MR MRT Mauritania
MS MSR Montserrat
MT MLT Malta
MU MUS Mauritius|Maurice|Île Maurice
MV MDV Maldives|Malediven
MW MWI Malawi
MX MEX Mexico|México|Mexiko|Mexique|Estados Unidos Mexicanos|Messico
MY MYS Malaysia
MZ MOZ Mozambique|Moçambique|Mosambik
NA NAM Namibia
NC NCL New Caledonia|Nouvelle-Calédonie
NE NER Niger
NF NFK Norfolk Island
NG NGA Nigeria
NI NIC Nicaragua
NL NLD Netherlands|The Netherlands|Nederland|Holland|Niederlande|Die Niederlande|Pays-Bas|Países Bajos
  |Paesi Bassi|Kingdom of the Netherlands|Holanda|Netherlands, The
NO NOR Norway|Norge|Noreg|Norwegen|Norvège|Noruega
NP NPL Nepal|नेपाल
NR NRU Nauru
NU NIU Niue
NZ NZL New Zealand|Aotearoa|Neuseeland|Nouvelle-Zélande
OM OMN Oman|عمان
PA PAN Panama|Panamá
PE PER Peru|Perú
PF PYF French Polynesia|Polynésie française
PG PNG Papua New Guinea
PH PHL Philippines|Pilipinas|Philippinen|The Philippines
PK PAK Pakistan|پاکستان
PL POL Poland|Polska|Polen|Pologne|Polonia|Republic of Poland
PM SPM Saint Pierre and Miquelon|St Pierre and Miquelon
PN PCN Pitcairn|Pitcairn Islands
PR PRI Puerto Rico
PS PSE Palestine|State of Palestine|Palestinian Territories|Palestine, State of|Palestinian Territory
PT PRT Portugal|Portuguese Republic
PW PLW Palau
PY PRY Paraguay
QA QAT Qatar|Katar|قطر
RE REU Réunion|Reunion|La Réunion
RO ROU Romania|România|Rumänien|Rumaenien|Roumanie
RS SRB Serbia|Srbija|Србија|Serbien
RU RUS Russia|Russian Federation|Россия|Russland|Russie
RW RWA Rwanda|Ruanda
SA SAU Saudi Arabia|Kingdom of Saudi Arabia|KSA|Saudi-Arabien|Arabie saoudite|السعودية
SB SLB Solomon Islands
SC SYC Seychelles|Seychellen
SD SDN Sudan
SE SWE Sweden|Sverige|Schweden|Suède|Suecia|Zweden|Kingdom of Sweden
SG SGP Singapore|Singapur|Singapour|新加坡
SH SHN Saint Helena|Saint Helena, Ascension and Tristan da Cunha|St. Helena
SI SVN Slovenia|Slovenija|Slowenien|Slovénie
SJ SJM Svalbard and Jan Mayen
SK SVK Slovakia|Slovensko|Slovak Republic|Slowakei|Slovenská republika|Slovaquie
SL SLE Sierra Leone
SM SMR San Marino
SN SEN Senegal|Sénégal
SO SOM Somalia
SR SUR Suriname|Surinam
SS SSD South Sudan|Südsudan
ST STP São Tomé and Príncipe|Sao Tome and Principe
SV SLV El Salvador
SX SXM Sint Maarten|St. Maarten|Sint Maarten (Dutch part)|St Maarten (Dutch)
SY SYR Syria|Syrian Arab Republic|Syrien|سوريا
SZ SWZ Eswatini|Swaziland|Eswatini (Swaziland)
TC TCA Turks and Caicos Islands|Turks and Caicos Is
TD TCD Chad|Tchad|Tschad
TF ATF French Southern Territories|French S. Terr.
TG TGO Togo
TH THA Thailand|ประเทศไทย|ไทย|Thaïlande
TJ TJK Tajikistan|Tadschikistan|Тоҷикистон
TK TKL Tokelau
TL TLS Timor-Leste|East Timor
TM TKM Turkmenistan
TN TUN Tunisia|Tunisie|Tunesien|تونس
TO TON Tonga
TR TUR Turkey|Türkiye|Turkiye|Türkei|Tuerkei|Turquie|Turquía|Republic of Türkiye
TT TTO Trinidad and Tobago|Trinidad|Trinidad & Tobago
TV TUV Tuvalu
TW TWN Taiwan|台灣|臺灣|台湾|Taiwan, Province of China|Republic of China|Taiwan, ROC
TZ TZA Tanzania|United Republic of Tanzania|Tanzania, United Republic of|Tansania
UA UKR Ukraine|Україна|Украина|Ukraina
UG UGA Uganda
UM UMI United States Minor Outlying Islands|U.S. Minor Outlying Islands
US USA United States|United States of America|U.S.|U.S.A.|America|The United States|Vereinigte Staaten
  |Vereinigte Staaten von Amerika|États-Unis|Etats-Unis|Estados Unidos|Stati Uniti|Verenigde Staten|EE. UU.|EEUU
  |US of A|United States (USA)
UY URY Uruguay
UZ UZB Uzbekistan|Usbekistan|Oʻzbekiston|O'zbekiston|Ўзбекистон
VA VAT Vatican City|Holy See|Vatican|Holy See (Vatican City State)
VC VCT Saint Vincent and the Grenadines|St. Vincent and the Grenadines|St Vincent
VE VEN Venezuela|Bolivarian Republic of Venezuela|Venezuela, Bolivarian Republic of
VG VGB British Virgin Islands|Virgin Islands, British|Virgin Islands (British)|Virgin Islands (UK)
VI VIR U.S. Virgin Islands|US Virgin Islands|Virgin Islands, U.S.|Virgin Islands (U.S.)
VN VNM Vietnam|Viet Nam|Việt Nam
VU VUT Vanuatu
WF WLF Wallis and Futuna
WS WSM Samoa|Samoa (western)
XK XKX Kosovo|Kosova
YE YEM Yemen|Jemen|اليمن
YT MYT Mayotte
ZA ZAF South Africa|Südafrika|Suedafrika|Suid-Afrika|RSA|Afrique du Sud|Republic of South Africa
ZM ZMB Zambia|Sambia
ZW ZWE Zimbabwe|Simbabwe
"""

_LANGUAGE_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv "
    "dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie "
    "ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv "
    "mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm "
    "rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts "
    "tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)

_LANGUAGE_NAMES = """
ar Arabic|العربية|ara|Arabisch
bg Bulgarian|bul|Български
ca Catalan|Català|cat
cs Czech|Čeština|Cestina|ces|cze|Tschechisch
da Danish|Dansk|dan|Dänisch
de German|Deutsch|deu|ger|Allemand|Alemán|Tedesco
el Greek|Ελληνικά|ell|gre
en English|eng|Englisch|Anglais|Inglés|Inglese|English (US)|English (UK)
es Spanish|Español|Espanol|spa|Spanisch|Espagnol|Castellano
et Estonian|Eesti|est
eu Basque|Euskara|eus
fa Persian|Farsi|fas
fi Finnish|Suomi|fin|Finnisch
fr French|Français|Francais|fra|fre|Französisch|Francés
ga Irish|Gaeilge|gle
he Hebrew|עברית|heb|iw
hi Hindi|हिन्दी|hin
hr Croatian|Hrvatski|hrv
hu Hungarian|Magyar|hun|Ungarisch
id Indonesian|Bahasa Indonesia|ind|in
is Icelandic|Íslenska|isl
it Italian|Italiano|ita|Italienisch|Italien
ja Japanese|日本語|jpn|Japanisch
ko Korean|한국어|kor
lt Lithuanian|Lietuvių|lit
lv Latvian|Latviešu|lav
ms Malay|Bahasa Melayu|msa
nl Dutch|Nederlands|nld|dut|Flemish|Niederländisch|Vlaams
no Norwegian|Norsk|nor
nb Norwegian Bokmål|Bokmål|nob
pl Polish|Polski|pol|Polnisch
pt Portuguese|Português|Portugues|por|Portugiesisch
ro Romanian|Română|Romana|ron|rum|Rumänisch
ru Russian|Русский|rus|Russisch
sk Slovak|Slovenčina|slk
sl Slovenian|Slovenščina|slv|Slovene
sr Serbian|Српски|srp|Srpski
sv Swedish|Svenska|swe|Schwedisch
th Thai|ไทย|tha
tl Tagalog|Filipino|fil
tr Turkish|Türkçe|Turkce|tur|Türkisch
uk Ukrainian|Українська|ukr
vi Vietnamese|Tiếng Việt|vie
zh Chinese|中文|zho|chi|Mandarin|Chinesisch|Simplified Chinese|Traditional Chinese|Chinese (Simplified)
  |Chinese (Traditional)
"""

_SPACES = re.compile(r"[\s.]+")


def _key(text: str) -> str:
    """Spelling apart from case, accents, dots and spaces: ``U. K.``, ``uk`` and ``UK`` are one."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(c for c in folded if unicodedata.category(c) != "Mn").replace("’", "'").replace("&", "and")
    return _SPACES.sub("", bare)


def _lines(table: str) -> list[str]:
    """An indented line goes on with the line above."""
    return table.strip().replace("\n  ", "").splitlines()


def _countries() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in _lines(_TABLE):
        alpha2, alpha3, names = line.split(" ", 2)
        for spelling in (alpha2, alpha3, *names.split("|")):
            known = found.setdefault(_key(spelling), alpha2)
            assert known == alpha2, f"{spelling} is both {known} and {alpha2}"
    return MappingProxyType(found)


def _languages() -> Mapping[str, str]:
    found = {code: code for code in _LANGUAGE_CODES.split()}
    for line in _lines(_LANGUAGE_NAMES):
        code, names = line.split(" ", 1)
        for name in names.split("|"):
            known = found.setdefault(_key(name), code)
            assert known == code, f"{name} is both {known} and {code}"
    return MappingProxyType(found)


COUNTRIES: Mapping[str, str] = _countries()
"""Folded spelling -> alpha-2."""

LANGUAGES: Mapping[str, str] = _languages()
"""Folded spelling -> ISO 639-1."""


def country_code(text: str) -> str:
    """``Deutschland``, ``DEU``, ``de`` -> ``DE``; ``UK`` -> ``GB``. ValueError for what is in no table."""
    code = COUNTRIES.get(_key(text))
    if code is None:
        raise ValueError("not a country in any known spelling")
    return code


def language_code(text: str) -> str:
    """``en``, ``en-US``, ``English`` -> ``en``. ValueError for what is in no table."""
    code = LANGUAGES.get(_key(text)) or LANGUAGES.get(re.split(r"[-_]", text.strip().casefold(), maxsplit=1)[0])
    if code is None:
        raise ValueError("not a language in any known spelling")
    return code
