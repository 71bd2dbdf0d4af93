/** The film on the screen: OpenSeadragon draws tiles that are made here, from 16-bit values. */

import OpenSeadragon from "openseadragon";
import type { Place } from "../model/geometry";
import { type Grey, type Plane, drawn, greyTable, pyramid } from "../model/grey";

const TILE = 512;

interface Job {
  postData: TilePlace;
  finish(data: CanvasRenderingContext2D, request: null, type: string): void;
}

interface TilePlace {
  level: number;
  x: number;
  y: number;
}

interface Invalidated {
  tile: TilePlace;
  setData: (data: CanvasRenderingContext2D, type: string) => Promise<void>;
}

export class FilmViewer {
  readonly viewer: OpenSeadragon.Viewer;
  private readonly planes: Plane[];
  private table: Uint32Array;
  private redraw = 0;
  private readonly small = document.createElement("canvas");

  constructor(
    element: HTMLElement,
    readonly film: Plane,
    grey: Grey,
    private readonly changed: () => void,
  ) {
    this.planes = pyramid(film, TILE);
    this.table = greyTable(grey);
    keepStyleOut();
    this.viewer = new OpenSeadragon.Viewer({
      element,
      drawer: "canvas",
      tabIndex: "",
      showNavigationControl: false,
      animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.25,
      springStiffness: 10,
      maxZoomPixelRatio: 16,
      visibilityRatio: 0.3,
      minZoomImageRatio: 0.5,
      keyboardNavEnabled: false,
      preserveImageSizeOnResize: true,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: false, scrollToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: false, pinchToZoom: true, flickEnabled: false },
      gestureSettingsPen: { clickToZoom: false, dblClickToZoom: false },
      tileSources: this.source() as unknown as OpenSeadragon.TileSource,
    } as unknown as OpenSeadragon.Options);
    const handle = (name: string, handler: (event: never) => unknown) => {
      this.viewer.addHandler(
        name as "open",
        handler as unknown as OpenSeadragon.EventHandler<OpenSeadragon.ViewerEvent>,
      );
    };
    handle("tile-invalidated", ({ tile, setData }: Invalidated) => setData(this.tile(tile), "context2d"));
    handle("update-viewport", this.changed);
    handle("open", this.changed);
    handle("resize", this.changed);
  }

  private source(): Record<string, unknown> {
    return {
      width: this.film.width,
      height: this.film.height,
      tileSize: TILE,
      minLevel: 0,
      maxLevel: this.planes.length - 1,
      getTileUrl: (level: number, x: number, y: number) => `${level}/${x}/${y}`,
      getTilePostData: (level: number, x: number, y: number): TilePlace => ({ level, x, y }),
      hasTransparency: () => false,
      downloadTileStart: (job: Job) => {
        job.finish(this.tile(job.postData), null, "context2d");
      },
      downloadTileAbort: () => undefined,
    };
  }

  private tile({ level, x, y }: TilePlace): CanvasRenderingContext2D {
    const plane = this.planes[level] ?? this.film;
    const width = Math.min(TILE, plane.width - x * TILE);
    const height = Math.min(TILE, plane.height - y * TILE);
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    this.paint(canvas, plane, x * TILE, y * TILE);
    return context(canvas);
  }

  private paint(canvas: HTMLCanvasElement, plane: Plane, left: number, top: number): void {
    const pixels = drawn(plane, left, top, canvas.width, canvas.height, this.table);
    context(canvas).putImageData(
      new ImageData(new Uint8ClampedArray(pixels.buffer), canvas.width, canvas.height),
      0,
      0,
    );
  }

  /** Redraw with other greys, at most once a frame. */
  setGrey(grey: Grey): void {
    this.table = greyTable(grey);
    cancelAnimationFrame(this.redraw);
    this.redraw = requestAnimationFrame(() => {
      void this.viewer.world.requestInvalidate(false);
    });
  }

  /** Draw the surroundings of a place into a loupe, one source pixel on ``zoom`` pixels of the canvas. */
  magnify(canvas: HTMLCanvasElement, place: Place, zoom: number): void {
    const size = Math.ceil(canvas.width / zoom) + 2;
    const [left, top] = [Math.floor(place.x - size / 2), Math.floor(place.y - size / 2)];
    const small = this.small;
    if (small.width !== size) small.width = small.height = size;
    this.paint(small, this.film, left, top);
    const to = context(canvas);
    to.clearRect(0, 0, canvas.width, canvas.height);
    const middle = canvas.width / 2;
    const [dx, dy] = [(left - place.x - 0.5) * zoom + middle, (top - place.y - 0.5) * zoom + middle];
    to.drawImage(small, dx, dy, size * zoom, size * zoom);
    for (const [width, colour] of [
      [3, "#000"],
      [1.2, "#fff"],
    ] as const) {
      to.lineWidth = width;
      to.strokeStyle = colour;
      to.stroke(new Path2D(`M${middle - 40} ${middle}h32m16 0h32M${middle} ${middle - 40}v32m0 16v32`));
    }
  }

  /** Of the viewer on the screen, as it was last laid out: to ask the element would lay out the page at once. */
  get width(): number {
    return this.viewer.viewport.getContainerSize().x;
  }

  get ready(): boolean {
    return this.viewer.world.getItemCount() > 0;
  }

  /** From source pixels to pixels of the viewer; pixel centres are integers, so corners are half a pixel off. */
  toScreen(place: Place): Place {
    const image = this.viewer.world.getItemAt(0);
    return image.imageToViewerElementCoordinates(new OpenSeadragon.Point(place.x + 0.5, place.y + 0.5));
  }

  /** The same as a function, for the many places of a frame: the viewer's own conversion makes a dozen objects each. */
  projection(): (place: Place) => Place {
    const zero = this.toScreen({ x: 0, y: 0 });
    const one = this.toScreen({ x: 1, y: 1 });
    const [dx, dy] = [one.x - zero.x, one.y - zero.y];
    return ({ x, y }) => ({ x: zero.x + x * dx, y: zero.y + y * dy });
  }

  toFilm(place: Place): Place {
    const image = this.viewer.world.getItemAt(0);
    const point = image.viewerElementToImageCoordinates(new OpenSeadragon.Point(place.x, place.y));
    return { x: point.x - 0.5, y: point.y - 0.5 };
  }

  /** Screen pixels per source pixel. */
  get scale(): number {
    return this.toScreen({ x: 1, y: 0 }).x - this.toScreen({ x: 0, y: 0 }).x;
  }

  middle(): Place {
    return this.toFilm({ x: this.viewer.element.clientWidth / 2, y: this.viewer.element.clientHeight / 2 });
  }

  /** Bring a place into view, and closer when it is seen from afar. */
  show(place: Place, closest = 1): void {
    const image = this.viewer.world.getItemAt(0);
    const center = image.imageToViewportCoordinates(new OpenSeadragon.Point(place.x + 0.5, place.y + 0.5));
    const { viewport } = this.viewer;
    if (this.scale < closest) viewport.zoomTo(viewport.getZoom() * (closest / this.scale));
    viewport.panTo(center);
    viewport.applyConstraints();
  }

  zoom(factor: number): void {
    this.viewer.viewport.zoomBy(factor);
    this.viewer.viewport.applyConstraints();
  }

  pan(dx: number, dy: number): void {
    const { viewport } = this.viewer;
    viewport.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(dx, dy)));
    viewport.applyConstraints();
  }

  fit(): void {
    this.viewer.viewport.goHome();
  }

  destroy(): void {
    cancelAnimationFrame(this.redraw);
    this.viewer.destroy();
  }
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const result = canvas.getContext("2d");
  if (!result) throw new Error("This browser cannot draw on a canvas.");
  return result;
}

/**
 * OpenSeadragon puts a style element into the page unless there is one, and the page's policy allows none. An element of
 * no namespace is found in its stead.
 */
function keepStyleOut(): void {
  const name = "data-openseadragon-mobile-css";
  if (document.querySelector(`style[${name}]`)) return;
  const element = document.createElementNS(null, "style");
  element.setAttribute(name, "");
  document.head.append(element);
}
