// Buttons of the event display: which layers, above which pt, in which view. State lives here; plotly draws.
(function () {
  "use strict";
  const root = document.getElementById("event-display");
  if (!root) return;
  const figures = JSON.parse(document.getElementById("event-display-data").textContent);
  const drawn = {};
  // The texts of the hits come once, with the 3D figure; the same hits stand in the same order in the projections.
  const key = (trace) => trace.meta.layer + " " + trace.meta.pt;
  const texts = {};
  for (const trace of figures.space.data) if (trace.text) texts[key(trace)] = trace.text;
  for (const trace of figures.plane.data) {
    if (!trace.text && texts[key(trace)] && trace.mode === "markers") {
      trace.text = texts[key(trace)];
      trace.hoverinfo = "text";
    }
  }
  const state = { view: "space", pt: 0, layers: {} };
  for (const button of root.querySelectorAll("button[data-layer]")) {
    state.layers[button.dataset.layer] = button.getAttribute("aria-pressed") === "true";
  }
  const shown = (trace) => state.layers[trace.meta.layer] !== false && (state.pt === 0 || trace.meta.pt >= state.pt);
  const stage = (view) => root.querySelector('[data-stage="' + view + '"]');
  const ink = () => getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const paper = () => getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();

  function colours() {
    return {
      "font.color": ink(), "hoverlabel.bgcolor": paper(), "hoverlabel.font.color": ink(),
    };
  }

  function draw() {
    for (const view of ["space", "plane"]) stage(view).hidden = view !== state.view;
    const target = stage(state.view);
    if (!drawn[state.view]) {
      const figure = figures[state.view];
      for (const trace of figure.data) trace.visible = shown(trace);
      const layout = Object.assign({}, figure.layout, { updatemenus: [], showlegend: false, height: target.clientHeight });
      layout.margin = { l: 50, r: 10, t: 10, b: 45 };
      layout.font = { color: ink(), size: 12 };
      layout.hoverlabel = { align: "left", bgcolor: paper(), font: { color: ink() } };
      drawn[state.view] = Plotly.newPlot(target, figure.data, layout, {
        responsive: true, displaylogo: false, scrollZoom: true,
        modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
      });
    } else {
      Plotly.restyle(target, { visible: target.data.map(shown) });
    }
  }

  root.addEventListener("click", function (event) {
    const button = event.target.closest("button");
    if (!button) return;
    const data = button.dataset;
    if (data.layer) {
      state.layers[data.layer] = !state.layers[data.layer];
      button.setAttribute("aria-pressed", String(state.layers[data.layer]));
    } else {
      const name = data.pt !== undefined ? "pt" : "view";
      state[name] = name === "pt" ? Number(data.pt) : data.view;
      for (const other of root.querySelectorAll("button[data-" + name + "]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    }
    draw();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    for (const view of Object.keys(drawn)) Plotly.relayout(stage(view), colours());
  });
  draw();
})();
