/** From 16-bit values to the greys of the screen, and smaller copies of a film for the view from afar. */

export interface Grey {
  center: number;
  width: number;
  gamma: number;
  invert: boolean;
}

/**
 * Return a table of 65,536 opaque greys, little-endian RGBA. The window is linear as in DICOM PS3.3 C.11.2.1.2.1;
 * gamma above 1 brightens the middle greys.
 */
export function greyTable({ center, width, gamma, invert }: Grey): Uint32Array {
  const table = new Uint32Array(65536);
  const span = Math.max(width, 1) - 1;
  for (let value = 0; value < table.length; value++) {
    let share: number;
    if (value <= center - 0.5 - span / 2) share = 0;
    else if (value > center - 0.5 + span / 2) share = 1;
    else share = (value - (center - 0.5)) / span + 0.5;
    let grey = share ** (1 / gamma);
    if (invert) grey = 1 - grey;
    const level = Math.round(grey * 255);
    table[value] = ((255 << 24) | (level << 16) | (level << 8) | level) >>> 0;
  }
  return table;
}

export interface Plane {
  width: number;
  height: number;
  values: Uint16Array;
}

/** Half the size, each value the mean of up to four. */
export function halved({ width, height, values }: Plane): Plane {
  const [columns, rows] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const result = new Uint16Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    const top = 2 * row * width;
    const bottom = Math.min(2 * row + 1, height - 1) * width;
    for (let column = 0; column < columns; column++) {
      const left = 2 * column;
      const right = Math.min(left + 1, width - 1);
      const sum =
        (values[top + left] ?? 0) +
        (values[top + right] ?? 0) +
        (values[bottom + left] ?? 0) +
        (values[bottom + right] ?? 0);
      result[row * columns + column] = (sum + 2) >> 2;
    }
  }
  return { width: columns, height: rows, values: result };
}

/** The film and its smaller copies, the largest last, until one fits into a square of ``smallest`` pixels. */
export function pyramid(film: Plane, smallest: number): Plane[] {
  const planes = [film];
  for (let last = film; Math.max(last.width, last.height) > smallest;) {
    last = halved(last);
    planes.unshift(last);
  }
  return planes;
}

/** Draw a part of a plane into 32-bit pixels; places outside of the plane stay transparent. */
export function drawn(plane: Plane, left: number, top: number, width: number, height: number, table: Uint32Array) {
  const pixels = new Uint32Array(width * height);
  const [first, last] = [Math.max(0, -left), Math.min(width, plane.width - left)];
  for (let row = Math.max(0, -top); row < Math.min(height, plane.height - top); row++) {
    const from = (top + row) * plane.width + left;
    const to = row * width;
    for (let column = first; column < last; column++) {
      pixels[to + column] = table[plane.values[from + column] ?? 0] ?? 0;
    }
  }
  return pixels;
}

/** The window after a drag of the mouse: right widens, up brightens, by the film's own range. */
export function dragged(grey: Grey, dx: number, dy: number, range: number): Grey {
  const step = Math.max(range, 1) / 800;
  return { ...grey, width: Math.max(2, grey.width + dx * step), center: grey.center + dy * step };
}
