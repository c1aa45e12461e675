"""Models, controls and sample files: their names, what they deliver, and what bad input is called."""

import gzip
import json
from pathlib import Path

import pytest

numpy, safetensors = pytest.importorskip("numpy"), pytest.importorskip("safetensors.numpy")

from raccoon.constants import InputError  # noqa: E402
from raccoon.evaluation.engines import Completion, Decoding, Slot  # noqa: E402
from raccoon.evaluation.samples import describe_samples, read_samples  # noqa: E402
from raccoon.evaluation.subjects import Asked, Control, check_weights, distinct_names, find_subjects, folder_digest  # noqa: E402
from raccoon.evaluation.task_sets import TaskSet  # noqa: E402
from raccoon.tasks.extraction import extract_code  # noqa: E402
from raccoon.tasks.task import Task  # noqa: E402

TASK = Task("a/1", "p", "t", "f", solution="def f(x):\n    return x\n")
DECODINGS = {"greedy": Decoding("greedy"), "sampled": Decoding("sampled", seed=7)}


def weights_file(content: bytes) -> bytes:
    return safetensors.save({"w": numpy.frombuffer(content, numpy.uint8)})


def fake_model(folder: Path, weights: bytes = b"weights") -> str:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights_file(weights))
    return str(folder)


def find(*models, repeat=1):
    return find_subjects(models, repeat, DECODINGS, Asked(num_samples=3))


# Controls


def test_gold_and_stub_go_through_the_extraction_of_a_model():
    tricky = Task("a/2", "p", "t", "f", solution='def f(x):\n    """```python"""\n    return x\n')
    for task in (TASK, tricky):
        (answer,) = Control("gold").complete([Slot(task)], "greedy")
        assert extract_code(answer.text, task).strip() == task.solution.strip()
    (answer,) = Control("stub").complete([Slot(TASK)], "greedy")
    exec(extract_code(answer.text, TASK), namespace := {})
    assert namespace["f"](1, 2, key=3) is None


def test_plain_controls_are_programs():
    for name, code in (("gold", TASK.solution), ("stub", "def f(*args, **kwargs):\n    return None\n")):
        (answer,) = Control(name, plain=True).complete([Slot(TASK)], "greedy")
        assert (answer.text, answer.code, answer.alone) == (code, code, False)
    assert find_subjects(["gold"], 1, DECODINGS, Asked(), plain_controls=True) == [Control("gold", plain=True)]


def test_gold_owes_nothing_for_a_task_without_solution():
    bare = Task("a/3", "p", "t", "f")
    assert Control("gold").slots([TASK, bare], "greedy") == [Slot(TASK)]
    assert len(Control("stub").slots([TASK, bare], "greedy")) == 2


# Models


def test_models_are_called_by_their_folder_and_their_parent_where_it_takes_it(tmp_path):
    paths = [fake_model(tmp_path / name) for name in ("a/rl", "b/rl", "sft")]
    assert [s.name for s in find(*paths)] == ["a-rl", "b-rl", "sft"]
    assert distinct_names({Path("/x/a/m"), Path("/y/a/m")}) == {Path("/x/a/m"): "x-a-m", Path("/y/a/m"): "y-a-m"}
    assert [s.name for s in find("gold", fake_model(tmp_path / "gold"))] == ["gold", "gold-model"]


def test_a_repeated_model_has_other_seeds_and_other_batches(tmp_path):
    path = fake_model(tmp_path / "m")
    for subjects in (find(path, repeat=2), find(path, path)):
        first, second = subjects
        assert (first.name, second.name) == ("m", "m.repeat2")
        assert (first.decodings["sampled"].seed, second.decodings["sampled"].seed) == (7, 8)
        assert first.decodings["greedy"] == second.decodings["greedy"]
        requests = first.slots([TASK] * 4, "greedy")
        assert [len(b) for b in first.batches(requests, 4)] == [4]
        assert [len(b) for b in second.batches(requests, 4)] == [2, 2]
    assert [s.name for s in find("gold", path, repeat=2)] == ["gold", "m", "m.repeat2"]


def test_a_model_owes_one_greedy_answer_and_several_samples(tmp_path):
    (model,) = find(fake_model(tmp_path / "m"))
    assert len(model.slots([TASK], "greedy")) == 1
    assert [r.sample for r in model.slots([TASK], "sampled")] == [0, 1, 2]


def test_a_models_fingerprint_follows_all_that_its_answer_depends_on(tmp_path):
    (model,) = find(fake_model(tmp_path / "m"))
    request = Slot(TASK)
    prints = {
        model.fingerprint(request, "greedy"),
        model.fingerprint(request, "sampled"),
        model.fingerprint(Slot(TASK, 1), "sampled"),
        model.fingerprint(Slot(Task("a/1", "another prompt", "t")), "greedy"),
    }
    (tmp_path / "m" / "model.safetensors").write_bytes(weights_file(b"trained on"))
    (retrained,) = find(str(tmp_path / "m"))
    prints.add(retrained.fingerprint(request, "greedy"))
    (tmp_path / "m" / "chat_template.jinja").write_text("{{ messages }}")
    prints.add(find(str(tmp_path / "m"))[0].fingerprint(request, "greedy"))
    assert len(prints) == 6
    other_test = Slot(Task("a/1", "p", "another test"))
    assert model.fingerprint(other_test, "greedy") == model.fingerprint(request, "greedy"), "it never sees the test"


