/** The model's heatmap of the chosen landmark over the film, on demand. */

import { api } from "../api";
import type { Heatmap, Term } from "../types";
import { h, say, svg } from "./dom";
import type { FilmViewer } from "./viewer";

/** Opacity of the maximum: the film stays visible under it. */
const OPACITY = 0.75;

interface Picture {
  map: Heatmap;
  url: string;
}

export class Heat {
  readonly button: HTMLButtonElement;
  readonly told = h("p", { class: "small", id: "heat", role: "status" });
  readonly element = svg("image", { class: "heat", preserveAspectRatio: "none" });
  private on = false;
  private symbol: string | null = null;
  private readonly pictures = new Map<string, Promise<Picture>>();
  private picture: Picture | null = null;
  private readonly detected: Set<string>;

  constructor(
    private readonly film: string,
    terms: Term[],
    private readonly changed: () => void,
  ) {
    this.detected = new Set(terms.filter((term) => term.detected).map((term) => term.symbol));
    const click = () => {
      this.toggle();
    };
    this.button = h("button", { type: "button", id: "heatmap", title: "h", "aria-pressed": "false", click }, "Heatmap");
  }

  toggle(): void {
    if (this.button.hidden) return;
    this.on = !this.on;
    this.button.setAttribute("aria-pressed", String(this.on));
    say(this.on ? "Heatmap on" : "Heatmap off");
    void this.look();
  }

  /** Show the heatmap of this landmark, if heatmaps are on. */
  choose(symbol: string | null): void {
    if (symbol === this.symbol) return;
    this.symbol = symbol;
    void this.look();
  }

  /** Put the picture where the film is on the screen. */
  draw(view: FilmViewer): void {
    const { picture } = this;
    this.element.setAttribute("visibility", picture ? "visible" : "hidden");
    if (!picture) return;
    const { x, y, width, height } = picture.map;
    const from = view.toScreen({ x, y });
    const to = view.toScreen({ x: x + width, y: y + height });
    this.element.setAttribute("x", String(from.x));
    this.element.setAttribute("y", String(from.y));
    this.element.setAttribute("width", String(to.x - from.x));
    this.element.setAttribute("height", String(to.y - from.y));
  }

  private wants(symbol: string): boolean {
    return this.on && this.symbol === symbol;
  }

  private async look(): Promise<void> {
    const { symbol } = this;
    this.show(null);
    if (!this.on) {
      this.told.textContent = "";
      return;
    }
    if (symbol === null || !this.detected.has(symbol)) {
      this.told.textContent =
        symbol === null ? "Choose a point to see its heatmap." : `The model does not look for ${symbol}.`;
      return;
    }
    this.told.textContent = `The heatmap of ${symbol} is being computed…`;
    try {
      const picture = await this.pictureOf(symbol);
      if (!this.wants(symbol)) return;
      const { maximum, same_model } = picture.map;
      const other = same_model ? "" : " Another model made it than the one that made the detection.";
      this.told.textContent = `Heatmap of ${symbol}: its highest value is ${maximum.toFixed(2)} of 1.${other}`;
      this.show(picture);
    } catch (error) {
      this.pictures.delete(symbol);
      if (this.wants(symbol))
        this.told.textContent = `No heatmap of ${symbol}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  private show(picture: Picture | null): void {
    this.picture = picture;
    if (picture) this.element.setAttribute("href", picture.url);
    else this.element.removeAttribute("href");
    this.changed();
  }

  private pictureOf(symbol: string): Promise<Picture> {
    let picture = this.pictures.get(symbol);
    if (!picture) {
      picture = api.heatmap(this.film, symbol).then(async (map) => ({ map, url: await coloured(map.picture) }));
      this.pictures.set(symbol, picture);
    }
    return picture;
  }

  destroy(): void {
    this.on = false;
    for (const picture of this.pictures.values()) {
      picture.then(({ url }) => {
        URL.revokeObjectURL(url);
      }, Object);
    }
  }
}

/** Turn grey into a colour that shows on bone and on air, the less opaque the lower the value. */
async function coloured(grey: Blob): Promise<string> {
  const bitmap = await createImageBitmap(grey);
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser cannot draw on a canvas.");
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const { data } = image;
  for (let at = 0; at < data.length; at += 4) {
    const value = data[at] ?? 0;
    data[at] = 255;
    data[at + 1] = 60 + 0.7 * value;
    data[at + 2] = 0;
    data[at + 3] = OPACITY * value;
  }
  context.putImageData(image, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob) resolve(URL.createObjectURL(blob));
      else reject(new Error("This browser cannot draw on a canvas."));
    });
  });
}
