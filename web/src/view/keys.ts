/** The keys of the film page. */

export interface Actions {
  move: (dx: number, dy: number) => void;
  pan: (dx: number, dy: number) => void;
  doubtful: (step: 1 | -1) => boolean;
  point: (step: 1 | -1) => void;
  place: () => void;
  absent: () => void;
  asDetected: () => void;
  undo: () => void;
  redo: () => void;
  center: () => void;
  zoom: (factor: number) => void;
  fit: () => void;
  invert: () => void;
  heatmap: () => void;
  tracing: () => void;
  calibrate: () => void;
  enter: () => boolean;
  escape: () => void;
  sign: () => void;
  film: (step: 1 | -1) => void;
  worklist: () => void;
  help: () => void;
}

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Whether the element keeps its own keys, such as a text field or a slider. */
function typing(target: EventTarget | null): boolean {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && target.type !== "checkbox";
}

/** Do what a key says. Return whether it says anything. */
export function pressed(event: KeyboardEvent, actions: Actions, onFilm: boolean): boolean {
  const command = event.ctrlKey || event.metaKey;
  if (event.altKey || typing(event.target)) return false;
  const arrow = ARROWS[event.key];
  if (arrow) {
    const [dx, dy] = arrow;
    if (command) actions.pan(80 * dx, 80 * dy);
    else actions.move(event.shiftKey ? dx / 10 : dx, event.shiftKey ? dy / 10 : dy);
    return true;
  }
  if (event.key === "Tab") return onFilm && actions.doubtful(event.shiftKey ? -1 : 1);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (command) {
    if (key === "z") (event.shiftKey ? actions.redo : actions.undo)();
    else if (key === "y") actions.redo();
    else if (key === "Enter") actions.sign();
    else return false;
    return true;
  }
  if (key === "Enter") return onFilm && actions.enter();
  const simple: Record<string, () => unknown> = {
    n: () => actions.doubtful(event.shiftKey ? -1 : 1),
    ".": () => {
      actions.point(1);
    },
    ",": () => {
      actions.point(-1);
    },
    p: actions.place,
    x: actions.absent,
    Delete: actions.absent,
    r: actions.asDetected,
    c: actions.center,
    "+": () => {
      actions.zoom(1.4);
    },
    "=": () => {
      actions.zoom(1.4);
    },
    "-": () => {
      actions.zoom(1 / 1.4);
    },
    "0": actions.fit,
    i: actions.invert,
    h: actions.heatmap,
    t: actions.tracing,
    k: actions.calibrate,
    Escape: actions.escape,
    "]": () => {
      actions.film(1);
    },
    "[": () => {
      actions.film(-1);
    },
    w: actions.worklist,
    "?": actions.help,
  };
  const action = simple[key];
  action?.();
  return action !== undefined;
}
