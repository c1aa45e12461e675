"""Plain English, as far as a program can check it: documents, docstrings, comments and messages.

A document is read by someone with ten minutes, who may have learnt English last year. RULES lists phrases that made
readers stop, each with the reason and a remedy. No rule judges style: each one is a pattern that real sentences of this
project had. Sentences of documents have at most LONGEST words.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.paths import ROOT, SCRIPTS

DOCUMENTS = sorted(ROOT.glob("*.md"))
SOURCES = sorted([*SCRIPTS.rglob("*.py"), *SCRIPTS.glob("*.sh"), *(ROOT / "benchmarks").glob("*.py")])
LONGEST = 30  # words of a sentence in a document
LONGEST_PART = 35  # words of a docstring's sentence, or of its parts between semicolons
CODE = "CODE"  # stands for whatever is between backticks
LEAST_WORDS = 4  # of a message; shorter texts are names
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(]|vLLM\b|evalplus\b|\w+\.py\b)")
LIST_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ", re.M)
HEADER_LINE = re.compile(r"(Inputs?|Outputs?|Exit):")  # of a docstring: what follows is a list


@dataclass(frozen=True)
class Rule:
    """A pattern that puzzles readers, why, and what to write; `caught` and `fine` are examples."""

    pattern: str
    reason: str
    remedy: str
    caught: str
    fine: str
    documents_only: bool = False  # a docstring may be a phrase without a verb, where the pattern means nothing


RULES = [
    Rule(r"^Where [^,.:;?]*, (the|an?|it|they|you|there|this|that|each|all|nearly|no|nothing|its|such|one|[A-Z])\b",
         "`Where` begins a condition, but reads as a place", "begin with `If` or `When`",
         "Where there is a solution, it must pass.", "Where is the file?"),
    Rule(r"^Whether [^?]*, no\b", "the object comes before the verb", "begin with the subject: `No check knows`",
         "Whether a prompt is right, no check here knows.", "Whether a task is known."),
    Rule(r"^Whether [^?]*\.$", "the sentence begins with its object, and its verb comes late",
         "begin with who says it: `The row says whether`",
         "Whether tasks were seen stands beside each row.", "The row says whether tasks were seen.", True),
    Rule(r"^What (\S+ ){8}[^?:]*\.$", "a whole clause is the subject, and the verb comes late",
         "name the thing that the clause describes",
         "What differs from the file is printed by each script.", "What fails is left out.", True),
    Rule(r"^Who (?![^?]*\?)|\b(is|are) (his|hers|theirs) who\b", "`who` refers to nobody that was named",
         "write `people who` or `if you`", "Who has one can change that.", "Who can run this?"),
    Rule(r"^Neither\b|\bnor (is|are|was|does|do|did|has|have|can)\b|\bneither\b.*\bnor\b.*\bnor\b|neither the one",
         "a negation with an inverted verb, or a chain of them", "say `not A and not B`, or two sentences",
         "It is not read, nor does it run.", "It has neither a uid nor a name."),
    Rule(r"(\band|[;,]) (so|neither) (is|are|was|were|does|do|did|has|have|can)\b",
         "an inverted verb stands for a whole sentence", "repeat the verb: `and the controls are graded too`",
         "They are graded, and so are the controls.", "They are graded so that all count."),
    Rule(r"\b(all|none) but\b|^(?!.*\bnot\b).*\bbut for\b",
         "`but` means `except` here; `all but` also means `almost`", "write `except`",
         "The loaders of all but one were tested.", "It works, but slowly."),
    Rule(r"\bin the place of\b", "five words for two", "write `instead of`, or `as`",
         "More SFT in the place of GRPO.", "It takes place in Python."),
    Rule(r"(?<![Tt]here )(?<!where )\b(is|are|was|were) no (?!longer|more|less|fewer|such|need)\w",
         "`is no X` is rare in English", "write `is not a X`, `is not faster`, or `has no X`",
         "A line that is no record is dropped.", "There is no network."),
    Rule(r"\b[Tt]he (former|latter)\b", "the reader has to look back", "repeat the noun",
         "The latter comes last.", "A later step."),
    Rule(r"\b(anew|albeit|lest|hence|thence|whence|therein|thereof|whereof|wherein|whereupon|upon|unasked|be it)\b",
         "a rare or old word", "use the common word (`again`, `so that not`, `on`, `without asking`)",
         "The rest is drawn anew.", "The rest is drawn again."),
    Rule(r"\bbears?\b (?!in mind)", "`bears` is rare for `has`", "write `has`, `contains` or `carries`",
         "A line bears its step.", "A line has its step."),
    Rule(r"\bless (the|its) (mean|average)\b", "`less` is read as a comparison", "write `minus`",
         "The reward less the mean.", "A lower mean, less noise."),
    Rule(r"(, which|\band it|; it) is said\b", "nobody says it", "name the speaker: `the script prints`",
         "They are left out, and it is said how many.", "The script prints how many."),
    Rule(r"\b(an?|one) (\w+ )?(line|row|record|sample|task|file|id|column|completion|bar|program|assert) an? "
         r"(line|row|record|sample|task|file|id|column|completion|prompt|step|setting|call|run|check|model)s?\b",
         "two nouns with `a`, and none says `for each`", "write `one line for each step`",
         "metrics.jsonl, a line a step.", "One line for each step."),
    Rule(r"\b(faster road|doors?|the house)\b", "a metaphor where a term exists", "use the term",
         "The defaults are no faster road.", "The defaults are not faster."),
    Rule(r"^No [^.]*, no [^.]*, no [^.]*", "a chain of denials before the verb",
         "begin with the subject, or make a list", "No pickle, no code, no exit decides.", "No exit code decides."),
    Rule(r"\bsets? (\S+ ){1,8}beside\b", "`sets beside` is rare for `compares with`", "write `compares A with B`",
         "It sets the speed of vLLM beside this.", "It compares the speed with this."),
    Rule(r"\bat hand\b", "an idiom", "write `current`, or `this machine`",
         "It ends after the step at hand.", "It ends after the current step."),
    Rule(r"^(Around|Beside|Behind|Among|Before) [^,.]{1,40} (stands?|lies?|comes?)\b",
         "the subject comes after the verb", "begin with the subject",
         "Around the child stand, if possible, limits.", "Limits surround the child."),
    Rule(r"\bstands? (above|below|under|beside|behind|there)\b", "texts and numbers do not stand", "write `is`",
         "Its message stands above.", "Its message is above."),
    Rule(r";.*;", "two semicolons make three sentences of one", "make sentences, or a list",
         "One; two; three.", "One; two.", True),
]


def words_only(text: str) -> str:
    """Markdown text with CODE for code, links as their text, and without emphasis."""
    text = re.sub(r"``[^`]+``|`[^`]+`", CODE, text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "").replace("*", "")


def sentences(paragraphs: str) -> Iterator[str]:
    """The sentences of paragraphs that blank lines part."""
    for paragraph in re.split(r"\n\s*\n", paragraphs):
        text = " ".join(paragraph.split())
        yield from (sentence for sentence in SENTENCE_END.split(text) if re.search(r"[A-Za-z]", sentence))


def document_sentences(path: Path) -> list[str]:
    """A document's sentences, list items and table cells, without headings, command blocks and HTML comments."""
    text = re.sub(r"^```.*?^```|<!--.*?-->|^#.*?$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = [line.replace("|", "\n\n") if line.startswith("|") else line for line in text.split("\n")]
    return list(sentences(words_only(LIST_ITEM.sub("\n\n", "\n".join(lines)))))


def docstring_sentences(tree: ast.Module) -> Iterator[str]:
    """The sentences and list items of all docstrings, without indented lines and the lists of inputs and outputs."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            flat = "\n".join("" if line.startswith("   ") else line for line in text.split("\n"))
            found = sentences(words_only(LIST_ITEM.sub("\n\n", flat)))
            yield from (sentence for sentence in found if not HEADER_LINE.match(sentence))


def comments(source: str) -> Iterator[str]:
    """The sentences of comments. Comments that fill lines which follow each other are one text."""
    held: list[str] = []
    last = 0  # line of the newest comment that fills its line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            fills_line = token.line.strip() == token.string
            if not fills_line or token.start[0] != last + 1:
                yield from sentences(words_only(" ".join(held)))
                held = []
            held.append(token.string.lstrip("# "))
            last = token.start[0] if fills_line else 0
    yield from sentences(words_only(" ".join(held)))


def literal_texts(tree: ast.AST) -> Iterator[str]:
    """The texts written in a part of a program; CODE stands for what varies in them."""
    if isinstance(tree, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else CODE for part in tree.values)
    elif isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value
    else:
        for part in ast.iter_child_nodes(tree):
            yield from literal_texts(part)


def messages(tree: ast.Module) -> Iterator[str]:
    """The sentences of texts that are raised or printed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) or isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            for text in literal_texts(node):
                if len(text.split()) >= LEAST_WORDS:
                    yield from sentences(words_only(text))


