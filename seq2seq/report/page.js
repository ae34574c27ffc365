// The page reads without this script, which stands behind elements.js; it adds the sentence browser.

const ROW_HEIGHT = 44; // of a row of the list, as in page.css

// The words of `text` set against those of `base` by a longest common subsequence: a list of text, of <mark> where a word
// is not in the subsequence, and of a sign where words of `base` are missing without others in their place.
function differences(text, base) {
  const parts = text.split(/(\s+)/);
  const words = parts.filter((_, i) => i % 2 === 0);
  const others = base.split(/\s+/);
  const common = Array.from({ length: words.length + 1 }, () => new Uint16Array(others.length + 1));
  for (let i = words.length - 1; i >= 0; i--) {
    for (let j = others.length - 1; j >= 0; j--) {
      common[i][j] = words[i] === others[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const nodes = [];
  let [marked, missing] = [false, []]; // since the last common word
  const sign = () => {
    if (missing.length && !marked) nodes.push(element("span", { className: "gap", title: `missing: ${missing.join(" ")}` }));
    [marked, missing] = [false, []];
  };
  for (let i = 0, j = 0; i < words.length || j < others.length;) {
    if (i < words.length && words[i] === others[j]) {
      sign();
      nodes.push(words[i], parts[2 * i + 1] ?? "");
      i++; j++;
    } else if (i < words.length && (j === others.length || common[i + 1][j] >= common[i][j + 1])) {
      if (words[i] !== "") { nodes.push(element("mark", {}, words[i])); marked = true; }
      nodes.push(parts[2 * i + 1] ?? "");
      i++;
    } else {
      if (others[j] !== "") missing.push(others[j]);
      j++;
    }
  }
  sign();
  return nodes;
}

function textCell(text, base) {
  const cell = element("td", { dir: "auto" });
  if (base === null) cell.textContent = text;
  else cell.append(...differences(text, base));
  if (text.trim() === "") cell.append(element("span", { className: "nothing" }, "(empty)"));
  return cell;
}

function startBrowser() {
  const data = JSON.parse(byId("data").textContent);
  const { systems } = data;
  const [test, a, b, order, mark, filter] = ["test", "a", "b", "order", "mark", "filter"].map(byId);
  const [list, rows] = [byId("list"), byId("rows")];
  let current; // the test set shown, with `words` and `searched` for each sentence
  let shown = []; // numbers of the sentences in the list, in its order
  let selected = 0; // place in `shown`

  for (const [index, one] of data.tests.entries()) test.add(new Option(one.name, index));
  for (const [index, name] of systems.entries()) { a.add(new Option(name, index)); b.add(new Option(name, index)); }
  a.value = data.best[0];
  b.value = data.best.at(-1);
  if (systems.length < 2) for (const one of byId("controls").querySelectorAll(".pair")) one.remove();

  const firstText = (sentence) => (current.sources.length ? current.sources : current.references)[sentence];
  const difference = (sentence) => current.chrf[a.value][sentence] - current.chrf[b.value][sentence];

  function chooseTest() {
    current = data.tests[test.value];
    current.words ??= current.references.map((_, i) => firstText(i).split(/\s+/).filter(Boolean).length);
    current.searched ??= current.references.map((reference, i) =>
      [current.sources[i] ?? "", reference, ...current.outputs.map((lines) => lines[i])].join("\n").toLowerCase());
    arrange(null);
  }

  // Filter and sort; the sentence `kept` stays chosen if it is in the list, else the first is.
  function arrange(kept) {
    const wanted = filter.value.toLowerCase();
    const key = {
      file: (i) => i,
      a: (i) => -difference(i),
      b: difference,
      long: (i) => -current.words[i],
      short: (i) => current.words[i],
    }[order.value];
    const keys = Float64Array.from(current.references, (_, i) => key(i));
    shown = [...keys.keys()].filter((i) => current.searched[i].includes(wanted));
    shown.sort((i, j) => keys[i] - keys[j] || i - j);
    const total = current.references.length.toLocaleString("en");
    byId("count").textContent = wanted ? `${shown.length.toLocaleString("en")} of ${total} sentences` : `${total} sentences`;
    rows.style.height = `${shown.length * ROW_HEIGHT}px`;
    select(Math.max(0, shown.indexOf(kept)));
  }

  // Only the rows that can be seen, and a few beyond, are in the document.
  function drawRows() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - 4);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + 4);
    rows.replaceChildren(...shown.slice(first, last).map((sentence, i) => drawRow(sentence, first + i)));
    if (first <= selected && selected < last) list.setAttribute("aria-activedescendant", `row-${selected}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function drawRow(sentence, place) {
    const row = element("div", { className: "sentence", id: `row-${place}`, role: "option" });
    row.setAttribute("aria-selected", place === selected);
    row.setAttribute("aria-posinset", place + 1);
    row.setAttribute("aria-setsize", shown.length);
    row.style.top = `${place * ROW_HEIGHT}px`;
    row.dataset.place = place;
    row.append(element("span", { className: "number" }, sentence + 1));
    if (systems.length > 1) row.append(element("span", { className: "difference" }, signed(difference(sentence))));
    row.append(element("span", { className: "text", dir: "auto" }, firstText(sentence)));
    return row;
  }

  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);

  function select(place) {
    selected = Math.min(Math.max(place, 0), shown.length - 1);
    const top = selected * ROW_HEIGHT;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW_HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_HEIGHT - list.clientHeight;
    drawRows();
    drawDetail();
  }

  function drawDetail() {
    const sentence = shown[selected];
    const none = sentence === undefined;
    byId("detail").hidden = none;
    if (none) return;
    const reference = current.references[sentence];
    const outputs = current.outputs.map((lines) => lines[sentence]);
    const [one, other] = [Number(a.value), Number(b.value)];
    const base = (index) => ({
      reference,
      pair: index === one ? outputs[other] : index === other ? outputs[one] : null,
      nothing: null,
    })[mark.value];
    const line = (name, cell, score) => element("tr", {},
      element("th", { scope: "row" }, name, ...(score === undefined ? [] : [element("small", {}, score.toFixed(1))])), cell);
    byId("detail-title").textContent = `Sentence ${sentence + 1} of ${current.name}`;
    byId("texts").tBodies[0].replaceChildren(
      ...(current.sources.length ? [line("Source", textCell(current.sources[sentence], null))] : []),
      line("Reference", textCell(reference, null)),
      ...outputs.map((text, i) => line(systems[i], textCell(text, base(i)), current.chrf[i][sentence])),
    );
    byId("previous").disabled = selected === 0;
    byId("next").disabled = selected === shown.length - 1;
    drawMaps(sentence);
  }

  // Attention is parsed when somebody looks at it.
  function drawMaps(sentence) {
    const script = byId(`attention-${test.value}`);
    byId("attention").hidden = script === null;
    byId("maps").replaceChildren();
    if (script === null || !byId("attention").open) return;
    current.attention ??= JSON.parse(script.textContent);
    for (const { name, maps } of current.attention) {
      const figure = element("figure", {}, element("figcaption", {}, name));
      if (maps[sentence]) figure.append(element("div", { className: "scroll" }, heatMap(name, ...maps[sentence])));
      else figure.append(element("p", {}, sentence < maps.length ? "not kept for this sentence" :
        `in this page for the first ${maps.length.toLocaleString("en")} sentences only`));
      byId("maps").append(figure);
    }
  }

  for (const control of [a, b, order]) control.addEventListener("change", () => arrange(null));
  test.addEventListener("change", chooseTest);
  mark.addEventListener("change", drawDetail);
  filter.addEventListener("input", () => arrange(shown[selected]));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("attention").addEventListener("toggle", drawDetail);
  byId("previous").addEventListener("click", () => select(selected - 1));
  byId("next").addEventListener("click", () => select(selected + 1));
  list.addEventListener("scroll", drawRows);
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".sentence");
    if (row) select(Number(row.dataset.place));
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.floor(list.clientHeight / ROW_HEIGHT);
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    select(selected + steps[event.key]);
  });
  new ResizeObserver(drawRows).observe(list);

  byId("controls").hidden = byId("browser").hidden = false;
  chooseTest();
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startScrolling();
  // The report shows first; then its sentences, which may be many megabytes, are read.
  requestAnimationFrame(() => setTimeout(startBrowser));
});
