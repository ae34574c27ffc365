// One map after the other; each is drawn when it comes near the window. Maps with a name, several of one sentence, stand
// side by side below it.

function startMaps() {
  const maps = JSON.parse(byId("data").textContent);
  const waiting = new Map(); // from the box to what will be drawn in it
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) draw(target);
  }, { rootMargin: "1000px" });

  function draw(box) {
    const one = waiting.get(box);
    waiting.delete(box);
    observer.unobserve(box);
    box.append(heatMap(`sentence ${one.number}${one.name ? `, ${one.name}` : ""}`, one.source_pieces, one.target_pieces, one.weights));
    box.style.minHeight = "";
  }

  let [group, sentence] = [null, null];
  for (const one of maps) {
    const box = element("div", { className: "scroll" });
    box.style.minHeight = `${one.target_pieces.length * 18 + 80}px`; // about, so that the page need not jump
    waiting.set(box, one);
    const texts = [
      element("span", { className: "number" }, one.number),
      element("span", { dir: "auto" }, one.source),
      element("span", { dir: "auto", className: "translation" }, one.translation || "(empty)"),
    ];
    if (!one.name) byId("all").append(element("figure", {}, element("figcaption", {}, ...texts), box));
    else {
      if (one.number !== sentence) {
        [group, sentence] = [element("div", { className: "group" }), one.number];
        byId("all").append(element("p", { className: "pair" }, ...texts), group);
      }
      group.append(element("figure", {}, element("figcaption", {}, one.name), box));
    }
    observer.observe(box);
  }
  addEventListener("beforeprint", () => { for (const box of [...waiting.keys()]) draw(box); });
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startMaps();
  startScrolling();
});
