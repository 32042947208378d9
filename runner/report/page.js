
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const config = { displayModeBar: false, doubleClick: "reset", showTips: false };
  const NARROW = 560;
  const LINE = 15;
  const pen = document.createElement("canvas").getContext("2d");

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plain = (text) => {
    const box = document.createElement("textarea");
    box.innerHTML = text;
    return box.value;
  };

  function theme(printing) {
    const dark = darkness.matches && !printing;
    const colours = { dark };
    for (const name of ["paper", "ink", "muted", "rule", "soft"]) colours[name] = style(`--${name}`);
    return colours;
  }

  function textWidth(text, size) {
    pen.font = `${size}px system-ui, sans-serif`;
    return pen.measureText(plain(text).replace(/<[^>]*>/g, "")).width;
  }

  // --- what is drawn, in the colours of the page and without what is switched off

  function coloured(trace, hidden, colours) {
    const meta = trace.meta || {};
    const copy = structuredClone(trace);
    if (meta.crosses) copy.marker.line.color = colours.muted;
    if (meta.series === undefined) return copy;
    const colour = colours.dark ? meta.dark : meta.light;
    copy.visible = !hidden.has(meta.series);
    if (copy.line) copy.line.color = colour;
    if (copy.marker) {
      copy.marker.color = colour;
      if (copy.marker.line) copy.marker.line.color = colour;
    }
    for (const bar of ["error_x", "error_y"]) if (copy[bar]) copy[bar].color = colour;
    copy.hoverlabel = { bgcolor: colours.paper, bordercolor: colour, font: { color: colours.ink, size: 13 } };
    return copy;
  }

  function axis(found, colours, size, room) {
    const kept = { ...found, linecolor: colours.rule, gridcolor: colours.rule, fixedrange: true };
    kept.tickfont = { color: colours.muted, size: size - 0.5 };
    kept.tickcolor = colours.rule;
    if (found.title) kept.title = { ...found.title, font: { color: colours.muted, size }, standoff: 8 };
    if (room) kept.nticks = room;
    return kept;
  }

  function shape(found, colours) {
    const line = { color: colours.muted, width: 1.2, ...found.line };
    return found.type === "rect" ? { ...found, fillcolor: colours.soft } : { ...found, line };
  }

  function base(figure, colours, width) {
    const size = width < NARROW ? 11 : 12;
    const layout = structuredClone(figure.layout);
    layout.width = width;
    layout.font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size, color: colours.ink };
    layout.paper_bgcolor = layout.plot_bgcolor = colours.paper;
    layout.dragmode = false;
    layout.xaxis = axis(layout.xaxis, colours, size, width < NARROW ? 5 : 0);
    layout.yaxis = axis(layout.yaxis, colours, size, 0);
    layout.shapes = (layout.shapes || []).map((each) => shape(each, colours));
    layout.hoverlabel = { bgcolor: colours.paper, bordercolor: colours.muted, font: { color: colours.ink, size: 13 } };
    return layout;
  }

  // --- each kind of chart

  const kinds = {
    lines(figure, layout, data, colours) {
      const size = layout.font.size;
      const shown = data.filter((each) => each.visible && each.mode === "lines");
      const names = figure.data.filter((each) => each.mode === "lines").map((each) => each.name);
      const widest = Math.max(0, ...names.map((name) => textWidth(name, size)));
      const right = Math.min(widest + 26, layout.width * 0.4);
      layout.margin = { l: layout.width < NARROW ? 44 : 60, r: right, t: 30, b: 46 };
      thin(layout.xaxis, layout.width - layout.margin.l - right, size);
      layout.annotations = [...ends(shown, layout, colours), above(figure.yLabel, colours, size)];
    },
    intervals(figure, layout, data, colours) {
      const size = layout.font.size + 0.5;
      const widest = Math.max(...layout.yaxis.ticktext.map((name) => textWidth(name, size)));
      const left = Math.min(widest + 18, layout.width * 0.5);
      layout.margin = { l: left, r: 18, t: 6, b: 52 };
      layout.yaxis.tickfont = { color: colours.ink, size };
    },
    heat(figure, layout, data, colours) {
      const size = layout.font.size;
      const widest = Math.max(...layout.yaxis.ticktext.map((text) => textWidth(text, size)));
      layout.margin = { l: Math.min(widest + 34, layout.width * 0.4), r: 6, t: 34, b: 62 };
      layout.title.font = { size: 14, color: colours.ink };
      layout.xaxis.tickangle = 0;
      layout.xaxis.title.standoff = 4;
      const columns = layout.xaxis.ticktext.length;
      const cell = (layout.width - layout.margin.l - layout.margin.r) / columns;
      const needed = Math.max(...layout.xaxis.ticktext.map((text) => textWidth(text, size)));
      if (needed + 4 > cell) layout.xaxis.tickangle = -60;
      for (const each of data) if (each.meta?.written) each.visible = cell >= 42;
    },
    parallel(figure, layout, data, colours) {
      layout.margin = { l: 14, r: 14, t: 34, b: 8 };
      layout.xaxis.tickfont = { color: colours.ink, size: layout.font.size };
      layout.xaxis.nticks = 0;
      for (const note of layout.annotations) {
        note.font.color = colours.ink;
        note.bgcolor = colours.paper;
        note.opacity = 0.88;
      }
    },
  };

  // Every second tick, or every third, …, so that none covers another.
  function thin(axis, room, size) {
    if (!axis.ticktext || axis.ticktext.length < 2) return;
    const widest = Math.max(...axis.ticktext.map((text) => textWidth(text, size)));
    const step = Math.ceil((widest + 10) / (room / (axis.ticktext.length - 1)));
    axis.tickvals = axis.tickvals.filter((_, i) => i % step === 0);
    axis.ticktext = axis.ticktext.filter((_, i) => i % step === 0);
    axis.tickangle = 0;
  }

  function above(text, colours, size) {
    const where = { xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "left", yanchor: "bottom" };
    return { ...where, xshift: -6, yshift: 6, text, showarrow: false, font: { color: colours.muted, size } };
  }

  // A name at the end of each curve, moved up or down until none covers another.
  function ends(traces, layout, colours) {
    const size = layout.font.size;
    const wide = layout.width - layout.margin.l - layout.margin.r;
    const high = layout.height - layout.margin.t - layout.margin.b;
    const at = (axis, value) => {
      const [low, top] = axis.range;
      return ((axis.type === "log" ? Math.log10(value) : value) - low) / (top - low);
    };
    const place = (trace, i) => ({
      x: at(layout.xaxis, trace.x[i]) * wide,
      y: (1 - Math.min(1, Math.max(0, at(layout.yaxis, trace.y[i])))) * high,
    });
    const drawn = traces.flatMap((trace) =>
      trace.y.map((value, i) => (there(value, layout) ? place(trace, i) : null)).filter(Boolean));
    const labels = traces.map((trace) => {
      const last = trace.y.findLastIndex((value) => there(value, layout));
      const { x, y } = place(trace, last);
      return { x, y, text: trace.name, width: textWidth(trace.name, size), colour: trace.line.color };
    });
    labels.sort((a, b) => b.x - a.x || a.y - b.y);
    const placed = [];
    for (const label of labels) {
      label.left = Math.max(0, Math.min(label.x + 14, wide + layout.margin.r - label.width - 2));
      label.middle = free(label, placed, drawn, high);
      placed.push(label);
    }
    return placed.map((label) => ({
      xref: "paper", yref: "paper", x: label.x / wide, y: 1 - label.y / high,
      ax: label.left - label.x - 2, ay: label.middle - label.y, xanchor: "left",
      text: label.text, showarrow: true, arrowhead: 0, arrowwidth: 1.2, arrowcolor: label.colour,
      font: { color: label.colour, size }, bgcolor: colours.paper, borderpad: 0, opacity: 0.95,
    }));
  }

  const there = (value, layout) => value !== null && (layout.yaxis.type !== "log" || value > 0);

  // The nearest height at which a label covers no other and, if there is one, no curve.
  function free(label, placed, drawn, high) {
    const right = label.left + label.width + 4;
    const apart = (y) => placed.every((other) =>
      Math.abs(other.middle - y) >= LINE || other.left > right || label.left > other.left + other.width + 4);
    const under = drawn.filter((point) => point.x > label.left - 4 && point.x < right);
    const clear = (y) => under.every((point) => Math.abs(point.y - y) > LINE / 2 + 1);
    const heights = [];
    for (let step = 0; step < 80; step += 1) {
      const y = label.y + (step % 2 ? -1 : 1) * Math.ceil(step / 2) * LINE / 2;
      if (y >= 0 && y <= high - 6 && apart(y)) heights.push(y);
    }
    const near = heights.filter((y) => Math.abs(y - label.y) < 8 * LINE);
    return near.find(clear) ?? heights[0] ?? label.y;
  }

  // --- on the page

  function draw(box, printing = false) {
    const figure = figures[box.dataset.figure];
    const width = printing ? 660 : box.clientWidth;
    if (!width) return;
    const colours = theme(printing);
    const hidden = switchedOff.get(box.closest("section"));
    const data = figure.data.map((trace) => coloured(trace, hidden, colours));
    const layout = base(figure, colours, width);
    kinds[figure.kind](figure, layout, data, colours);
    Plotly.react(box, data, layout, config);
  }

  const boxes = [...document.querySelectorAll(".figure")];
  const switchedOff = new Map([...document.querySelectorAll("section")].map((each) => [each, new Set()]));
  const drawAll = (printing) => boxes.forEach((box) => draw(box, printing === true));

  function show(section, button, shown) {
    const hidden = switchedOff.get(section);
    const number = Number(button.dataset.series);
    if (shown) hidden.delete(number); else hidden.add(number);
    button.setAttribute("aria-pressed", String(shown));
  }

  function follow(section) {
    const keys = [...section.querySelectorAll(".key")];
    const every = section.querySelector(".every");
    const refresh = () => {
      const none = switchedOff.get(section).size === keys.length;
      every.textContent = none ? "show all" : "hide all";
      section.querySelectorAll(".figure").forEach((box) => draw(box));
    };
    for (const key of keys) key.addEventListener("click", () => {
      show(section, key, key.getAttribute("aria-pressed") === "false");
      refresh();
    });
    every.addEventListener("click", () => {
      const none = switchedOff.get(section).size === keys.length;
      for (const key of keys) show(section, key, none);
      refresh();
    });
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
