"use strict";
// What the report's page and the page of attention maps share: elements, the theme switch, boxes that scroll, the maps.
// Text of models becomes text nodes only (textContent), never markup.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

document.documentElement.classList.add("scripted");

// Theme: the system's, until the reader chooses. Browsers may refuse storage to a file; the choice then lasts a visit.

const storage = {
  get() { try { return localStorage.getItem("seq2seq-theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("seq2seq-theme", theme); } catch { /* not remembered */ } },
};
if (["light", "dark"].includes(storage.get())) document.documentElement.dataset.theme = storage.get();

function startTheme() {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
  const show = () => { button.textContent = current() === "dark" ? "Light theme" : "Dark theme"; };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    storage.set(current());
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}

// Boxes that scroll sideways can be reached and scrolled by keyboard.
function startScrolling() {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const box of document.querySelectorAll(".scroll")) observer.observe(box);
}

// Rows are the pieces of the translation, columns those of the source; darker is more.
function heatMap(name, source, target, weights) {
  const [cell, character] = [18, 7.5];
  [source, target] = [source, target].map((pieces) => pieces.map((piece) => piece.replaceAll("▁", "_")));
  const longest = (pieces) => Math.max(...pieces.map((piece) => piece.length)) * character + 10;
  const [left, top] = [longest(target), longest(source) * 0.8 + 10];
  const width = left + source.length * cell + longest(source) * 0.6;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${top + target.length * cell + 2}`, width, class: "heat", role: "img" });
  svg.setAttribute("aria-label", `Attention of ${name}: each piece of the translation over the pieces of the source`);
  const bytes = atob(weights);
  source.forEach((piece, s) => {
    const x = left + (s + 0.6) * cell;
    svg.append(drawn("text", { x, y: top - 6, transform: `rotate(-55 ${x} ${top - 6})` }, piece));
  });
  target.forEach((piece, t) => {
    const y = top + t * cell;
    svg.append(drawn("text", { x: left - 6, y: y + 13, "text-anchor": "end" }, piece));
    source.forEach((from, s) => {
      const weight = bytes.charCodeAt(t * source.length + s) / 255;
      const place = { x: left + s * cell, y, width: cell - 1, height: cell - 1 };
      const rectangle = drawn("rect", { ...place, "fill-opacity": (0.05 + 0.95 * weight).toFixed(3) });
      rectangle.append(drawn("title", {}, `${piece} ← ${from}: ${weight.toFixed(2)}`));
      svg.append(rectangle);
    });
  });
  return svg;
}
