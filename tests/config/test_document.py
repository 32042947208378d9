"""YAML as people read it: numbers, words, places, and everything that is refused."""

import math
import os
from pathlib import Path

import pytest
from twolayer.config import document
from twolayer.config.document import Item
from twolayer.errors import ConfigError, UserError


def parsed(text: str) -> dict:
    """The plain values of a document."""
    return document.parse(text, "x.yaml").value


def mistakes(text: str) -> list[str]:
    """What is said about a document that is refused, one line for each mistake."""
    with pytest.raises(ConfigError) as caught:
        document.parse(text, "x.yaml")
    return str(caught.value).splitlines()


def read(path: Path) -> Item:
    """The document in a file."""
    return document.parse(document.text_of(path, path.name), path.name)


def refusal(path: Path) -> str:
    """What is said about a file that can't be read."""
    with pytest.raises(UserError) as caught:
        read(path)
    return str(caught.value)


def written(folder: Path, content: bytes) -> Path:
    """A file x.yaml with this content."""
    path = folder / "x.yaml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("60", 60),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("1_000", 1000),
        ("1_000.5", 1000.5),
        ("1e-6", 1e-6),
        ("1E-6", 1e-6),
        ("5e3", 5000.0),
        ("5E+3", 5000.0),
        ("1.5e3", 1500.0),
        ("-2.5e-3", -0.0025),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("0.1", 0.1),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("1e999", math.inf),
        ("9" * 5000, math.inf),
        ("0x" + "f" * 5000, math.inf),
    ],
)
def test_numbers_are_numbers(text, value):
    """Each is a number of the type that Python would give it."""
    found = parsed(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number():
    """`.nan` is read, for the rules to refuse."""
    assert math.isnan(parsed("key: .nan")["key"])


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "off", "y", "n", "Yes", "NO", "tRue"),
        *(
            "abc",
            "1e",
            "e5",
            ".",
            "1.5.2",
            "60s",
            "12:30",
            "2024-01-01",
            "1e-4#5",
            "_1",
            "0x",
            "inf",
        ),
        *("cuda:0", "./mine.py", "a=b", "nan", "--", "1 000"),
    ],
)
def test_words_stay_words(text):
    """What only looks like a switch, a number or a date is a word."""
    assert parsed(f"key: {text}") == {"key": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("TRUE", True), ("false", False), ("FALSE", False)],
)
def test_true_and_false_are_switches(text, value):
    """The words of YAML 1.2 are booleans."""
    assert parsed(f"key: {text}")["key"] is value


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL", "# only a comment"])
def test_nothing_is_none(text):
    """A key without a value has none."""
    assert parsed(f"key: {text}") == {"key": None}


@pytest.mark.parametrize("quoted", ["'1e-6'", '"1e-6"', "|-\n  1e-6", ">-\n  1e-6"])
def test_quotes_and_blocks_make_words(quoted):
    """A number in quotes or a block is a word."""
    assert parsed(f"key: {quoted}") == {"key": "1e-6"}


@pytest.mark.parametrize("quoted", ["'true'", '"null"', "''"])
def test_quoted_special_words_are_words(quoted):
    """Neither a switch nor nothing, once quoted."""
    assert parsed(f"key: {quoted}") == {"key": quoted[1:-1]}


def test_keys_are_words():
    """Keys are what stands there, whatever they look like."""
    assert parsed("1: a\ntrue: b\n'quoted': c\n1e-6: d") == {
        "1": "a",
        "true": "b",
        "quoted": "c",
        "1e-6": "d",
    }


def test_lists_and_mappings_of_both_styles():
    """Block and flow style mean the same."""
    block = "impls:\n  - sgd\n  - adam\noverrides:\n  sgd:\n    lr: 1e-4\n"
    flow = "{impls: [sgd, adam], overrides: {sgd: {lr: 1e-4}}}"
    assert parsed(block) == parsed(flow)
    assert parsed(flow) == {"impls": ["sgd", "adam"], "overrides": {"sgd": {"lr": 1e-4}}}


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# a comment\n"])
def test_an_empty_file_is_an_empty_mapping(tmp_path, content):
    """No keys, and no mistake yet."""
    found = read(written(tmp_path, content))
    assert (found.value, found.origin) == ({}, "x.yaml:1:1")


PLACES = """\
# a comment
N: 60
impls: [sgd, adam]

overrides:
  sgd: {lr: 1e-4,   bias: true}
  adam:
    lr:
      1e-3
"""


