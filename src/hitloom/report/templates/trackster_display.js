// Buttons of the display of tracksters: which picture, endcap, layers and energies. State lives here; plotly draws.
(function () {
  "use strict";
  const root = document.getElementById("trackster-display");
  if (!root) return;
  const figure = JSON.parse(document.getElementById("trackster-display-data").textContent);
  const target = root.querySelector(".stage");
  const modes = ["before", "after", "truth"];
  const scenes = ["scene", "scene2", "scene3"];
  const state = { mode: "all", side: root.dataset.side, step: "0", layers: {} };
  for (const button of root.querySelectorAll("button[data-layer]")) {
    state.layers[button.dataset.layer] = button.getAttribute("aria-pressed") === "true";
  }
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shown = (trace) =>
    (state.mode === "all" || trace.meta.mode === state.mode) &&
    (state.side === "0" || Number(state.side) === trace.meta.side) &&
    trace.meta.step >= Number(state.step) && state.layers[trace.meta.layer] !== false;

  // One picture fills the stage, or all share it; narrow screens put them below each other.
  function places() {
    const narrow = target.clientWidth < 900;
    const change = { height: narrow && state.mode === "all" ? 1500 : 620 };
    modes.forEach(function (mode, number) {
      const alone = state.mode === mode, all = state.mode === "all";
      let x = [0, 1], y = [0, 1];
      if (all && narrow) y = [1 - (number + 1) / 3, 1 - number / 3 - 0.03];
      if (all && !narrow) x = [number / 3, (number + 1) / 3 - 0.005];
      if (!all && !alone) { x = [0, 0.001]; y = [0, 0.001]; }
      change[scenes[number] + ".domain"] = { x: x, y: y };
      change["annotations[" + number + "].visible"] = all || alone;
      change["annotations[" + number + "].x"] = (x[0] + x[1]) / 2;
      change["annotations[" + number + "].y"] = narrow && all ? y[1] : 1;
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
    const cameras = {};
    for (const scene of scenes) if (scene !== moved) cameras[scene + ".camera"] = change[moved + ".camera"];
    Plotly.relayout(target, cameras).then(function () { turning = false; });
  }

  function update() {
    Plotly.update(target, { visible: target.data.map(shown) }, places());
  }

  root.addEventListener("click", function (event) {
    const button = event.target.closest("button");
    if (!button) return;
    const data = button.dataset;
    if (data.layer) {
      state.layers[data.layer] = !state.layers[data.layer];
      button.setAttribute("aria-pressed", String(state.layers[data.layer]));
    } else {
      const name = ["mode", "side", "step"].find((key) => data[key] !== undefined);
      state[name] = data[name];
      for (const other of root.querySelectorAll("button[data-" + name + "]")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
    }
    update();
  });

  for (const trace of figure.data) trace.visible = shown(trace);
  Plotly.newPlot(target, figure.data, figure.layout, { responsive: true, displaylogo: false, scrollZoom: true }).then(function () {
    Plotly.relayout(target, Object.assign(places(), inks()));
    target.on("plotly_relayout", follow);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { Plotly.relayout(target, inks()); });
})();
