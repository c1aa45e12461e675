#!/usr/bin/env bash
# verl 0.9.1's client of a code sandbox scores a program 0 when the sandbox has not run it.
#
# compute_score() of verl.utils.reward_score.sandbox_fusion asks a server to run a program on each test case. A server
# that is full answers HTTP 429 "ask again later". The client retries 504 alone; after any other status it notes
# "api_error" for the case and counts the case as failed. So a right program, which no server has judged, has the reward
# of a wrong one, and a busy minute teaches the policy that right code is bad. Expected: another try, or no reward.
#
# Seen with verl 0.9.1, Python 3.11, 2026-11-30:
#     the server runs the program: 1.0 ['success']
#     the server answers 429: 0.0 ['api_error'], 1 request
#
#     bash findings/verl_busy_sandbox_scores_zero.sh        # exit code 0 while it behaves so, 1 if that has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check --no-deps verl==0.9.1
environment/bin/pip install --quiet --disable-pip-version-check requests==2.32.5
cat > look.py <<'P'
import http.server
import importlib.util
import json
import logging
import pathlib
import sys
import threading

logging.disable(logging.CRITICAL)
# The one subpackage: the package itself imports ray and torch, which this client does not need
place = pathlib.Path(sys.prefix).glob("lib/python*/site-packages/verl/utils/reward_score/sandbox_fusion/__init__.py")
path = next(place)
spec = importlib.util.spec_from_file_location("client", path, submodule_search_locations=[str(path.parent)])
client = importlib.util.module_from_spec(spec)
sys.modules["client"] = client
spec.loader.exec_module(client)

full, asked = False, 0


class Sandbox(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        global asked
        asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        run = {"status": "Finished", "execution_time": 0.1, "return_code": 0, "stdout": "3\n", "stderr": ""}
        answer = {"status": "Success", "message": "", "compile_result": None, "run_result": run, "files": {}}
        body = b"full" if full else json.dumps(answer).encode()
        self.send_response(429 if full else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sandbox)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/run_code"
program = "```python\nprint(sum(map(int, input().split())))\n```"


def score():
    reward, cases = client.compute_score(url, None, 1024, program, {"inputs": ["1 2\n"], "outputs": ["3\n"]})
    return float(reward), [case["status"] for case in cases]


free = score()
full, asked = True, 0
busy = score()
print("the server runs the program:", *free)
print(f"the server answers 429: {busy[0]} {busy[1]}, {asked} request")
raise SystemExit((free, busy, asked) != ((1.0, ["success"]), (0.0, ["api_error"]), 1))
P
environment/bin/python look.py