@pytest.mark.parametrize(
    ("path", "key_origin", "origin"),
    [
        (["N"], "x.yaml:2:1", "x.yaml:2:4"),
        (["impls"], "x.yaml:3:1", "x.yaml:3:8"),
        (["impls", 0], "", "x.yaml:3:9"),
        (["impls", 1], "", "x.yaml:3:14"),
        (["overrides"], "x.yaml:5:1", "x.yaml:6:3"),
        (["overrides", "sgd"], "x.yaml:6:3", "x.yaml:6:8"),
        (["overrides", "sgd", "lr"], "x.yaml:6:9", "x.yaml:6:13"),
        (["overrides", "sgd", "bias"], "x.yaml:6:21", "x.yaml:6:27"),
        (["overrides", "adam", "lr"], "x.yaml:8:5", "x.yaml:9:7"),
    ],
)
def test_everything_knows_its_place(path, key_origin, origin):
    """Lines and columns count from 1, for keys and values."""
    item = document.parse(PLACES, "x.yaml")
    for step in path:
        item = item.parts[step]
    assert (item.key_origin, item.origin) == (key_origin, origin)


def test_places_survive_windows_line_ends_and_a_byte_order_mark(tmp_path):
    """A file from another editor counts the same."""
    path = written(tmp_path, b"\xef\xbb\xbfN: 1\r\nH: 2\r\n")
    found = read(path)
    assert found.value == {"N": 1, "H": 2}
    assert found.parts["H"].origin == "x.yaml:2:4"


def test_columns_count_characters():
    """Letters beyond ASCII are one column each."""
    assert document.parse("{ä: ü, b: 2}", "x.yaml").parts["b"].origin == "x.yaml:1:11"


def test_every_duplicate_key_is_reported_with_both_places():
    """All of them at once, at any depth, and the file is refused."""
    text = "N: 1\nH: 2\nN: 3\noverrides:\n  sgd: {lr: 1, lr: 2}\nN: 4\n'H': 5\n"
    assert mistakes(text) == [
        "x.yaml:3:1: N: is set twice (first at 1:1); keep one",
        "x.yaml:5:16: lr: is set twice (first at 5:9); keep one",
        "x.yaml:6:1: N: is set twice (first at 1:1); keep one",
        "x.yaml:7:1: H: is set twice (first at 2:1); keep one",
    ]


def test_the_same_key_in_two_mappings_is_no_duplicate():
    """Each mapping counts for itself."""
    assert parsed("a: {lr: 1}\nb: {lr: 2}\nlr: 3") == {"a": {"lr": 1}, "b": {"lr": 2}, "lr": 3}


def test_an_alias_stands_for_its_anchor():
    """The value, and the place where it was written."""
    item = document.parse("N: &size 60\nH: *size", "x.yaml")
    assert item.value == {"N": 60, "H": 60}
    assert item.parts["H"].origin == "x.yaml:1:4"
    assert item.parts["H"].key_origin == "x.yaml:2:1"


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("base: &b {lr: 1, N: 2}\nsgd: {<<: *b, lr: 3}", {"lr": 3, "N": 2}),
        ("base: &b {lr: 1, N: 2}\nsgd: {lr: 3, <<: *b}", {"lr": 3, "N": 2}),
        ("base: &b {lr: 1}\nsgd:\n  <<: *b", {"lr": 1}),
        ("a: &a {lr: 1}\nb: &b {lr: 2, N: 2}\nsgd: {<<: [*a, *b]}", {"lr": 1, "N": 2}),
    ],
)
def test_merge_keys_merge_and_what_is_written_out_wins(text, merged):
    """`<<` brings in another mapping, or several of which the first wins."""
    assert parsed(text)["sgd"] == merged


def test_a_merged_value_keeps_its_place():
    """A mistake in it is to be found where it was written."""
    item = document.parse("base: &b {lr: abc}\nsgd: {<<: *b}", "x.yaml")
    assert item.parts["sgd"].parts["lr"] == Item("abc", "x.yaml:1:15", "x.yaml:1:11")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: &a [*a]", "x.yaml:1:4"),
        ("a: &a {b: {c: *a}}", "x.yaml:1:4"),
        ("a: &a\n  b: [1, *a]", "x.yaml:1:4"),
    ],
)
def test_an_alias_that_contains_itself_is_refused(text, place):
    """It would never end."""
    assert mistakes(text) == [f"{place}: an alias can't contain itself"]


