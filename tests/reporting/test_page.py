"""The page: well-formed, self-contained, complete, and the same numbers as its tables."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jinja2 import UndefinedError

from contrastive_age.reporting import figures, page, published, wording
from contrastive_age.reporting.groups import Evidence
from contrastive_age.reporting.pictures import Picture
from contrastive_age.reporting.results import Measured
from contrastive_age.reporting.sections import SECTIONS
from contrastive_age.reporting.sections.section import LOSSES, Column, Layout, Section
from reporting.runs import PAPERS, evidence

MakeRun = Callable[..., Measured]

VOID = {"meta", "img", "br"}
INVISIBLE = {"style", "title", "script"}
SELECTION = {
    "protocol": "fgnet_se",
    "candidates": {"mv-1": {}, "binary-2": {}},
    "by_fold": [{"fold": 0, "chosen": "mv-1", "validation_mae": {"mv-1": 4.0, "binary-2": 4.5}}],
    "mae": 4.87,
    "mae_interval": [4.5, 5.4],
}
AUDIT = {
    "n": 1002,
    "identities": 82,
    "age_bins": {"0-19": 710, "20-39": 223, "40-59": 61, "60+": 8},
    "manifest_hash": "abcd" * 16,
}


class Reader(HTMLParser):
    """Reads a page strictly: every element is closed, and in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not INVISIBLE & set(self.open):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        """What a reader sees, with single blanks."""
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def full_tables(several: list[Measured]) -> Tables:
    return page.tables(evidence(several, audits={"fgnet": AUDIT}, selections=[SELECTION]))


@pytest.fixture(scope="module")
def bare_tables() -> Tables:
    return page.tables(evidence([]))


@pytest.fixture(scope="module")
def full(several: list[Measured], full_tables: Tables) -> str:
    chosen = several[0].predictions.head(6)
    sheet = figures.face_sheet(
        np.zeros((6, 8, 8, 3), dtype=np.uint8), chosen["age"], chosen["predicted_age"], n_worst=2
    )
    pictures = {"figure_2": [Picture.of(sheet, "Examples <b>", 'Six "faces"', photos=True)]}
    return page.render(full_tables, PAPERS, pictures, {"Made on": "2026-11-25"})


@pytest.fixture(scope="module")
def bare(bare_tables: Tables) -> str:
    return page.render(bare_tables, PAPERS)


@pytest.fixture(params=["full", "bare"])
def html(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def test_the_page_is_well_formed_and_in_english(html: str) -> None:
    reader = Reader(html)
    assert html.lstrip().startswith("<!DOCTYPE html>")
    assert reader.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in reader.all(
        "meta"
    )


def test_nothing_is_fetched_from_elsewhere(html: str) -> None:
    reader = Reader(html)
    assert not {"link", "iframe", "object"} & {tag for tag, _ in reader.elements}
    assert reader.all("script") == [{}]
    for _, attributes in reader.elements:
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;")
        assert (attributes.get("href") or "#").startswith("#")
    styles = re.sub(r"data:image/png;base64,[\w+/=]+", "", html)
    assert not re.search(r"https?:|url\(|@import|import\(|fetch|src=\"/|href=\"/", styles)


def test_links_lead_to_the_sections_in_their_order(html: str) -> None:
    reader = Reader(html)
    anchors = [section["id"] for section in reader.all("section")]
    links = [str(link["href"]).removeprefix("#") for link in reader.all("a")]
    assert links[: len(anchors) + 1] == [anchors[0], *anchors]
    assert len(set(anchors)) == len(anchors)
    # methods of others, and changes of the recipe, stand there where any was run
    methods = ["methods"] if "ordinal_entropy" in html else []
    methods += ["recipe"] if "Changes of the recipe" in html else []
    assert len(anchors) == len(SECTIONS) - 1 + len(methods)
    assert anchors[:3] == ["your-runs", "sweeps", "comparisons"]
    assert anchors[3:][: 2 + len(methods)] == [*methods, "summary", "table-1"]


def test_every_link_leads_to_a_place_of_its_own(full: str) -> None:
    reader = Reader(full)
    places = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(places)) == len(places)
    links = {str(link["href"]).removeprefix("#") for link in reader.all("a")}
    assert links <= set(places)
    assert {place for place in places if str(place).startswith("fgnet_se-")} <= links


