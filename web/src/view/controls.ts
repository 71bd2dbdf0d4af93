/** Window, level, gamma and layers. */

import { type Grey, dragged } from "../model/grey";
import type { Film } from "../types";
import { h } from "./dom";

interface Range {
  key: "center" | "width" | "gamma";
  text: string;
  min: number;
  max: number;
  step: number;
}

export class GreyControls {
  readonly element: HTMLElement;
  grey: Grey;
  private inputs: { range: Range; input: HTMLInputElement }[] = [];
  private readonly inverted: HTMLButtonElement;

  constructor(
    private readonly film: Film,
    private readonly shown: (grey: Grey) => void,
  ) {
    this.grey = this.first();
    const { minimum, maximum } = film;
    const step = Math.max(1, Math.round((maximum - minimum) / 500));
    const ranges: Range[] = [
      { key: "center", text: "Level", min: minimum, max: maximum, step },
      { key: "width", text: "Window", min: 2, max: Math.max(3, maximum - minimum + 1), step },
      { key: "gamma", text: "Gamma", min: 0.3, max: 3, step: 0.05 },
    ];
    const click = () => {
      this.invert();
    };
    this.inverted = h("button", { type: "button", id: "invert", title: "i", click }, "Invert");
    const reset = () => {
      this.set(this.first());
    };
    this.element = h(
      "div",
      { class: "grey" },
      ...ranges.map((range) => {
        const input = h("input", {
          type: "range",
          id: `grey-${range.key}`,
          min: range.min,
          max: range.max,
          step: range.step,
        });
        input.addEventListener("input", () => {
          this.set({ ...this.grey, [range.key]: Number(input.value) });
        });
        this.inputs.push({ range, input });
        return h("label", {}, range.text, input);
      }),
      h("div", { class: "row" }, this.inverted, h("button", { type: "button", click: reset }, "Reset greys")),
    );
    this.draw();
  }

  private first(): Grey {
    return { ...this.film.window, gamma: 1, invert: false };
  }

  invert(): void {
    this.set({ ...this.grey, invert: !this.grey.invert });
  }

  /** Follow a drag on the film. */
  drag(dx: number, dy: number): void {
    this.set(dragged(this.grey, dx, dy, this.film.maximum - this.film.minimum));
  }

  private set(grey: Grey): void {
    this.grey = grey;
    this.shown(grey);
    this.draw();
  }

  private draw(): void {
    for (const { range, input } of this.inputs) input.value = String(this.grey[range.key]);
    this.inverted.setAttribute("aria-pressed", String(this.grey.invert));
  }
}

const LAYERS = "monai-ceph hidden layers";

/** Which layers are shown; what a person hides stays hidden on the next film. */
export class Layers {
  readonly element = h("fieldset", { class: "layers" }, h("legend", {}, "Show"));
  readonly shown: Set<string>;
  private readonly hidden = new Set<string>((localStorage.getItem(LAYERS) ?? "").split("\n").filter(Boolean));
  private known = new Set<string>();

  constructor(
    fixed: string[],
    private readonly changed: () => void,
  ) {
    this.shown = new Set();
    this.offer(fixed);
  }

  /** Add a switch for each layer that has none yet. */
  offer(names: Iterable<string>): void {
    for (const name of names) {
      if (this.known.has(name)) continue;
      this.known.add(name);
      if (!this.hidden.has(name)) this.shown.add(name);
      const input = h("input", { type: "checkbox", "data-layer": name, checked: this.shown.has(name) });
      input.addEventListener("change", () => {
        this.set(name, input.checked);
      });
      this.element.append(h("label", {}, input, name));
    }
  }

  /** Hide all lines, or show them all again. */
  toggle(names: string[]): void {
    const show = !names.some((name) => this.shown.has(name));
    for (const name of names) this.set(name, show);
  }

  private set(name: string, show: boolean): void {
    if (show) {
      this.shown.add(name);
      this.hidden.delete(name);
    } else {
      this.shown.delete(name);
      this.hidden.add(name);
    }
    localStorage.setItem(LAYERS, [...this.hidden].join("\n"));
    const input = this.element.querySelector<HTMLInputElement>(`input[data-layer="${CSS.escape(name)}"]`);
    if (input) input.checked = show;
    this.changed();
  }
}
