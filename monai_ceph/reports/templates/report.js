"use strict";
// every figure zooms by its view box: it works without the network, with keys, and prints as it is seen
for (const view of document.querySelectorAll(".view")) {
  const svg = view.querySelector("svg");
  const whole = svg.viewBox.baseVal;
  const full = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
  const box = { ...full };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
  const show = () => {
    box.x = clamp(box.x, full.x, full.x + full.width - box.width);
    box.y = clamp(box.y, full.y, full.y + full.height - box.height);
    svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
    view.classList.toggle("zoomed", box.width < full.width);
  };
  const zoom = (factor, atX = 0.5, atY = 0.5) => {
    const width = clamp(box.width / factor, full.width / 16, full.width);
    const height = (width / full.width) * full.height;
    box.x += (box.width - width) * atX;
    box.y += (box.height - height) * atY;
    box.width = width;
    box.height = height;
    show();
  };
  const pan = (x, y) => {
    box.x += x * box.width;
    box.y += y * box.height;
    show();
  };
  const acts = {
    in: () => zoom(1.5),
    out: () => zoom(1 / 1.5),
    fit: () => zoom(1e-6),
  };
  for (const button of view.parentElement.querySelectorAll("button[data-act]")) {
    button.addEventListener("click", acts[button.dataset.act]);
  }
  const keys = {
    "+": acts.in, "=": acts.in, "-": acts.out, "0": acts.fit,
    ArrowLeft: () => pan(-0.1, 0), ArrowRight: () => pan(0.1, 0),
    ArrowUp: () => pan(0, -0.1), ArrowDown: () => pan(0, 0.1),
  };
  view.addEventListener("keydown", (event) => {
    const zoomed = box.width < full.width;
    if (event.ctrlKey || event.metaKey || !(event.key in keys) || (event.key.startsWith("Arrow") && !zoomed)) return;
    event.preventDefault();
    keys[event.key]();
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const place = view.getBoundingClientRect();
    const at = [(event.clientX - place.left) / place.width, (event.clientY - place.top) / place.height];
    zoom(event.deltaY < 0 ? 1.25 : 0.8, ...at);
  }, { passive: false });
  view.addEventListener("pointermove", (event) => {
    if (!event.buttons || box.width >= full.width) return;
    view.setPointerCapture(event.pointerId);
    pan(-event.movementX / view.clientWidth, -event.movementY / view.clientHeight);
  });
  for (const check of view.parentElement.querySelectorAll("input[data-layer]")) {
    const layers = [...svg.querySelectorAll("g[id]")].filter((each) => each.id === check.dataset.layer);
    const apply = () => layers.forEach((layer) => { layer.style.display = check.checked ? "" : "none"; });
    check.addEventListener("change", apply);
    apply();
  }
}
