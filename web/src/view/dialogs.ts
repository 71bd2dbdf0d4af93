/** Windows over the page; each answers with a promise. */

import { h } from "./dom";

/** Show a dialog until it is closed. Return the value of the button that closed it, or "" for Escape. */
export function ask(title: string, body: Node[], buttons: { value: string; text: string }[]): Promise<string> {
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "dialog-title" }, title),
    ...body,
    h(
      "div",
      { class: "buttons" },
      ...buttons.map(({ value, text }) => h("button", { value, formnovalidate: value === "" }, text)),
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  document.body.append(dialog);
  const back = document.activeElement;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (back instanceof HTMLElement) back.focus();
      resolve(dialog.returnValue);
    });
  });
}

const NAME = "monai-ceph reviewer";

export function rememberedName(): string {
  return localStorage.getItem(NAME) ?? "";
}

export async function askName(current: string): Promise<string> {
  const input = h("input", { id: "reviewer", required: true, maxlength: 64, autocomplete: "name", value: current });
  const text = "Your name appears beside each point that you move, and under each film that you sign.";
  const body = [h("p", {}, text), h("label", { for: "reviewer" }, "Your name"), input];
  const answer = await ask("Who reviews?", body, [
    { value: "ok", text: "OK" },
    { value: "", text: "Cancel" },
  ]);
  const name = input.value.trim();
  if (answer !== "ok" || !name) return current;
  localStorage.setItem(NAME, name);
  return name;
}

/** The length between two ends, as the person typed it; null when they thought better of it. */
export async function askLength(pixels: number): Promise<string | null> {
  const input = h("input", { id: "length", required: true, inputmode: "decimal", size: 8 });
  const body = [
    h("p", {}, `The two ends are ${pixels.toFixed(1)} pixels apart.`),
    h("label", { for: "length" }, "Length in mm"),
    input,
  ];
  const answer = await ask("Calibrate", body, [
    { value: "ok", text: "Use this length" },
    { value: "", text: "Cancel" },
  ]);
  return answer === "ok" ? input.value : null;
}

export const KEYS: [string, string][] = [
  ["Tab, Shift+Tab", "next, previous doubtful point while the film has the focus"],
  ["n, Shift+n", "the same, from anywhere"],
  [". ,", "next, previous point"],
  ["arrows", "move the chosen point by 1 pixel"],
  ["Shift+arrows", "move it by 0.1 pixel"],
  ["p", "place the chosen point: where it is expected, or in the middle"],
  ["x, Delete", "the chosen point is not on the film"],
  ["r", "the chosen point as detected"],
  ["Ctrl+z, Ctrl+Shift+z", "undo, redo"],
  ["c", "centre the chosen point"],
  ["+ - 0", "closer, further, whole film"],
  ["Ctrl+arrows", "move the film"],
  ["i", "invert"],
  ["h", "heatmap of the chosen point on or off"],
  ["t", "tracing on or off"],
  ["k", "calibrate by a ruler: arrows and Enter set both ends"],
  ["Ctrl+Enter", "sign"],
  ["] [", "next, previous film"],
  ["w", "worklist"],
  ["?", "this help"],
];

export async function help(): Promise<void> {
  const rows = KEYS.map(([keys, text]) =>
    h("div", {}, h("dt", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, text)),
  );
  const mouse =
    "Drag a point to move it, the film to move the film. The wheel zooms. Drag with the right button for window and level.";
  await ask("Keys", [h("p", {}, mouse), h("dl", { class: "keys" }, ...rows)], [{ value: "", text: "Close" }]);
}
