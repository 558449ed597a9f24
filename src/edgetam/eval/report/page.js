"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const many = data.names.length > 1;
const tint = (i) => `--tint: var(--p${i % 6})`;
const share = (x) => (x === null || x === undefined ? "–" : (100 * x).toFixed(1));

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "circle", "text", "g"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/* Losing less over time and varying less are better. */
const lowerIsBetter = (name) => name.endsWith("decay") || name.startsWith("V");

function difference(value, base, name = "") {
  if (value === null || base === null || value === undefined || base === undefined) return make("span", {}, "–");
  const points = 100 * (value - base);
  const sign = points > 0 ? "+" : points < 0 ? "−" : "±";
  const better = lowerIsBetter(name) ? points < 0 : points > 0;
  const way = Math.abs(points) < 0.05 ? "" : better ? "up" : "down";
  return make("span", { class: way }, sign + Math.abs(points).toFixed(1));
}

/* The top: one card for each prediction. */

function card(i) {
  const [head, ...rest] = data.summary;
  const lines = rest.map((row) => [
    make("dt", {}, row.name),
    make("dd", {}, share(row.values[i]), i ? [" ", difference(row.values[i], row.values[0], row.name)] : ""),
  ]);
  const change = i ? make("small", {}, " ", difference(head.values[i], head.values[0]), ` to ${data.names[0]}`) : null;
  return make("section", { class: "card", style: tint(i) },
    make("div", { class: "name" }, data.names[i]),
    make("div", { class: "big" }, share(head.values[i]), make("small", {}, ` ${head.name} %`), change),
    make("dl", {}, lines));
}

function list(title, lines) {
  if (!lines.length) return null;
  return make("details", { class: "list" },
    make("summary", {}, `${title} (${lines.length})`),
    make("ul", {}, lines.map((line) => make("li", {}, line))));
}

function predictions(kinds = []) {
  const marks = kinds.map(([name, dash]) =>
    make("span", { style: "--tint: var(--soft)" }, make("i", { class: dash ? "dash" : "" }), name));
  const names = many ? data.names.map((name, i) => make("span", { style: tint(i) }, make("i"), name)) : [];
  return make("div", { class: "legend" }, marks, names);
}

/* Curves. */

const box = { width: 640, height: 150, left: 30, right: 8, top: 8, bottom: 22 };
const across = (t) => box.left + t * (box.width - box.left - box.right);
const down = (v) => box.top + (1 - v) * (box.height - box.top - box.bottom);

function frame(label, start, end) {
  const svg = make("svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": label });
  for (const level of [0, 0.5, 1]) {
    svg.append(make("line", { class: "grid", x1: across(0), x2: across(1), y1: down(level), y2: down(level) }));
    svg.append(make("text", { x: across(0) - 5, y: down(level) + 4, "text-anchor": "end" }, String(100 * level)));
  }
  svg.append(make("text", { x: across(0), y: box.height - 6 }, start));
  svg.append(make("text", { x: across(1), y: box.height - 6, "text-anchor": "end" }, end));
  return svg;
}

function curve(values, i, dash) {
  const step = values.length > 1 ? 1 / (values.length - 1) : 0;
  let path = "";
  let pen = "M";
  const alone = [];
  values.forEach((value, t) => {
    if (value === null) { pen = "M"; return; }
    path += `${pen}${across(t * step).toFixed(1)} ${down(value).toFixed(1)}`;
    const single = (t === 0 || values[t - 1] === null) && (t === values.length - 1 || values[t + 1] === null);
    if (single) alone.push(make("circle", { class: "dot", style: tint(i), cx: across(t * step), cy: down(value), r: 2.5 }));
    pen = "L";
  });
  return [make("path", { class: dash ? "curve dash" : "curve", style: tint(i), d: path }), ...alone];
}

function chart(item) {
  const count = item.frames.length;
  const svg = frame(`J and F of object ${item.object} on each frame`, item.frames[0] ?? "", item.frames[count - 1] ?? "");
  item.curves.forEach((curves, i) => {
    if (!curves) return;
    svg.append(...curve(curves.J, i, false), ...curve(curves.F, i, true));
  });
  const cursor = make("line", { class: "cursor", y1: down(0), y2: down(1) });
  const now = make("span", { class: "now" });
  svg.append(cursor);
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect();
    const x = ((event.clientX - place.left) / place.width) * box.width;
    const part = (x - box.left) / (box.width - box.left - box.right);
    const t = Math.max(0, Math.min(count - 1, Math.round(part * (count - 1))));
    const at = across(count > 1 ? t / (count - 1) : 0);
    cursor.setAttribute("x1", at); cursor.setAttribute("x2", at); cursor.style.visibility = "visible";
    now.textContent = `frame ${item.frames[t]}: ` +
      item.curves.map((c) => (c ? `J ${share(c.J[t])} F ${share(c.F[t])}` : "–")).join(" | ");
  });
  svg.addEventListener("pointerleave", () => { cursor.style.visibility = "hidden"; now.textContent = ""; });
  const means = item.scores.map((s) => (s ? share(s["J&F"]) : "–")).join(" | ");
  const group = item.group ? ` (${item.group})` : "";
  return make("div", { class: "chart" }, make("h3", {}, `Object ${item.object}${group}: J&F ${means}`, now), svg);
}

