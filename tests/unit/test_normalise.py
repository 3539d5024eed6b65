"""CRM values in their canonical form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import normalise
from connectors.countries import COUNTRIES, country_code, language_code
from connectors.fields import Convert, FactField
from connectors.normalise import converter, moments, to_moment
from connectors.records import FieldKind, Scalar
from scoring.countries import codes


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Deutschland", "DE"),
        ("GERMANY", "DE"),
        ("deu", "DE"),
        ("de", "DE"),
        ("UK", "GB"),
        ("U.K.", "GB"),
        ("England", "GB"),
        ("EL", "GR"),
        ("Ελλάδα", "GR"),
        ("United States of America", "US"),
        ("u. s. a.", "US"),
        ("Österreich", "AT"),
        ("Oesterreich", "AT"),
        ("  Côte d’Ivoire ", "CI"),
        ("Korea, Republic of", "KR"),
        ("Türkiye", "TR"),
        ("日本", "JP"),
        ("Holland", "NL"),
        ("ČESKO", "CZ"),
        ("Trinidad & Tobago", "TT"),
        ("الإمارات", "AE"),
        ("বাংলাদেশ", "BD"),
        ("Kıbrıs", "CY"),
    ],
)
def test_countries_in_any_spelling(text: str, code: str) -> None:
    assert country_code(text) == code


def test_every_name_of_the_time_zone_database_is_known() -> None:
    """Countries have other English names there: ``Korea (South)``, ``Turks & Caicos Is``."""
    assert {name: country_code(name) for name in codes().values()} == {name: code for code, name in codes().items()}


@pytest.mark.parametrize("text", ["Atlantis", "Bavaria", "", "D", "unknown"])
def test_what_is_no_country_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a country"):
        country_code(text)


def test_every_code_names_itself() -> None:
    found = set(COUNTRIES.values())
    assert len(found) == 250  # ISO 3166-1 and Kosovo
    assert all(country_code(code) == code for code in found)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("German", "de"),
        ("Français", "fr"),
        ("zh-tw", "zh"),
        ("iw", "he"),
    ],
)
def test_languages_in_any_spelling(text: str, code: str) -> None:
    assert language_code(text) == code


def test_what_is_no_language_is_refused() -> None:
    with pytest.raises(ValueError, match="not a language"):
        language_code("Klingon")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("acme.com", "acme.com"),
        ("https://www.Acme.com:443/about?x=1#y", "acme.com"),
        ("HTTP://acme.co.uk/", "acme.co.uk"),
        ("//acme.com", "acme.com"),
        ("acme.com.", "acme.com"),
        ("www.acme.com/path", "acme.com"),
        ("user:pw@acme.com", "acme.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_domains_from_web_addresses(text: str, host: str) -> None:
    assert normalise.domain(text) == host


@pytest.mark.parametrize("text", ["acme", "not a domain", "n/a", "http://", "-", "[::1", "localhost", "a..b"])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a domain"):
        normalise.domain(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Ana@Example.COM ", "ana@example.com"),
        ("JOSE\u0301@x.es", "jos\u00e9@x.es"),
        ("a+b.c@x.com", "a+b.c@x.com"),
        ("", None),
        ("   ", None),
        (None, None),
    ],
)
def test_addresses_are_trimmed_lowered_and_composed(text: str | None, address: str | None) -> None:
    assert normalise.email(text) == address


@given(st.text())
def test_an_address_is_normal_after_once(text: str) -> None:
    once = normalise.email(text)
    assert normalise.email(once) == once


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600Z"),
        ("2026-01-02T03:04:05.678000+0000", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05.000+0000", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000Z"),
        ("1767323045678", "2026-01-02T03:04:05.678Z"),
        (1767323045678, "2026-01-02T03:04:05.678Z"),
        ("2026-01-02", "2026-01-02"),
    ],
)
def test_moments_in_any_form_crms_use(value: Scalar, text: str) -> None:
    assert normalise.moment(value) == text


@pytest.mark.parametrize(
    "value", ["soon", "", "2026-13-01", "20260102", "99999999999999999999", True, "2026-02-30T00:00:00Z"]
)
def test_what_is_no_moment_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match="date"):
        normalise.instant(value)


SPELLINGS = st.sampled_from(
    [
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05+02:00",
        "2026-01-02T03:04:05",
        "1767323045678",
        "2026-01-02",
        None,
    ]
)


@given(st.lists(SPELLINGS | st.sampled_from(["", "soon", "20260102"])))
def test_a_column_of_instants_is_each_of_them(texts: list[str | None]) -> None:
    try:
        expected = [normalise.instant(text) if text else None for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="date"):
            normalise.instants(texts)
    else:
        assert normalise.instants(texts) == expected


TYPED = ["12", "0", "007", "3.9", "1e3", "", "-4", "٣", "²", "many"]  # digits of other scripts


@given(st.lists(st.sampled_from(TYPED)))
def test_a_column_of_whole_numbers_is_each_of_them(texts: list[str]) -> None:
    try:
        expected = [int(normalise.number(text)) for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="number"):
            normalise.whole_numbers(texts)
    else:
        assert normalise.whole_numbers(texts) == expected


@given(st.lists(st.sampled_from([" Acme ", "Acme", "  ", "", None])), st.sampled_from(["", "list", "number"]))
def test_a_column_of_facts_is_each_of_them(texts: list[str | None], type: str) -> None:
    convert = converter(fact(type=type) if type else fact())
    try:
        expected = [convert(text) if text else None for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="number"):
            normalise.converted(convert, texts)
    else:
        assert normalise.converted(convert, texts) == expected


def test_a_column_with_a_text_nobody_can_want_is_refused() -> None:
    with pytest.raises(ValueError, match="characters"):
        normalise.converted(converter(fact()), ["Acme", "x" * 10_001])


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_an_instant_survives_its_text(at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert normalise.instant(normalise.instant_text(at)) == at


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("17", 17),
        (" 17.0 ", 17),
        ("0.5", 0.5),
        ("-3", -3),
        (2.0, 2),
        (7, 7),
        ("1e3", 1000),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_numbers(value: Scalar, number: float) -> None:
    assert normalise.number(value) == number
    assert isinstance(normalise.number(value), type(number))


@pytest.mark.parametrize("value", ["", "many", "1,000", "nan", "inf", "1_000", True, float("nan")])
def test_what_is_no_number_is_refused(value: Scalar) -> None:
    with pytest.raises(ValueError, match="number"):
        normalise.number(value)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("00Q5g00000AbCdE", "00Q5g00000AbCdEEAV"),
        ("00Q5g00000AbCdEEAV", "00Q5g00000AbCdEEAV"),
        ("00Q5g00000AbCdEeav", "00Q5g00000AbCdEEAV"),
        ("001000000000000", "001000000000000AAA"),
    ],
)
def test_salesforce_ids_are_told_in_eighteen_characters(short: str, long: str) -> None:
    assert normalise.salesforce_id(short) == long


@pytest.mark.parametrize("text", ["", "00Q", "00Q5g00000AbCd!", "00Q5g00000AbCdEEA"])
def test_what_is_no_salesforce_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Salesforce id"):
        normalise.salesforce_id(text)


def fact(**more: object) -> FactField:
    return FactField(fact="person.custom.x", property="x", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "kind", "value", "expected"),
    [
        (fact(), None, " CTO ", "CTO"),
        (fact(), None, "  ", None),
        (fact(), FieldKind.NUMBER, "12", 12),
        (fact(), FieldKind.NUMBER, "", None),
        (fact(), FieldKind.BOOLEAN, "false", False),
        (fact(), FieldKind.DATETIME, "1767323045678", "2026-01-02T03:04:05.678Z"),
        (fact(), FieldKind.TEXT, "12", "12"),
        (fact(type="number"), FieldKind.TEXT, "12", 12),
        (fact(type="text"), FieldKind.NUMBER, "0012", "0012"),
        (fact(convert=Convert.COUNTRY), None, "Suisse", "CH"),
        (fact(convert=Convert.COUNTRY), None, "", None),
        (fact(convert=Convert.IS_SET), FieldKind.PICKLIST, "UNKNOWN_USER", True),
        (fact(convert=Convert.IS_SET), FieldKind.DATETIME, " ", None),
        (fact(convert=Convert.OWNER), None, " 12 ", "12"),
        (fact(convert=Convert.DOMAIN), None, "http://acme.com", "acme.com"),
        (fact(values={"A B": "ab"}), None, "A B", "ab"),
        (fact(values={"A B": "ab"}), None, "a  b", "ab"),
        (fact(values={"A B": "ab"}), None, "other", "other"),
        (fact(true_when=("Customer", "Partner")), None, "partner ", True),
        (fact(true_when=("Customer",)), None, "Prospect", False),
        (fact(true_when=("Customer",)), None, "", None),
        (fact(true_when=("true",)), FieldKind.BOOLEAN, True, True),
    ],
)
def test_a_property_becomes_its_fact(
    field: FactField, kind: FieldKind | None, value: Scalar, expected: Scalar | None
) -> None:
    convert = converter(field, kind)
    for _ in range(2):  # the second time from memory
        found = convert(value)
        assert found == expected
        assert type(found) is type(expected)


def test_a_bad_value_is_refused_each_time_it_is_met() -> None:
    convert = converter(fact(convert=Convert.COUNTRY))
    for _ in range(2):
        with pytest.raises(ValueError, match="country"):
            convert("Atlantis")


def test_what_is_equal_in_python_and_not_in_a_crm_is_told_apart() -> None:
    convert = converter(fact(type="list"))
    assert [convert(value) for value in (True, 1, "1", 1.0, True)] == ["true", "1", "1", "1", "true"]


def test_what_is_remembered_stays_small_and_right() -> None:
    convert = converter(fact(values={"x": "y"}))
    assert all(convert(f"value {n}") == f"value {n}" for n in range(10_000))
    assert convert("x") == "y"


REST = st.datetimes(timezones=st.just(UTC)).map(
    lambda at: at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "+0000"
)
ODD = st.sampled_from(
    [None, "", " ", "2026-05-06", "2026-05-06 07:08:09.000+0000", "20260506T070809.000000+00:00", 1767225600000]
)


@given(st.one_of(st.lists(REST), st.lists(st.one_of(REST, ODD))))
def test_a_column_of_moments_is_what_its_values_are(column: list[Any]) -> None:
    assert moments(column) == [None if value is None else to_moment(value) for value in column]


@pytest.mark.parametrize("odd", ["2026-13-06T07:08:09.000+0000", "2026-05-06T07:08:09.00x+0000", "x" * 28])
def test_a_column_of_moments_with_one_that_is_none_is_refused(odd: str) -> None:
    with pytest.raises(ValueError, match="date"):
        moments(["2026-05-06T07:08:09.000+0000", odd])
