#!/usr/bin/env bash
# evalplus 0.3.1 grades [[1.0]] as equal to the expected [[]] if the task compares floats with a tolerance.
#
# It checks that both are lists of the same length, and then asks numpy.allclose. The outer lists have one item each.
# numpy broadcasts the shapes (1, 1) and (1, 0) to an empty array, for which allclose is true. [[]] for [[1.0]] passes in
# the same way. Expected by a reader of the code: nested lists of other lengths differ.
#
# Seen with evalplus 0.3.1, numpy 2.4.6, Python 3.11, 2026-11-30:
#     [[1.0]] for [[]]: pass
#     [[]] for [[1.0]]: pass
#     [[1.0]] for [[2.0]]: fail
#
#     bash findings/evalplus_empty_lists.sh        # exit code 0 while it behaves so, 1 if that has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check --no-deps evalplus==0.3.1 numpy==2.4.6 psutil==7.1.3 \
    multipledispatch==1.0.0 tqdm==4.70.1 appdirs==1.4.4 wget==3.2 tempdir==0.7.1
cat > look.py <<'P'
from evalplus.eval import PASS, untrusted_check

WANTED = {"[[1.0]] for [[]]": "pass", "[[]] for [[1.0]]": "pass", "[[1.0]] for [[2.0]]": "fail"}


def verdict(returned, expected):
    code = f"def f(x):\n    return {returned}\n"
    status, _ = untrusted_check("humaneval", code, [[0]], "f", [expected], 1e-6, [1.0])
    return "pass" if status == PASS else "fail"


if __name__ == "__main__":
    seen = {name: verdict(*map(eval, name.split(" for "))) for name in WANTED}
    print(*(f"{name}: {found}" for name, found in seen.items()), sep="\n")
    raise SystemExit(seen != WANTED)
P
environment/bin/python look.py