def source_sentences(path: Path) -> list[str]:
    """What a reader meets of a source: docstrings (--help among them), comments and messages."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".sh":
        lines = [line.lstrip("# ") for line in source.splitlines() if line.startswith("#")]
        return list(sentences(words_only("\n".join(lines))))
    tree = ast.parse(source)
    return [*docstring_sentences(tree), *comments(source), *messages(tree)]


def offences(found: list[str], rules: list[Rule]) -> list[str]:
    """What the rules say about sentences, each offence as a message."""
    return [f"{sentence!r}: {rule.reason}; {rule.remedy}" for sentence in dict.fromkeys(found) for rule in rules
            if re.search(rule.pattern, sentence)]


def too_long(found: list[str], longest: int) -> list[str]:
    """A message for each text of more than `longest` words."""
    return [f"{text!r}: {len(text.split())} words; make two sentences" for text in found
            if len(text.split()) > longest]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document_is_in_plain_words(path):
    assert not (wrong := offences(document_sentences(path), RULES)), "\n".join(wrong)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_sentences_of_a_document_are_short(path):
    assert not (wrong := too_long(document_sentences(path), LONGEST)), "\n".join(wrong)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_is_in_plain_words(path):
    rules = [rule for rule in RULES if not rule.documents_only]
    assert not (wrong := offences(source_sentences(path), rules)), "\n".join(wrong)


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix == ".py"],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_sentences_of_docstrings_are_short(path):
    found = docstring_sentences(ast.parse(path.read_text(encoding="utf-8")))
    parts = [part for sentence in found for part in sentence.split(";")]
    assert not (wrong := too_long(parts, LONGEST_PART)), "\n".join(wrong)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.caught)
def test_rule_catches_what_it_is_for_and_no_more(rule):
    assert offences([rule.caught], [rule]) and not offences([rule.fine], [rule])


def test_text_is_cut_into_sentences(tmp_path):
    document = tmp_path / "d.md"
    document.write_text("# Head\n\nOne `a. B` two. Three\nfour.\n\n```\nNot this.\n```\n\n- Five.\n- Six\n  seven.\n\n"
                        "<!-- no -->\n\n| a | b |\n|---|---|\n| [eight](x.md) | **nine** |\n")
    assert document_sentences(document) == ["One CODE two.", "Three four.", "Five.", "Six seven.", "a", "b", "eight",
                                            "nine"]


def test_docstrings_comments_and_messages_are_read(tmp_path):
    source = tmp_path / "s.py"
    source.write_text('"""First. Second.\n\n    python x.py\n\nInputs: a list.\n"""\n\nA = 1  # seconds\n'
                      '# of two\n# lines\n\n\ndef f(x):\n    print("no", f"the {x} is not a number")\n')
    assert source_sentences(source) == ["First.", "Second.", "seconds", "of two lines", "the CODE is not a number"]