def test_an_adapters_digest_follows_its_base(tmp_path):
    base = Path(fake_model(tmp_path / "base"))
    adapter = Path(fake_model(tmp_path / "adapter"))
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    before = folder_digest(adapter)
    (base / "model.safetensors").write_bytes(weights_file(b"another base"))
    assert folder_digest(adapter) != before


@pytest.mark.parametrize("word", ["./nowhere", "/no/such/folder", "one/two/three", "nowhere", "org/na me"])
def test_a_missing_model_is_named(word):
    with pytest.raises(InputError, match="it is not a folder"):
        find(word)


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "samples.jsonl").write_text("{}")
    with pytest.raises(InputError, match="--samples"):
        find(str(tmp_path / "samples.jsonl"))


def test_a_large_model_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr("raccoon.evaluation.subjects.device_files", lambda: 0)
    with pytest.raises(InputError, match="29.5 GB of weights and this machine has no GPU"):
        check_weights("org/14b", 29_500_000_000)
    monkeypatch.setattr("raccoon.evaluation.subjects.device_files", lambda: 1)
    check_weights("org/14b", 29_500_000_000)


# Sample files


def write(tmp_path, *lines):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def test_completions_are_extracted_and_solutions_taken_as_they_are(tmp_path):
    samples = read_samples(
        write(
            tmp_path,
            {"task_id": "a/1", "completion": "text"},
            {"task_id": "a/1", "solution": "x = 1", "completion": "ignored"},
        ),
        {"a/1"},
    )
    assert samples.name == "samples" and samples.modes(["greedy"]) == ["sampled"]
    first, second = samples.complete(samples.slots([TASK], "sampled"), "sampled")
    assert (first.text, first.code, first.prompt, first.alone) == ("text", None, "p", False)
    assert (second.text, second.code, second.alone) == ("x = 1", "x = 1", True)
    assert samples.alone(samples.slots([TASK], "sampled")) == {("a/1", 1)}
    fingerprints = {samples.fingerprint(r, "sampled") for r in samples.slots([TASK], "sampled")}
    assert len(fingerprints) == 2


@pytest.mark.parametrize(
    "lines, words",
    [
        (["nonsense"], "line 1: not JSON"),
        ([{"task_id": "a/1", "completion": "x"}, '{"task_id": "a/1", "comp'], "line 2: not JSON"),
        (["[1]"], "line 1: .*list"),
        ([{"completion": "x"}], "line 1: no task_id"),
        ([{"task_id": 3, "completion": "x"}], "line 1: no task_id"),
        ([{"task_id": "a/1"}], "line 1: no completion or solution"),
        ([{"task_id": "a/1", "completion": None}], "line 1: no completion or solution"),
        (
            [{"task_id": "a/1", "completion": "x"}, {"task_id": "b/9", "completion": "x"}],
            r"1 task ids are in none of the benchmarks: 'b/9' \(line 2\)",
        ),
        ([], "holds no sample"),
    ],
)
def test_a_bad_sample_file_is_named(tmp_path, lines, words):
    with pytest.raises(InputError, match=words):
        read_samples(write(tmp_path, *lines), {"a/1"})


def test_samples_that_bear_a_controls_name_keep_out_of_its_folder(tmp_path):
    for name, written in (("gold", "gold-samples"), ("stub", "stub-samples"), ("golden", "golden")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text('{"task_id": "a/1", "completion": "x"}\n')
        samples = read_samples(str(path), {"a/1"})
        assert samples.name == written and not samples.control


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda text: b"\xef\xbb\xbf" + text.encode(), ""),
        (lambda text: text.encode("utf-16"), "samples.jsonl is UTF-16: save it as UTF-8"),
        (lambda text: text.encode("utf-16-be").join([b"\xfe\xff", b""]), "samples.jsonl is UTF-16"),
        (lambda text: gzip.compress(text.encode()), "is compressed with gzip: name it samples.jsonl.gz"),
    ],
)
def test_the_forms_of_a_text_file_are_read_or_named(tmp_path, change, words):
    path = tmp_path / "samples.jsonl"
    path.write_bytes(change('{"task_id": "a/1", "completion": "x"}\n'))
    if not words:
        assert read_samples(str(path), {"a/1"}).rows["a/1"] == [(Completion("x", ""),)]
        return
    with pytest.raises(InputError, match=words):
        read_samples(str(path), {"a/1"})


def test_missing_tasks_and_several_samples_are_counted(tmp_path):
    samples = read_samples(
        write(tmp_path, *[{"task_id": t, "completion": "x"} for t in ("a/1", "a/1", "a/2")]), {"a/1", "a/2", "a/3"}
    )
    task_set = TaskSet("a", [Task(f"a/{i}", "p", "t") for i in (1, 2, 3)], frozenset())
    assert describe_samples(samples, task_set).endswith(
        "3 samples, 1 to 2 for each of 2 of 3 tasks; 1 task without one is not scored: a/3"
    )
