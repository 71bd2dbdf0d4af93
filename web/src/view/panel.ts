/** The points beside the film. */

import { find, statusOf } from "../model/points";
import type { Content, Landmark, Term } from "../types";
import { h } from "./dom";

const WORDS = {
  ok: "",
  uncertain: "look",
  missing: "missing",
  human: "placed",
  absent: "absent",
  unplaced: "",
} as const;

/** The list of points; a button each, so that it works by mouse, touch and keyboard. */
export class PointList {
  readonly element = h("div", { class: "points", role: "group", "aria-label": "Points" });
  private readonly buttons = new Map<string, HTMLButtonElement>();
  private readonly drawn = new Map<string, string>();

  constructor(
    private readonly terms: Term[],
    private readonly landmarks: ReadonlyMap<string, Landmark>,
    choose: (symbol: string) => void,
  ) {
    for (const [title, detected] of [
      ["Points", true],
      ["Placed by people only", false],
    ] as const) {
      const those = terms.filter((term) => term.detected === detected);
      if (!those.length) continue;
      const grid = h("div", { class: "grid" });
      for (const term of those) {
        const button = h(
          "button",
          {
            type: "button",
            "data-symbol": term.symbol,
            title: `${term.name}: ${term.definition}`,
            click: () => {
              choose(term.symbol);
            },
          },
          h("b", {}, term.symbol),
          // so that both are read as words of their own
          " ",
          h("small", {}),
        );
        this.buttons.set(term.symbol, button);
        grid.append(button);
      }
      this.element.append(h("details", { open: detected }, h("summary", {}, title), grid));
    }
  }

  /** Write what differs from the last time: a point that moves asks for this at every step. */
  draw(content: Content, chosen: string | null): void {
    for (const term of this.terms) {
      const point = find(content.points, term.symbol);
      const status = statusOf(point, this.landmarks.get(term.symbol));
      const moved = status === "human" && point?.moved_from ? "moved" : WORDS[status];
      const pressed = String(chosen === term.symbol);
      const now = [status, moved, pressed].join();
      const button = this.buttons.get(term.symbol);
      if (!button || this.drawn.get(term.symbol) === now) continue;
      this.drawn.set(term.symbol, now);
      button.className = status;
      button.setAttribute("aria-pressed", pressed);
      button.setAttribute("aria-label", `${[term.symbol, moved].filter(Boolean).join(" ")}, ${term.name}`);
      const small = button.querySelector("small");
      if (small) small.textContent = moved;
    }
  }
}
