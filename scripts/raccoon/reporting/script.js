"use strict";
// The browser of completions. Text that a model wrote reaches the page only through textContent, never as markup.

const data = document.getElementById("data");
if (data) start(JSON.parse(data.textContent));

function start(groups) {
  const field = Object.fromEntries(["from", "to", "task", "status", "ending"].map((id) => [id, document.getElementById(id)]));
  const filters = document.getElementById("filters");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");
  let found = groups;
  let place = 0;

  function matches(entry) {
    const task = field.task.value.trim().toLowerCase();
    return entry.task.toLowerCase().includes(task) && sidesOf(entry).some((group) =>
      group.step >= Number(field.from.value || -Infinity)
      && group.step <= Number(field.to.value || Infinity)
      && group.completions.some((each) => (!field.status.value || each.status === field.status.value)
        && (!field.ending?.value || each.ending === field.ending.value)));
  }

  function filter() {
    found = groups.filter(matches);
    place = 0;
    show();
  }

  function show() {
    const position = document.getElementById("position");
    previous.disabled = place === 0;
    next.disabled = place >= found.length - 1;
    position.textContent = found.length ? `${groups[0].sides ? "task" : "group"} ${place + 1} of ${found.length}` : "nothing on this page matches";
    document.getElementById("group").replaceChildren(...(found.length ? entryElements(found[place]) : []));
  }

  function move(by) {
    place = Math.min(Math.max(place + by, 0), Math.max(found.length - 1, 0));
    show();
  }

  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  filters.addEventListener("input", filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(filter));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (typing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  for (const button of document.querySelectorAll("button[data-task]")) {
    button.addEventListener("click", () => {
      filters.reset();
      field.task.value = button.dataset.task;
      document.getElementById("completions").scrollIntoView();
    });
  }
  document.getElementById("browser").hidden = false;
  show();
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// An entry is a group, or on the page about two runs a task with a group of each of them.
function sidesOf(entry) {
  return entry.sides || [entry];
}

function entryElements(entry) {
  const prompt = element("details");
  prompt.append(element("summary", "", "Prompt"), element("pre", "", entry.prompt || "tasks.jsonl has no prompt for this task"));
  if (!entry.sides) {
    const title = element("h3", "", `Step ${entry.step}, group ${entry.group}: ${entry.task}`);
    return [title, element("p", "quiet", passedOf(entry)), prompt, membersOf(entry)];
  }
  const columns = element("div", "sides");
  for (const [place, group] of entry.sides.entries()) {
    const column = element("details", `side c${place + 1}`);  // on a phone B stands below A: closing A shows it
    column.open = true;
    column.append(element("summary", "", `${group.run}, step ${group.step}: ${passedOf(group)}`), membersOf(group));
    columns.append(column);
  }
  return [element("h3", "", entry.task), prompt, columns];
}

function passedOf(group) {
  const passed = group.completions.filter((each) => each.status === "PASS").length;
  const use = group.used ? "" : ", left out of the update: its completions do not differ";
  return `${passed} of ${group.completions.length} passed${use}`;
}

function membersOf(group) {
  const members = element("div", "members");
  members.append(...group.completions.map(completionElement));
  return members;
}

function completionElement(completion, index) {
  const known = ["PASS", "PARTIAL", "FAIL", "INFRA"].includes(completion.status) ? completion.status : "";
  const article = element("article", `completion ${known}`);
  const earlier = completion.earlier || [];
  const ending = completion.ending ? ` (${completion.ending})` : "";
  article.append(element("h4", "", `${index + 1}. ${outcome(completion)}${ending}`));
  article.append(facts([
    `reward ${number(completion.reward)}`,
    `advantage ${number(completion.advantage)}`,
    ...counts(completion),
  ]));
  article.append(facts(Object.entries(completion.parts).map(([name, value]) => `${name.replaceAll("_", " ")} ${number(value)}`)));
  for (const [at, turn] of earlier.entries()) {
    article.append(element("h5", "turn", `Turn ${at + 1}. ${outcome(turn)}`), facts(counts(turn)), ...answerElements(turn));
  }
  if (earlier.length) article.append(element("h5", "turn", `Turn ${earlier.length + 1}. ${outcome(completion)}`));
  article.append(...answerElements(completion));
  return article;
}

function outcome(answer) {
  return answer.status === "PASS" ? "PASS" : `${answer.status}: ${answer.reason}`;
}

function counts(answer) {
  const [passed, total] = answer.tests;
  const all = answer.earlier ? " in all" : "";
  return [`${passed} of ${total} tests`, `${answer.tokens} tokens${all}${answer.truncated ? ", truncated" : ""}`];
}

function answerElements(answer) {
  const found = [element("pre", "", answer.text)];
  for (const [title, text] of [["Code that was run", answer.code], ["Output", answer.output], ["Feedback", answer.feedback]]) {
    if (text) found.push(element("h5", "", title), element("pre", "", text));
  }
  return found;
}

function facts(texts) {
  const list = element("ul", "facts");
  list.append(...texts.map((text) => element("li", "", text)));
  return list;
}

function number(value) {
  return value === null ? "none" : (value >= 0 ? "+" : "") + value.toFixed(3);
}
