"""The drawing of the house: which room may import which, what is heavy, how large things get, what --help says."""




# Which rooms the files of a room may import, beside those of their own and the small files. Commands may import all.
ARROWS = {
    "tasks": set(),
    "exchange": set(),
    "test_texts": set(),
    "child": {"exchange"},
    "verdicts": {"exchange", "test_texts"},
    "runs": set(),
    "planning": set(),
    "published": {"tasks"},
    "sandbox": {"verdicts", "child", "exchange", "test_texts"},
    "judging": {"tasks", "published"},
    "rewards": {"tasks", "sandbox", "judging", "runs"},
    "training": {"tasks", "runs"},
    "recipe": {"tasks", "published", "sandbox", "judging", "runs", "rewards", "training", "planning"},
    "evaluation": {"tasks", "published", "sandbox", "judging"},
    "synthetic": {"tasks", "published", "sandbox", "judging"},
    "integrity": {"tasks", "published", "sandbox"},
    "reporting": {"runs"},
}
OF_THE_SANDBOX = {"sandbox", "verdicts", "child", "exchange", "test_texts"}
SMALL = "small files"  # directly in raccoon/, for everyone; they import each other alone
# Imported inside functions only: they load torch, or belong to one choice of a run.
LATE = {"raccoon/training/" + name for name in
        "batches callbacks export library_internals memory_probe policy sharding trainer".split()} | {
            "raccoon/decoding"}
HEAVY = {"torch", "trl", "transformers", "datasets", "numpy", "scipy", "matplotlib", "accelerate", "peft", "tqdm",
         "jinja2", "openai", "httpx2"}
OPTIONAL = {"raccoon/exchange/values": {"numpy"}, "raccoon/exchange/kinds": {"numpy"}}  # used where it is installed
MOST_COMMANDS = 20  # entries of scripts/
MOST_FILES = 9  # of a room
CROWDED: dict[str, int] = {}  # rooms that may hold more
MOST_LINES = 450  # of a file
LONG_FILES = {"raccoon/sandbox/zygote": 470}  # the order of its walls is one story
