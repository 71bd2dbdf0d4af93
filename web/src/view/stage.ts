/** What the mouse and the window say, besides points and keys. */

import type { Saver } from "../model/saver";

/** Report drags with the right button, for window and level. */
export function dragGreys(stage: HTMLElement, signal: AbortSignal, moved: (dx: number, dy: number) => void): void {
  let last: PointerEvent | null = null;
  const down = (event: PointerEvent) => {
    if (event.button !== 2) return;
    event.stopPropagation();
    last = event;
    stage.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent) => {
    if (!last) return;
    moved(event.clientX - last.clientX, event.clientY - last.clientY);
    last = event;
  };
  const end = () => {
    last = null;
  };
  // before the viewer, which would move the film
  stage.addEventListener("pointerdown", down, { capture: true, signal });
  stage.addEventListener("pointermove", move, { signal });
  stage.addEventListener("pointerup", end, { signal });
  stage.addEventListener("pointercancel", end, { signal });
  const menu = (event: Event) => {
    event.preventDefault();
  };
  stage.addEventListener("contextmenu", menu, { signal });
}

/** Ask before the page goes away with unsaved changes, and try to save when the network is back. */
export function guardLeaving(saver: Saver, signal: AbortSignal): void {
  const leaving = (event: Event) => {
    if (saver.unsaved) event.preventDefault();
  };
  window.addEventListener("beforeunload", leaving, { signal });
  const online = () => {
    saver.retry();
  };
  window.addEventListener("online", online, { signal });
}
