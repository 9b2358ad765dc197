// Buttons of the display of wire views. State lives here; plotly draws.
(function () {
  "use strict";
  const root = document.getElementById("shower-display");
  if (!root) return;
  const figure = JSON.parse(document.getElementById("shower-display-data").textContent);
  const target = root.querySelector(".stage");
  const words = root.querySelector("[data-role=text]");
  const buttons = Array.from(root.querySelectorAll("button[data-view]"));
  let chosen = 0;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const shown = (trace) => trace.meta.view === chosen;

  function inks() {
    return { "font.color": colour("--ink"), "hoverlabel.bgcolor": colour("--paper"), "hoverlabel.font.color": colour("--ink") };
  }

  function ranges() {
    const ends = buttons[chosen].dataset.range.split(",").map(Number);
    return { "xaxis.range": ends.slice(0, 2), "yaxis.range": ends.slice(2) };
  }

  root.addEventListener("click", function (event) {
    const button = event.target.closest("button[data-view]");
    if (!button) return;
    chosen = Number(button.dataset.view);
    words.textContent = button.dataset.text + ".";
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    Plotly.update(target, { visible: target.data.map(shown) }, ranges());
  });

  for (const trace of figure.data) trace.visible = shown(trace);
  Plotly.newPlot(target, figure.data, figure.layout, { responsive: true, displaylogo: false, scrollZoom: true }).then(function () {
    Plotly.relayout(target, Object.assign(ranges(), inks()));
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { Plotly.relayout(target, inks()); });
})();
