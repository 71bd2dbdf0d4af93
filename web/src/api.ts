/** Requests to the server. */

import type {
  Agreement,
  Content,
  Delivery,
  Film,
  FilmEntry,
  Heatmap,
  Measured,
  Moved,
  Paired,
  Revision,
  Session,
} from "./types";

/** The server answered that it will not do it. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Somebody saved another revision meanwhile. */
export class Conflict extends Refused {
  constructor(
    message: string,
    readonly current: Revision,
  ) {
    super(409, message);
  }
}

/** No answer, or one that says that the server is in trouble: worth another try. */
export class Unreachable extends Error {}

interface Trouble {
  detail?: unknown;
  current?: Revision;
}

async function answer(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch {
    throw new Unreachable("The server does not answer.");
  }
  if (response.ok) return response;
  const trouble = (await response.json().catch(() => ({}))) as Trouble;
  const said = typeof trouble.detail === "string" ? trouble.detail : `The server answered ${response.status}.`;
  if (response.status === 409 && trouble.current) throw new Conflict(said, trouble.current);
  if (response.status >= 500 || response.status === 429) throw new Unreachable(said);
  throw new Refused(response.status, said);
}

async function read<T>(path: string): Promise<T> {
  return (await (await answer(path, {})).json()) as T;
}

async function write<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json", "X-Monai-Ceph": "1" };
  const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  return (await (await answer(path, init)).json()) as T;
}

function film(id: string): string {
  return `/api/films/${encodeURIComponent(id)}`;
}

export const api = {
  session: () => read<Session>("/api/session"),
  films: () => read<FilmEntry[]>("/api/films"),
  film: (id: string) => read<Film>(film(id)),
  thumbnail: (id: string) => `${film(id)}/thumbnail`,
  pixels: async (id: string) => new Uint16Array(await (await answer(`${film(id)}/pixels`, {})).arrayBuffer()),
  heatmap: async (id: string, symbol: string): Promise<Heatmap> => {
    const response = await answer(`${film(id)}/heatmaps/${encodeURIComponent(symbol)}`, {});
    const where = JSON.parse(response.headers.get("X-Monai-Ceph-Heatmap") ?? "{}") as Omit<Heatmap, "picture">;
    return { ...where, picture: await response.blob() };
  },
  delivery: (id: string) => read<Delivery>(`${film(id)}/delivery`),
  send: (id: string) => write<Delivery>("POST", `${film(id)}/send`),
  accuracy: () => read<Moved[]>("/api/accuracy"),
  readers: () => read<Agreement[]>("/api/readers"),
  paired: (reader: string, reference: string) =>
    read<Paired[]>(`/api/readers/values?${new URLSearchParams({ reader, reference }).toString()}`),
  measure: (id: string, { points, calibration }: Content) =>
    write<Measured>("POST", `${film(id)}/measure`, { points, calibration }),
  save: (id: string, based_on: number, reviewer: string, content: Content) =>
    write<Revision>("PUT", `${film(id)}/review`, { based_on, reviewer, ...content }),
  sign: (id: string, based_on: number, reviewer: string) =>
    write<Revision>("POST", `${film(id)}/sign`, { based_on, reviewer }),
};
