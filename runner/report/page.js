(() => {
  "use strict";
  const { figures, dark } = JSON.parse(document.getElementById("figures").textContent);
  const paired = new Map(Object.entries(dark));
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const options = {
    mode: "vega", ast: true, renderer: "svg", actions: false, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const boxes = [...document.querySelectorAll(".figure")];
  const drawn = new Map();
  const hidden = (section) => [...section.querySelectorAll(".key[aria-pressed=false]")]
    .map((key) => Number(key.dataset.series));

  // The figure as wide as its box, in the colours of the page, without what is switched off.
  async function draw(box, printing) {
    const width = printing ? 660 : box.clientWidth;
    if (!width) return;
    const inTheDark = darkness.matches && !printing;
    const text = JSON.stringify(figures[box.dataset.figure]);
    const spec = JSON.parse(text, (_, value) => (inTheDark && paired.get(value)) || value);
    spec.width = width;
    spec.signals.find((each) => each.name === "hidden").value = hidden(box.closest("section"));
    drawn.get(box)?.finalize();
    drawn.set(box, await vegaEmbed(box, spec, options));
  }

  const drawAll = (printing) => Promise.all(boxes.map((box) => draw(box, printing === true)));

  function follow(section) {
    const keys = [...section.querySelectorAll(".key")];
    const every = section.querySelector(".every");
    const show = (some, shown) => {
      for (const key of some) key.setAttribute("aria-pressed", String(shown));
      every.textContent = hidden(section).length === keys.length ? "show all" : "hide all";
      for (const box of section.querySelectorAll(".figure")) {
        drawn.get(box)?.view.signal("hidden", hidden(section)).runAsync();
      }
    };
    for (const key of keys) {
      key.addEventListener("click", () => show([key], key.getAttribute("aria-pressed") === "false"));
    }
    every.addEventListener("click", () => show(keys, hidden(section).length === keys.length));
  }

  document.querySelectorAll(".keys").forEach((keys) => follow(keys.closest("section")));
  document.documentElement.classList.add("drawn");
  drawAll();
  darkness.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => drawAll(true));
  addEventListener("afterprint", drawAll);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) requestAnimationFrame(drawAll);
    width = innerWidth;
  });
})();
