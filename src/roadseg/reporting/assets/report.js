"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // Tables: a click on a heading sorts, the largest first; a second click turns the order around.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = column === 0 ? head.ariaSort === "ascending" : head.ariaSort !== "descending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => Number(row.cells[column].dataset.value);
      body.append(...[...body.rows].sort((a, b) => (down ? value(b) - value(a) : value(a) - value(b))));
    }));
  }

  // Charts: what stands in a <title> appears at once beside the pointer.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  for (const chart of document.querySelectorAll("svg")) {
    chart.addEventListener("pointermove", (event) => {
      const title = event.target.querySelector && event.target !== chart && event.target.querySelector("title");
      tip.hidden = !title;
      if (!title) return;
      tip.textContent = title.textContent;
      tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
    });
    chart.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  if (!byId("controls")) return;

  // Pictures: two layers over each other, the upper one cut off left of the slider.
  const shown = new Set(data.classes.keys());
  const layers = { left: byId("left"), right: byId("right") };
  const opacity = byId("opacity");
  const WRONG = [255, 0, 128];

  const decoded = async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  };
  const pixels = (image, width, height) => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };
  const channels = async (address, width, height) => {
    if (!address) return null;
    const rgba = pixels(await decoded(address), width, height);
    const found = new Uint8Array(width * height);
    for (let i = 0; i < found.length; i += 1) found[i] = rgba[4 * i];
    return found;
  };

  class Picture {
    constructor(figure, example) {
      Object.assign(this, { figure, example });
      this.slider = figure.querySelector(".slider");
      this.handle = figure.querySelector(".handle");
      this.canvases = { left: figure.querySelector(".under"), right: figure.querySelector(".over") };
      this.readout = figure.querySelector(".readout");
      this.slider.addEventListener("input", () => this.cut());
      this.slider.addEventListener("pointermove", (event) => this.tell(event));
      this.slider.addEventListener("pointerleave", () => { this.readout.textContent = ""; });
    }

    async load() {
      const { width, height, truth, prediction } = this.example;
      const image = this.figure.querySelector("img");
      await image.decode();
      this.photo = pixels(image, width, height);
      [this.truth, this.prediction] = await Promise.all([
        channels(truth, width, height), channels(prediction, width, height),
      ]);
      for (const canvas of Object.values(this.canvases)) Object.assign(canvas, { width, height });
      this.draw();
      for (const part of this.figure.querySelectorAll(".compare [hidden]")) part.hidden = false;
      this.cut();
      this.figure.dataset.ready = "true";
    }

    cut() {
      const share = Number(this.slider.value);
      this.canvases.right.style.clipPath = `inset(0 0 0 ${share}%)`;
      this.handle.style.left = `${share}%`;
    }

    draw() {
      if (!this.photo) return;
      for (const side of ["left", "right"]) {
        this.paint(this.canvases[side], layers[side].value);
        this.figure.querySelector(`.tag.${side}`).textContent = layers[side].selectedOptions[0].textContent;
      }
    }

    paint(canvas, layer) {
      const context = canvas.getContext("2d");
      const out = context.createImageData(canvas.width, canvas.height);
      out.data.set(this.photo);
      const labels = this[layer];
      if (layer === "errors") this.mark(out.data);
      else if (labels instanceof Uint8Array) this.color(out.data, labels);
      context.putImageData(out, 0, 0);
    }

    color(rgba, labels) {
      const above = Number(opacity.value) / 100;
      for (let i = 0; i < labels.length; i += 1) {
        if (!shown.has(labels[i])) continue;
        const { color } = data.classes[labels[i]];
        for (let c = 0; c < 3; c += 1) rgba[4 * i + c] += above * (color[c] - rgba[4 * i + c]);
      }
    }

    mark(rgba) {
      if (!this.truth || !this.prediction) return;
      for (let i = 0; i < this.truth.length; i += 1) {
        const at = 4 * i;
        const gray = 0.3 * rgba[at] + 0.59 * rgba[at + 1] + 0.11 * rgba[at + 2];
        const known = this.truth[i] !== data.noTruth;
        const wrong = known && this.truth[i] !== this.prediction[i]
          && (shown.has(this.truth[i]) || shown.has(this.prediction[i]));
        for (let c = 0; c < 3; c += 1) {
          const calm = known ? 0.75 * gray : 0.25 * gray;
          rgba[at + c] = wrong ? 0.25 * gray + 0.75 * WRONG[c] : calm;
        }
      }
    }

    tell(event) {
      if (!this.photo) return;
      const box = this.slider.getBoundingClientRect();
      const { width, height } = this.example;
      const x = Math.min(width - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * width)));
      const y = Math.min(height - 1, Math.max(0, Math.floor((event.clientY - box.top) / box.height * height)));
      const name = (labels) => (data.classes[labels[y * width + x]] || { name: "none" }).name;
      const parts = [];
      if (this.truth) parts.push(`truth: ${name(this.truth)}`);
      if (this.prediction) parts.push(`prediction: ${name(this.prediction)}`);
      this.readout.textContent = parts.join(" · ");
    }
  }

  const pictures = data.examples.map((example, i) => new Picture(byId(`example${i}`), example));
  const redraw = () => pictures.forEach((picture) => picture.draw());
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      pictures[data.examples.findIndex((_, i) => `example${i}` === entry.target.id)].load();
    }
  }, { rootMargin: "600px" });
  pictures.forEach((picture) => watcher.observe(picture.figure));

  // Controls: shared by all pictures.
  const boxes = data.classes.map(({ name, color }, i) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    const swatch = document.createElement("i");
    box.type = "checkbox";
    box.checked = true;
    swatch.className = "swatch";
    swatch.style.background = `rgb(${color.join(",")})`;
    label.append(box, " ", swatch, name);
    box.addEventListener("change", () => choose(() => (box.checked ? shown.add(i) : shown.delete(i))));
    byId("choices").append(label);
    return box;
  });
  const choose = (change) => {
    change();
    boxes.forEach((box, i) => { box.checked = shown.has(i); });
    byId("shown").textContent = shown.size === boxes.length ? "all" : `${shown.size} of ${boxes.length}`;
    redraw();
  };
  byId("all").addEventListener("click", () => choose(() => boxes.forEach((_, i) => shown.add(i))));
  byId("none").addEventListener("click", () => choose(() => shown.clear()));
  for (const part of [layers.left, layers.right, opacity]) part.addEventListener("input", redraw);
  byId("controls").hidden = false;
})();
