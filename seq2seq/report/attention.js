// One map after the other; each is drawn when it comes near the window.

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
    box.append(heatMap(`sentence ${one.number}`, one.source_pieces, one.target_pieces, one.weights));
    box.style.minHeight = "";
  }

  for (const one of maps) {
    const box = element("div", { className: "scroll" });
    box.style.minHeight = `${one.target_pieces.length * 18 + 80}px`; // about, so that the page need not jump
    waiting.set(box, one);
    byId("all").append(element("figure", {},
      element("figcaption", {},
        element("span", { className: "number" }, one.number),
        element("span", { dir: "auto" }, one.source),
        element("span", { dir: "auto", className: "translation" }, one.translation || "(empty)")),
      box));
    observer.observe(box);
  }
  addEventListener("beforeprint", () => { for (const box of [...waiting.keys()]) draw(box); });
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startMaps();
  startScrolling();
});