def _bomb(levels: int, width: int = 10) -> str:
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_an_alias_bomb_is_refused():
    """A few lines that would unfold to ten thousand million values."""
    (line,) = mistakes(_bomb(10))
    assert line.startswith("x.yaml:1:")
    assert line.endswith(": must hold at most 1,000,000 values, aliases unfolded")


def test_a_small_pile_of_aliases_is_fine():
    """Aliases of aliases are no bomb yet."""
    assert len(parsed(_bomb(3))["a2"]) == 10


def test_deep_nesting_is_refused():
    """A thousand brackets are nobody's config."""
    (line,) = mistakes("a: " + "[" * 1000 + "]" * 1000)
    assert line.endswith(": must be at most 50 levels deep")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("N: !!python/object/apply:os.mkdir [executed]", "x.yaml:1:4"),
        ("N: !!python/object/new:os.mkdir {args: [executed]}", "x.yaml:1:4"),
        ("N: !!python/name:os.mkdir", "x.yaml:1:4"),
        ("N: !!python/module:os ''", "x.yaml:1:4"),
        ("N: !mine 3", "x.yaml:1:4"),
        ("N: !mine '3'", "x.yaml:1:4"),
        ("N: !mine [3]", "x.yaml:1:4"),
        ("a: 1\nsgd: !mine {lr: 3}", "x.yaml:2:6"),
        ("!!python/object/apply:os.mkdir [executed]", "x.yaml:1:1"),
    ],
)
def test_tags_are_refused_and_nothing_is_executed(text, place, tmp_path, monkeypatch):
    """On a scalar, a list, a mapping or the whole document."""
    monkeypatch.chdir(tmp_path)
    (line,) = mistakes(text)
    assert line.startswith(f"{place}: must have no tag (got !")
    assert ": must have no tag (got " in line
    assert os.listdir() == []


TAB = "is not valid YAML: indent with spaces, not with a tab"
SPACE = "is not valid YAML; write `lr: 1e-3`, with a space after the colon"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("N: 1\n\tH: 2", f"x.yaml:2:1: {TAB}"),
        ("overrides:\n  sgd:\n  \tlr: 1", f"x.yaml:3:3: {TAB}"),
        ("impls: sgd\nlr:1e-3\n", f"x.yaml:2:1: {SPACE}"),
        ("lr:1e-3\nimpls: sgd\n", f"x.yaml:1:1: {SPACE}"),
        ("o:\n  N: 1\n  lr:1e-3\n", f"x.yaml:3:3: {SPACE}"),
        ("N: 1\n- a", "x.yaml:2:1: is not valid YAML: did not find expected key"),
        ("N: 'open", "x.yaml:1:9: is not valid YAML: found unexpected end of stream"),
        ("N: [1, 2", "x.yaml:2:1: is not valid YAML: did not find expected ',' or ']'"),
        ("N: *nope", "x.yaml:1:4: is not valid YAML: found undefined alias"),
        (
            "N: @3",
            "x.yaml:1:4: is not valid YAML: found character that cannot start any token",
        ),
        ("N: 1\n---\nH: 2", "x.yaml:2:1: is not valid YAML: but found another document"),
        ("? [a, b]\n: 3", "x.yaml:1:3: a key must be a word"),
        (
            "N: 1\nH: \x01",
            "x.yaml:2:4: is not valid YAML: control characters are not allowed",
        ),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_place(text, line):
    """One line: the file, the place, and what is wrong there."""
    assert mistakes(text) == [line]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"N: \xff\n", "x.yaml:1:4"),
        (b"a: 1\nname: caf\xe9\n", "x.yaml:2:10"),
        ("N: 60\n".encode("utf-16"), "x.yaml:1:1"),
    ],
)
def test_what_is_not_utf8_is_refused_with_its_place(tmp_path, content, place):
    """Like every other mistake in a file, it has a line and a column."""
    assert refusal(written(tmp_path, content)).startswith(f"{place}: is not UTF-8 text")


def test_a_missing_file_says_so(tmp_path):
    """The name and the reason."""
    said = refusal(tmp_path / "none.yaml")
    assert said == "none.yaml: can't be read: No such file or directory"


def test_a_folder_in_place_of_a_file_says_so(tmp_path):
    """The name and the reason."""
    (tmp_path / "x.yaml").mkdir()
    assert refusal(tmp_path / "x.yaml") == "x.yaml: can't be read: Is a directory"


def test_a_list_is_read_with_its_place():
    """Whether the top may be a list is for the config to say; it knows where it stands."""
    item = document.parse("# comment\n- 1\n- a\n", "x.yaml")
    assert (item.value, item.origin) == ([1, "a"], "x.yaml:2:1")