def test_headings_are_in_order(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(html).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_pictures_and_tables_say_what_they_are(html: str) -> None:
    reader = Reader(html)
    assert all(picture["alt"] for picture in reader.all("img"))
    assert len(reader.all("caption")) == len(reader.all("table")) > 5
    for tag, attributes in reader.elements:
        if tag == "th":
            assert attributes["scope"] in {"row", "col"}


def test_every_row_of_a_table_has_as_many_cells_as_columns(html: str) -> None:
    for table in Reader(html).tables:
        assert {len(row) for row in table} == {len(table[0])}


def test_no_cell_holds_what_is_missing_and_footnotes_have_their_mark(full: str, bare: str) -> None:
    for page_of in (full, bare):
        reader = Reader(page_of)
        cells = [cell for table in reader.tables for row in table for cell in row]
        assert not [cell for cell in cells if re.search(r"\b(nan|None|NaT)\b", str(cell))]
        assert "†" in " ".join(map(str, cells))


def test_every_published_number_is_on_the_page(html: str) -> None:
    words = set(re.findall(r"[\d.,]*\d", Reader(html).text))
    for number in range(1, 7):
        for value in published.table(number)["value"]:
            assert (f"{value:,.0f}" if number == 1 else f"{value:.2f}") in words


def test_every_measurement_is_shown_with_its_interval(full: str, several: list[Measured]) -> None:
    text = Reader(full).text
    for group in evidence(several).groups:
        cell = group.columns
        ends = wording.interval(cell["mae_low"], cell["mae_high"])
        assert ends
        assert f"{cell['mae']:.2f} {ends}" in text or f"{cell['mae']:.2f}{ends}" in text


def test_runs_budget_and_data_are_told(full: str, several: list[Measured]) -> None:
    text = Reader(full).text
    for run in several:
        assert run.key in text
    assert "MLflow run1" in text
    assert "48 px, 8 epochs, one-cycle, shared triplets" in text
    assert "60 images, 12 subjects, 3 folds, manifest 1a2b3c4d" in text
    assert "not ImageNet" in text
    assert "drawn faces" in text


def test_what_was_not_run_has_the_command_that_would(html: str) -> None:
    text = Reader(html).text
    assert "kedro run --pipeline=fgnet_lopo --params=setting=kld_ternary" in text
    assert "kedro sweep --preset=fig3a" in text


def test_nothing_run_is_said_in_every_section(bare: str) -> None:
    text = Reader(bare).text
    assert "Nothing has been run yet" in text
    assert text.count("Nothing has been measured yet") == 10
    assert "kedro run --env=demo --pipeline=synthetic_se" in text
    assert "Nothing was chosen" in text
    assert "cells of Table 6 measured from ImageNet weights 0 of 21" in text


def test_the_summary_tells_the_verdict_and_its_limits(full: str) -> None:
    text = Reader(full).text
    assert re.search(
        r"Compared with MV on the same images, over subjects and networks: \d+ better, \d+ worse",
        text,
    )
    assert "Drawn faces: 1 of 17 settings" in text
    assert "Pre-trained on faces (F): 4 of 17 settings" in text
    assert "resnet18_imagenet_partial.pth (not ImageNet)" in text


def test_a_stand_in_is_in_no_column_of_imagenet(make_run: MakeRun, small: dict[str, Any]) -> None:
    tables = page.tables(evidence([make_run("morph_se", "binary", budget=small, off=1.25)]))
    reader = Reader(page.render(tables, PAPERS))
    (table,) = [table for table in reader.tables if "SE(I)" in table[0]]
    heads = [" ".join(head.split()) for head in table[0]]
    (row,) = [row for row in table if "Ours (binary loss)" in row[0]]
    cells = dict(zip(heads, row, strict=True))
    assert "not run" in cells["Measured here, ImageNet start"]
    assert "1.25" not in cells["Measured here, ImageNet start"]
    assert "1.25" in cells["Measured here, other start"]


def test_what_was_pretrained_on_faces_has_a_column_of_its_own(
    make_run: MakeRun, faces: dict[str, Any], small: dict[str, Any]
) -> None:
    runs = [
        make_run("morph_se", "binary", off=1.25, external=faces),
        make_run("morph_se", "binary", off=1.5, budget=small),
        make_run("morph_se", "binary", off=1.75),
    ]
    reader = Reader(page.render(page.tables(evidence(runs)), PAPERS))
    (table,) = [table for table in reader.tables if "SE(I)" in table[0]]
    heads = [" ".join(head.split()) for head in table[0]]
    (row,) = [row for row in table if "Ours (binary loss)" in row[0]]
    cells = dict(zip(heads, row, strict=True))
    columns = {
        "Measured here, ImageNet start": "1.75",
        "Measured here, SE(F): faces": "1.25",
        "Measured here, other start": "1.50",
    }
    for column, value in columns.items():
        assert [mae for mae in columns.values() if mae in cells[column]] == [value]
    own = cells["Measured here, SE(F): faces"]
    assert "pre-trained on faces (F)" in own
    assert "before: UTKFace, 11,672 images, 18 epochs, 64 px" in own
    assert "not ImageNet" not in own
    assert (cells["SE(I)"].strip(), cells["SE(F)"].strip()) == ("2.43", "")


def test_what_was_pretrained_on_faces_is_apart_in_every_section(
    make_run: MakeRun, faces: dict[str, Any], small: dict[str, Any]
) -> None:
    plain = [make_run("fgnet_se", setting, off=off, budget=small) for setting, off in MV_AND_CE]
    runs = [make_run("fgnet_se", s, off=off + 0.25, external=faces) for s, off in MV_AND_CE]
    html = page.render(page.tables(evidence([*plain, *runs])), PAPERS)
    starts = {True: ["9.25", "7.25", runs[0].key], False: ["9.00", "7.00", plain[0].key]}
    found = []
    for section in sections(html):
        for part in re.findall(r'<details class="part".*?</details>', section, flags=re.DOTALL):
            marked = "pre-trained on faces (F)" in part.partition("</summary>")[0]
            assert not [word for word in starts[not marked] if word in part]
            found.append((section.partition("</h2>")[0], marked))
    titles = dict.fromkeys(title for title, _ in found)
    assert found == [(title, marked) for title in titles for marked in (False, True)]
    assert len(titles) == 7
    by_title = {section.partition("</h2>")[0]: section for section in sections(html)}
    for title in ("Beside the paper", "Table 5: variance within an identity", "Table 6: losses"):
        assert "9.00" in by_title[title] or title.startswith("Table 5")
        assert "9.25" not in by_title[title]
        assert "7.25" not in by_title[title]
    faces_section = by_title["Pre-trained on faces (F)"]
    assert "9.25" in faces_section
    assert "7.25" in faces_section
    assert "non-commercial research only" in faces_section
    assert "9.00" not in faces_section
    assert "7.00" not in faces_section


MV_AND_CE = (("mv", 9.0), ("ce", 7.0))


def sections(html: str) -> list[str]:
    """The page's sections from their titles on."""
    return html.split("<h2>")[1:]


def summary(known: Evidence) -> tuple[list[str], list[list[str]]]:
    """What stands on top of the page: the sentences, and the headline's rows without its heads."""
    top = page.render(page.tables(known), PAPERS).partition('<section id="table-1">')[0]
    top = top[top.index('<section id="summary">') :]
    sentences = re.findall(r"<li>(.*?)</li>", top.replace("\n", " "))
    reader = Reader(top)
    rows = [row for table in reader.tables for row in table[1:]]
    assert len(sentences) == len(reader.all("li"))
    return [" ".join(text.split()) for text in sentences], rows


def test_comparisons_of_networks_pretrained_on_faces_are_counted_apart(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    runs = [
        make_run(setting=setting, seed=seed, off=off, **start)
        for start, differing in (({}, 3.0), ({"external": faces}, 1.0))
        for setting, off in (("mv", 2.0), ("ce", differing))
        for seed in (0, 1)
    ]
    runs += [make_run(setting=name, off=4.0) for name in ("kld", "triplet")]
    sentences, _ = summary(evidence(runs))
    assert sentences[0] == (
        "Compared with MV on the same images, over subjects and networks: 0 better, 1 worse, 0 "
        "with no difference shown, 2 that cannot be told from one seed. 1 comparison has a "
        "verdict; where all settings of a table are equal, anything is claimed in at most about "
        "one case of twenty (Holm)."
    )
    assert sentences[1].startswith("Pre-trained on faces (F), counted apart. Compared with MV")
    assert (
        "1 better, 0 worse, 0 with no difference shown. 1 comparison has a verdict" in sentences[1]
    )


def test_settings_that_a_constant_beats_are_counted(make_run: MakeRun) -> None:
    runs = [make_run(setting="mv", off=2.0), make_run(setting="ce", off=12.0)]
    said = "No better than a constant, the training median: 1 of 2 settings"
    assert said in Reader(page.render(page.tables(evidence(runs)), PAPERS)).text
    html = page.render(page.tables(evidence(runs[:1])), PAPERS)
    assert "No better than a constant" not in html
    assert "not beaten" not in html


def test_what_tells_nothing_is_no_comparison_made(make_run: MakeRun) -> None:
    sentences, _ = summary(evidence([make_run(setting=name) for name in ("mv", "ce")]))
    assert sentences[0].endswith("1 that cannot be told from one seed.")


def test_each_comparison_says_what_it_could_have_seen_or_why_it_tells_nothing(
    full: str, full_tables: Tables
) -> None:
    by_title = {section.partition("</h2>")[0]: section for section in sections(full)}
    shown = by_title["Settings compared"]
    table = full_tables["comparisons"]
    told = table["detectable"].dropna()
    assert len(told) > 0
    for value in told:
        assert f"could have seen {wording.number(value)} years\nbefore Holm" in shown
    assert shown.count("could have seen") == len(told)
    assert shown.count("cannot be told from one seed") == table["difference"].notna().sum() - len(
        told
    )


def test_only_faces_leave_the_headline_and_table_6_empty(
    make_run: MakeRun, faces: dict[str, Any]
) -> None:
    runs = [make_run("morph_se", s, external=faces) for s in ("mv", "binary", "ternary", "kld")]
    known = evidence(runs)
    sentences, headline = summary(known)
    assert headline == []
    html = page.render(page.tables(known), PAPERS)
    assert "cells of Table 6 measured from ImageNet weights 0 of 21" in Reader(html).text
    assert sentences[0].startswith("No setting can be compared with MV yet")


def test_the_text_explains_what_f_is(html: str) -> None:
    text = Reader(html).text
    assert text.count("(I) is pre-training on ImageNet, (F) on faces. What was measured here") == 3
    assert "Networks that were pre-trained on faces (F) are not in this table" in text


def test_examples_of_networks_pretrained_on_faces_are_in_their_section(
    full_tables: Tables,
) -> None:
    drawn = Picture(bytes(24), "Examples, marked", "Examples")
    html = page.render(full_tables, PAPERS, {"on_faces": [drawn]})
    by_title = {section.partition("</h2>")[0]: section for section in sections(html)}
    assert "Examples, marked" in by_title["Pre-trained on faces (F)"]
    assert "No examples were drawn" in by_title["Fig. 2: examples"]
    assert html.count("Examples, marked") == 1


def test_the_minimum_of_figure_3_is_told_in_words(html: str) -> None:
    assert "λc = 10 and λt = 1, 2.37 years on MORPH II" in Reader(html).text.replace("\xa0", " ")


def test_what_was_chosen_on_validation_is_told(full: str) -> None:
    text = Reader(full).text
    assert "mv-1, binary-2" in text
    assert "4.87 years [4.50, 5.40]" in text


def test_photographs_are_warned_of(full: str, bare: str) -> None:
    assert "photographs of people" in full
    assert "photographs of people" not in bare


def test_text_from_outside_is_escaped(full: str) -> None:
    assert "Examples &lt;b&gt;" in full
    assert "Six &#34;faces&#34;" in full


def test_names_from_data_are_shown_as_they_are(make_run: MakeRun) -> None:
    name = "{{ 7 * 7 }} <i>"
    numbers = {"n": 60, "subjects": 12, "mae": 4.0, "mae_low": 3.0, "mae_high": 5.0, "bias": 0.0}
    run = make_run(groups={"race": [{"group": name, **numbers}]})
    html = page.render(page.tables(evidence([run])), PAPERS)
    assert Reader(html).text.count(name) == 1
    assert "{{ 7 * 7 }} &lt;i&gt;" in html


def test_the_tables_have_names_and_can_be_written(full_tables: Tables) -> None:
    assert list(full_tables)[:5] == [
        *["your_runs", "curves", "comparisons", "methods", "recipe"],
    ]
    assert {f"table_{number}" for number in range(1, 7)} < full_tables.keys()
    for name, table in full_tables.items():
        assert re.fullmatch(r"\w+", name)
        assert len(table) or name == "recipe"  # of which nothing was run there
        assert table.to_csv(index=False).count("\n") > len(table)


def test_with_nothing_run_tables_keep_their_columns(
    full_tables: Tables, bare_tables: Tables
) -> None:
    assert {name: list(table) for name, table in bare_tables.items()} == {
        name: list(table) for name, table in full_tables.items()
    }


def test_the_headline_holds_each_family_with_its_verdict(make_run: MakeRun) -> None:
    runs = [
        make_run("morph_se", setting, seed, off=off)
        for setting, off in (("mv", 3.0), ("ternary", 2.0))
        for seed in (0, 1)
    ]
    runs.append(make_run("morph_se", "binary", off=1.0))
    runs.append(make_run("fgnet_lopo", "binary"))
    _, (fgnet, morph) = summary(evidence(runs))
    assert fgnet[1] == "not run"
    assert morph[1].startswith("3.00")
    assert morph[2] == "−2.00cannot be told from one seed"
    assert morph[3] == "−1.00[−1.00, −1.00]\nbetter\ncould have seen 0.00 years\nbefore Holm"
    assert '<span class="better">−1.00</span>' in page.render(page.tables(evidence(runs)), PAPERS)


def test_a_section_is_its_words_its_table_and_a_line_of_the_list(
    monkeypatch: pytest.MonkeyPatch, several: list[Measured]
) -> None:
    oldest = Section(
        "oldest",
        "The oldest <of all>",
        ("Old faces are hard, whatever λ_c is.",),
        "oldest",
        lambda known: known.table(["age"], lambda run: [{"age": run.predictions["age"].max()}]),
        (Layout("Years of {{ protocol }}.", (LOSSES, Column("Age", "{{ age | number }}"))),),
    )
    monkeypatch.setattr(page, "SECTIONS", (*SECTIONS, oldest))
    tables = page.tables(evidence(several))
    assert tables["oldest"]["age"].unique().tolist() == [63]
    html = page.render(tables, PAPERS)
    reader = Reader(html)
    assert {"href": "#oldest"} in reader.all("a")
    section = sections(html)[-1]
    assert section.startswith("The oldest &lt;of all&gt;</h2>")
    assert "<p>Old faces are hard, whatever λ<sub>c</sub> is.</p>" in section
    assert reader.tables[-1][0] == ["Setting", "Age"]
    assert {row[1] for row in reader.tables[-1][1:]} == {"63.00"}
    assert (
        page.render(page.tables(evidence([])), PAPERS).count("Nothing has been measured yet") == 11
    )


def test_a_cell_of_a_column_that_no_table_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, several: list[Measured]
) -> None:
    wrong = Section(
        "wrong",
        "Wrong",
        (),
        "wrong",
        lambda known: known.table([], lambda _: [{}]),
        (Layout("Wrong.", (LOSSES, Column("Age", "{{ aeg | number }}"))),),
    )
    monkeypatch.setattr(page, "SECTIONS", (*SECTIONS, wrong))
    with pytest.raises(UndefinedError, match="'aeg' is undefined"):
        page.render(page.tables(evidence(several)), PAPERS)


def test_the_order_of_runs_changes_nothing(several: list[Measured], full_tables: Tables) -> None:
    known = evidence(several[::-1], audits={"fgnet": AUDIT}, selections=[SELECTION])
    tables = page.tables(known)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, full_tables[name])
