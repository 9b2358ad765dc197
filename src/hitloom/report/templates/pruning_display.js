// Buttons of the display of pruned tracksters: which one, and which layer clusters. State lives here; plotly draws.
(function () {
  "use strict";
  const root = document.getElementById("pruning-display");
  if (!root) return;
  const figure = JSON.parse(document.getElementById("pruning-display-data").textContent);
  const target = root.querySelector(".stage");
  const words = root.querySelector("[data-role=text]");
  const scenes = ["scene", "scene2"];
  const state = { trackster: 0, hidden: {} };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shown = (trace) => trace.meta.trackster === state.trackster && !state.hidden[trace.meta.layer];

  // Narrow screens put the pictures below each other.
  function places() {
    const narrow = target.clientWidth < 760;
    const change = { height: narrow ? 900 : 520 };
    scenes.forEach(function (scene, number) {
      const x = narrow ? [0, 1] : [number / 2, number / 2 + 0.495];
      const y = narrow ? [0.5 - number / 2, 0.97 - number / 2] : [0, 1];
      change[scene + ".domain"] = { x: x, y: y };
      change["annotations[" + number + "].x"] = (x[0] + x[1]) / 2;
      change["annotations[" + number + "].y"] = y[1];
    });
    return change;
  }

  function inks() {
    return { "font.color": colour("--ink"), "hoverlabel.bgcolor": colour("--paper"), "hoverlabel.font.color": colour("--ink") };
  }

  let turning = false;
  function follow(change) {
    if (turning) return;
    const moved = scenes.find((scene) => change[scene + ".camera"]);
    if (!moved) return;
    turning = true;
    const other = scenes.find((scene) => scene !== moved);
    Plotly.relayout(target, { [other + ".camera"]: change[moved + ".camera"] }).then(function () { turning = false; });
  }

  root.addEventListener("click", function (event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.layer) {
      state.hidden[button.dataset.layer] = !state.hidden[button.dataset.layer];
      button.setAttribute("aria-pressed", String(!state.hidden[button.dataset.layer]));
    } else {
      state.trackster = Number(button.dataset.trackster);
      words.textContent = button.dataset.text + ".";
      for (const other of root.querySelectorAll("button[data-trackster]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    }
    Plotly.update(target, { visible: target.data.map(shown) }, places());
  });

  for (const trace of figure.data) trace.visible = shown(trace);
  Plotly.newPlot(target, figure.data, figure.layout, { responsive: true, displaylogo: false, scrollZoom: true }).then(function () {
    Plotly.relayout(target, Object.assign(places(), inks()));
    target.on("plotly_relayout", follow);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { Plotly.relayout(target, inks()); });
})();