function overview() {
  const svg = frame("Objects by J&F", "worst object", "best object");
  data.names.forEach((_, i) => {
    const values = data.sequences.flatMap((s) => s.items).map((item) => item.scores[i])
      .filter((s) => s && s["J&F"] !== null).map((s) => s["J&F"]).sort((a, b) => a - b);
    svg.append(...curve(values, i, false));
  });
  return [make("h2", {}, "All objects by J&F"), predictions(), make("div", { class: "overview" }, svg)];
}

/* One sequence, opened. */

function shot(one, i) {
  const scores = one ? `J ${share(one.J)}, F ${share(one.F)}` : "";
  return make("figure", { style: tint(i) },
    one && one.src
      ? make("img", { src: one.src, width: one.width, height: one.height, alt: `Errors, ${scores}`, loading: "lazy" })
      : make("div", { class: "none" }, "not scored"),
    make("figcaption", {}, many ? make("b", {}, data.names[i] + " ") : null, one ? one.caption + ": " : "", scores));
}

function detail(sequence) {
  const charts = sequence.items.map(chart);
  const shots = sequence.pictures.flatMap((moment) => moment.shots.map(shot));
  return [
    predictions([["J", false], ["F", true]]),
    make("div", { class: "charts" }, charts),
    shots.length ? make("h3", {}, "Worst frames") : null,
    shots.length ? colours() : null,
    shots.length ? make("div", { class: "shots", style: many ? `grid-template-columns: repeat(${data.names.length}, minmax(0, 1fr))` : null }, shots) : null,
  ].filter((part) => part !== null);
}

function colours() {
  const named = { both: "right", missed: "missed", extra: "too much" };
  return make("div", { class: "legend" },
    Object.entries(data.colours).map(([key, value]) =>
      make("span", { style: `--tint: ${value}` }, make("i", { class: "box" }), named[key])),
    make("span", { style: "--tint: #fff" }, make("i", { class: "box", style: "outline: 1px solid #888" }), "outline of the ground truth"));
}

/* The table of sequences. */

const measures = ["J&F", "J", "F"];

function columns() {
  const found = [{ name: "sequence", of: (s) => s.name, text: true }, { name: "objects", of: (s) => s.items.length }];
  data.names.forEach((name, i) => {
    for (const measure of measures) {
      const label = many ? `${name} ${measure}` : measure;
      if (many && measure !== "J&F") continue;
      found.push({ name: label, of: (s) => (s.scores[i] ? s.scores[i][measure] : null), bar: true });
    }
    if (many && i) {
      const change = (s) => (s.scores[i] && s.scores[0] ? s.scores[i]["J&F"] - s.scores[0]["J&F"] : null);
      found.push({ name: `${name} − ${data.names[0]}`, of: change, change: true });
    }
  });
  return found;
}

function cell(column, sequence) {
  const value = column.of(sequence);
  if (column.text || column.name === "objects") return make("td", {}, String(value));
  if (column.change) return make("td", {}, value === null ? "–" : difference(value, 0));
  return make("td", { class: "bar", style: `--fill: ${100 * (value ?? 0)}%` }, share(value));
}

function table() {
  const all = columns();
  const body = make("tbody");
  const rows = data.sequences.map((sequence) => {
    const opened = make("tr", { hidden: "" }, make("td", { class: "detail", colspan: all.length }));
    const toggle = () => {
      if (!opened.firstChild.hasChildNodes()) opened.firstChild.append(...detail(sequence));
      opened.hidden = !opened.hidden;
      row.setAttribute("aria-expanded", String(!opened.hidden));
    };
    const row = make("tr", {
      class: "row", tabindex: 0, "aria-expanded": "false", onclick: toggle,
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); } },
    }, all.map((column) => cell(column, sequence)));
    return { sequence, row, opened, toggle };
  });
  const show = () => rows.forEach(({ row, opened }) => body.append(row, opened));
  let by = null;
  let upwards = true;
  const head = make("tr", {}, all.map((column) => {
    const sort = () => {
      upwards = by === column ? !upwards : true;
      by = column;
      head.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      const key = (entry) => column.of(entry.sequence) ?? -1;
      rows.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (upwards ? 1 : -1));
      show();
    };
    const title = make("th", {}, make("button", { type: "button", onclick: sort }, column.name));
    return title;
  }));
  const filter = make("input", {
    type: "search", placeholder: "Find a sequence", "aria-label": "Find a sequence",
    oninput: (event) => {
      const wanted = event.target.value.toLowerCase();
      rows.forEach(({ sequence, row, opened }) => {
        row.hidden = !sequence.name.toLowerCase().includes(wanted);
        opened.hidden = row.hidden || row.getAttribute("aria-expanded") !== "true";
      });
    },
  });
  show();
  rows.slice(0, 2).forEach((entry) => entry.toggle());
  return [
    make("h2", {}, "Sequences, the worst first"),
    make("div", { class: "tools" }, filter, make("span", { class: "soft" }, "Open a row for its curves and worst frames. All numbers in percent.")),
    make("div", { class: "wide" }, make("table", {}, make("thead", {}, head), body)),
  ];
}

document.getElementById("page").append(
  make("h1", {}, data.title),
  make("p", {}, data.about),
  make("div", { class: "cards" }, data.names.map((_, i) => card(i))),
  ...[list("Left out", data.missing), list("Remarks", data.notes)].filter((part) => part !== null),
  ...overview(),
  ...table(),
);
