/** The column beside the film: points, measurements, what there is to say. */

import { find, statusOf } from "../model/points";
import { withUnit } from "../model/units";
import type { Content, Landmark, Measurement, Term } from "../types";
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
  private buttons = new Map<string, HTMLButtonElement>();

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
          h("small", {}),
        );
        this.buttons.set(term.symbol, button);
        grid.append(button);
      }
      this.element.append(h("details", { open: detected }, h("summary", {}, title), grid));
    }
  }

  draw(content: Content, chosen: string | null): void {
    for (const term of this.terms) {
      const button = this.buttons.get(term.symbol);
      if (!button) continue;
      const point = find(content.points, term.symbol);
      const status = statusOf(point, this.landmarks.get(term.symbol));
      const moved = status === "human" && point?.moved_from ? "moved" : WORDS[status];
      button.className = status;
      button.setAttribute("aria-pressed", String(chosen === term.symbol));
      button.setAttribute("aria-label", [term.symbol, term.name, moved].filter(Boolean).join(", "));
      const small = button.querySelector("small");
      if (small) small.textContent = moved;
    }
  }
}

function number(value: number): string {
  return value.toFixed(1).replace("-", "\u2212");
}

function signed(value: number): string {
  return (value > 0 ? "+" : "") + number(value);
}

export function measurementTable(measurements: Measurement[]): HTMLElement {
  const groups = new Map<string, Measurement[]>();
  for (const one of measurements) groups.set(one.analysis, [...(groups.get(one.analysis) ?? []), one]);
  // without a norm for this patient, two columns would be empty
  const normed = measurements.some((one) => one.norm !== null);
  const heads = normed ? ["", "value", "norm", "deviation"] : ["", "value"];
  const bodies = [...groups].map(([analysis, those]) =>
    h(
      "tbody",
      {},
      h("tr", {}, h("th", { colspan: heads.length, scope: "rowgroup" }, analysis)),
      ...those.map((one) =>
        h(
          "tr",
          { "data-measurement": one.symbol, class: one.value === null ? "none" : one.flag ? `flag ${one.flag}` : "" },
          h("th", { scope: "row", title: one.name }, one.symbol),
          one.value === null
            ? h("td", { colspan: heads.length - 1, class: "reason" }, one.reason ?? "not measured")
            : h("td", { class: "value" }, withUnit(number(one.value), one.unit)),
          normed &&
            one.value !== null &&
            h("td", { title: one.norm?.citation }, one.norm ? `${number(one.norm.mean)} ± ${number(one.norm.sd)}` : ""),
          normed &&
            one.value !== null &&
            h(
              "td",
              { class: "deviation", title: one.text || null },
              one.deviation === null ? "" : `${signed(one.deviation)} SD`,
              one.flag && h("b", {}, ` ${one.flag}`),
            ),
        ),
      ),
    ),
  );
  return h(
    "table",
    { class: "measurements" },
    h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
    ...bodies,
  );
}
