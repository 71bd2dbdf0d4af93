/** Where things stand in a plot. */

/** Round numbers that divide a range into about ``count`` parts. */
export function ticks(low: number, high: number, count: number): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((one) => one * power >= raw) ?? 10) * power;
  const found = [];
  for (let index = Math.ceil(low / step); index * step <= high + step * 1e-9; index++)
    found.push(Number((index * step).toPrecision(12)));
  return found;
}

/** The range of some values with a margin on both sides; of one value, one unit around it. */
export function range(values: number[], margin: number): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const space = high > low ? (high - low) * margin : 0.5;
  return [low - space, high + space];
}

/** From values to places, linearly. */
export function linear([from, to]: [number, number], [start, end]: [number, number]): (value: number) => number {
  return (value) => start + ((value - from) / (to - from)) * (end - start);
}
