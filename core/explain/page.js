"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

// --- Panes of code: a pane's rows are made when it is first shown.
const SOURCE = "source";
const panes = new Map();
const stageNames = data.stages.map((stage) => stage.name);
let pinned = null;

const comments = { [SOURCE]: "#.*", llir: ";.*" };
const words = /([%@][\w$.#-]+)|("(?:[^"\\]|\\.)*")|\b(def|for|in|if|else|while|return|range|import|tl|triton|True|False|None|scf|linalg|arith|memref|vector|tensor|func|math|llvm|tt|cf|bufferization|affine|xsmt|define|call|br|phi|load|store|ret)\b(?=[.\s(:,)\]]|$)|((?:vector|tensor|memref)(?=<)|\b[usf]?i(?:1|4|8|16|32|64)\b|\bb?f(?:16|32|64)\b|\bindex\b|\bptr\b)|(\b\d[\w.]*\b)/;
const styles = [null, "v", "n", "k", "t", "n", "c"];
// A label, a directive, a mnemonic, a comment, a number.
const assembly = /^(\s*[.\w$]+:)|^(\s+\.(?!insn)[a-z]\w*.*)|^(\s+\.?[a-z][\w.]*)|((?:^|\s)#(?=[\s=>#A-Z]|$).*|\/\/.*)|((?<![\w.$%])-?(?:0x[\da-fA-F]+|\d+)\b)/g;
const assemblyStyles = [null, "t", "c", "k", "c", "n"];
const patterns = new Map();
function coloured(text, stage) {
  const parts = [];
  let at = 0;
  const kinds = stage === "asm" ? assemblyStyles : styles;
  if (stage === "asm") patterns.set(stage, assembly);
  else if (!patterns.has(stage)) patterns.set(stage, new RegExp(`${words.source}|(${comments[stage] || "//.*"})`, "g"));
  for (const found of text.matchAll(patterns.get(stage))) {
    const kind = found.findIndex((group, i) => i > 0 && group !== undefined);
    if (found.index > at) parts.push(text.slice(at, found.index));
    parts.push(make("span", { class: kinds[kind] }, found[0]));
    at = found.index + found[0].length;
  }
  parts.push(text.slice(at));
  return parts;
}

// Which lines of Python lie in a text between three quotation marks.
function quoted(lines) {
  let open = false;
  return lines.map((text) => {
    const marks = text.split('"""').length - 1;
    const inside = open || marks > 0;
    if (marks % 2) open = !open;
    return inside;
  });
}

const hue = (line) => `hsl(${(line * 137.5) % 360} var(--saturation) var(--light))`;
function linesOf(name) {
  if (name === SOURCE) return data.source.map((text, i) => [text, [i + 1], -1]);
  return data.stages.find((stage) => stage.name === name).lines;
}

function fill(name) {
  const pane = panes.get(name);
  if (pane.rows) return;
  pane.lines = linesOf(name);
  const used = new Set(data.stages.flatMap((stage) => stage.lines.flatMap((line) => line[1])));
  const hot = name === "asm" && data.hot;
  const texts = name === SOURCE ? quoted(data.source) : [];
  pane.rows = pane.lines.map(([text, from], i) => {
    const stripe = make("i");
    const line = from[0];
    if (line !== undefined && used.has(line)) stripe.style.background = hue(line);
    const row = make("div", { class: "row" }, stripe, make("b", {}, String(i + 1)), make("span", {}, ...(texts[i] ? [make("span", { class: "c" }, text)] : coloured(text, name))));
    if (hot && i >= hot.first && i <= hot.last) row.classList.add("hot");
    row.dataset.index = i;
    return row;
  });
  pane.code.replaceChildren(...pane.rows);
  const top = name === SOURCE ? data.at - 1 : pane.lines.findIndex((line) => line[1].length > 0);
  if (top > 0) pane.code.scrollTop = pane.rows[top].offsetTop - pane.code.offsetTop;
}

function mark(name, index, scroll) {
  const from = new Set(panes.get(name).lines[index][1]);
  for (const [other, pane] of panes) {
    if (!pane.rows) continue;
    let first = null;
    pane.rows.forEach((row, i) => {
      const on = (other === name && i === index) || (from.size > 0 && pane.lines[i][1].some((line) => from.has(line)));
      row.classList.toggle("on", on);
      if (on && first === null) first = row;
    });
    if (scroll && other !== name && first && !pane.node.hidden) {
      pane.code.scrollTop = first.offsetTop - pane.code.offsetTop - pane.code.clientHeight / 3;
    }
  }
  const [, lines, pass] = panes.get(name).lines[index];
  const step = data.passes[pass];
  const maker = step ? `made by ${step.name}, on the way to ${step.stage}` : name === SOURCE ? "" : "as Triton gave it";
  const where = lines.length ? `line${lines.length > 1 ? "s" : ""} ${lines.join(", ")} of the source` : "from no line of the source";
  const counts = [...panes].filter(([other, pane]) => pane.rows && other !== name)
    .map(([other, pane]) => `${pane.rows.filter((row) => row.classList.contains("on")).length} in ${other}`);
  byId("status").replaceChildren(make("strong", {}, `${name} ${index + 1}`), ` · ${where}${maker && ` · ${maker}`} · ${counts.join(", ")}`);
}

function show(name, on) {
  const pane = panes.get(name);
  pane.node.hidden = !on;
  pane.button.setAttribute("aria-pressed", String(on));
  if (on) fill(name);
}

for (const name of [SOURCE, ...stageNames]) {
  const code = make("div", { class: "code", tabIndex: 0 });
  const title = name === SOURCE ? data.file : name;
  const node = make("div", { class: "pane", id: `pane-${name}` }, make("h2", {}, title), code);
  const button = make("button", { type: "button" }, name);
  panes.set(name, { node, code, button, rows: null, lines: null });
  button.addEventListener("click", () => show(name, node.hidden));
  byId("stages").insertBefore(button, byId("stages").lastElementChild);
  byId("panes").append(node);
  const indexAt = (event) => {
    const row = event.target.closest(".row");
    return row ? Number(row.dataset.index) : null;
  };
  code.addEventListener("mouseover", (event) => {
    const index = indexAt(event);
    if (index !== null && pinned === null) mark(name, index, false);
  });
  code.addEventListener("click", (event) => {
    const index = indexAt(event);
    if (index === null) return;
    document.querySelectorAll(".pin").forEach((row) => row.classList.remove("pin"));
    if (pinned && pinned[0] === name && pinned[1] === index) { pinned = null; return; }
    pinned = [name, index];
    panes.get(name).rows[index].classList.add("pin");
    mark(name, index, true);
  });
  show(name, name === SOURCE || name === "linalg" || name === "asm");
}

// --- The other tabs.
const table = (head, rows) => make("table", {}, make("thead", {}, make("tr", {}, ...head.map((cell) => make("th", {}, cell)))), make("tbody", {}, ...rows));
const cells = (values) => values.map((value) => make("td", typeof value === "number" ? { class: "number" } : {}, typeof value === "number" ? String(value) : value));

function passes() {
  const longest = Math.max(...data.passes.map((step) => step.ms), 1e-9);
  const rows = data.passes.flatMap((step) => {
    const share = make("span", { class: "share" });
    share.style.width = `${(120 * step.ms) / longest}px`;
    const row = make("tr", { class: step.made + step.removed ? "more" : "idle" }, ...cells([step.stage, step.name, step.ms, share, step.made || "", step.removed || ""]));
    if (!step.made && !step.removed) return [row];
    const body = make("pre");
    const detail = make("tr", { hidden: true }, make("td", { colSpan: 6 }, body));
    row.addEventListener("click", () => {
      if (!body.childNodes.length) {
        for (const line of step.gone) body.append(make("span", { class: "gone" }, `- ${line}\n`));
        for (const line of step.new) body.append(make("span", { class: "new" }, `+ ${line}\n`));
      }
      detail.hidden = !detail.hidden;
    });
    return [row, detail];
  });
  return [make("h2", {}, "What each pass did"), make("p", { class: "hint" }, "Click a pass for the lines that it made and removed; the names of values do not count."), table(["to", "pass", "ms", "", "lines made", "removed"], rows)];
}

function hot() {
  if (!data.hot) return [make("h2", {}, "Hot loop"), make("p", {}, "The machine code has no loop.")];
  const loop = data.hot;
  const lines = linesOf("asm").slice(loop.first, loop.last + 1).map((line) => line[0]);
  const button = make("button", { type: "button", class: "plain" }, "show it among the stages");
  button.addEventListener("click", () => { select("code"); show("asm", true); panes.get("asm").rows[loop.first].click(); panes.get("asm").rows[loop.first].scrollIntoView({ block: "start" }); });
  return [
    make("h2", {}, `Hot loop: ${loop.label}, ${loop.count} instructions an iteration, ${loop.depth === 1 ? "in no other loop" : `at depth ${loop.depth}`}`),
    make("p", { class: "hint" }, "The innermost loop that lies deepest, with the most arithmetic; counted in the text, not measured."), button,
    make("div", { class: "split" },
      table(["instructions", "count"], Object.entries(loop.kinds).map((pair) => make("tr", {}, ...cells(pair)))),
      table(["mnemonic", "count"], Object.entries(loop.mnemonics).map((pair) => make("tr", {}, ...cells(pair)))),
      make("pre", {}, ...lines.flatMap((line) => [...coloured(line, "asm"), "\n"]))),
  ];
}

function layouts() {
  if (!data.pictures.length) return [make("h2", {}, "Layouts"), make("p", {}, "The kernel packs nothing, and its products, if any, run on plain vector registers.")];
  return [make("h2", {}, "Layouts"), make("div", { class: "pictures" }, ...data.pictures.map((picture) => {
    const frame = make("div", { class: "scroll" });
    frame.innerHTML = picture.svg;
    return make("figure", {}, make("figcaption", {}, make("strong", {}, picture.title), picture.text), frame);
  }))];
}

function roofline() {
  const frame = make("div", { class: "plot" });
  frame.innerHTML = data.roofline;
  return [make("h2", {}, "Roofline"), frame];
}

function plugins() {
  return [make("h2", {}, "The kernel"), table(["", ""], data.facts.map((row) => make("tr", {}, ...cells(row)))),
    make("h2", {}, "Who answered"), table(["what", "which", "plugin"], data.answers.map((row) => make("tr", {}, ...cells(row))))];
}

const tabs = { code: ["Stages", null], passes: ["Passes", passes], hot: ["Hot loop", hot], layouts: ["Layouts", layouts], ...(data.roofline ? { roofline: ["Roofline", roofline] } : {}), plugins: ["Plugins", plugins] };
function select(chosen) {
  for (const [id, [, content]] of Object.entries(tabs)) {
    const section = byId(id);
    section.hidden = id !== chosen;
    byId(`tab-${id}`).setAttribute("aria-selected", String(id === chosen));
    if (id === chosen && content && !section.childNodes.length) section.append(...content());
  }
}
for (const [id, [name]] of Object.entries(tabs)) {
  const button = make("button", { type: "button", role: "tab", id: `tab-${id}` }, name);
  button.addEventListener("click", () => select(id));
  byId("tabs").append(button);
}
byId("title").append(data.kernel, " ", make("small", {}, `on ${data.core}`));
byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
const asked = location.hash.replace("#show-", "");
select(tabs[asked] ? asked : "code");
